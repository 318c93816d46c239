/**
 * What a scheduler keeps: a run queue per CPU, which is an actor, and the words beside it. Balancing mirrors
 * kernel/sched/fair.c, v6.18: sched_balance_newidle(), and nohz_balancer_kick() of a CPU that idles already.
 */
import { ModelError, type Message, type OperationContext, type Region, type SystemBuilder } from '@shootdown/machine';
import type { Cpu } from './cpu.ts';
import { IDLE_TASK, runQueueMachine } from './runqueue.machine.ts';
import { TaskSlots } from './task-slots.ts';

/** The interrupt by which a CPU is asked to call schedule(): by another CPU, or by its own timer. */
export const RESCHEDULE_VECTOR = 'RESCHEDULE_VECTOR';

/** The counters are named as in /proc/stat and /proc/interrupts. */
export const SchedulerCounter = {
  switches: 'ctxt',
  reschedule: 'irq_resched_count',
  migrations: 'nr_migrations',
} as const;

/** Run queues and their tasks. */
export interface RunQueueOptions {
  readonly tickCycles: number;
  /** Ticks of a time slice. */
  readonly sliceTicks: number;
  /** The CPU each task begins on, by task. CPUs without a task have no run queue. */
  readonly tasks: readonly Cpu[];
  /** sched_setaffinity(): the CPUs that each task may run on, its own among them. Default: its own. */
  readonly affinity?: readonly (ReadonlySet<number> | undefined)[];
}

interface RunQueue {
  readonly cpu: Cpu;
  /** Synchronous channel to its machine: it is told in the step that changes what it counts. */
  readonly port: number;
}

const TICK: Message = { type: 'tick' };
const RESCHEDULE: Message = { type: 'ipi', vector: RESCHEDULE_VECTOR };

/** The run queues of a kernel. */
export class RunQueues {
  readonly #builder: SystemBuilder;
  readonly #options: RunQueueOptions;
  /** By CPU number. */
  readonly #queues: (RunQueue | undefined)[] = [];
  readonly slots: TaskSlots;
  /** rq->curr of each CPU, plus one: 0 is the idle task. */
  readonly curr: Region;
  /** rq->nr_running of each CPU. */
  readonly #running: Region;
  /** What `pick` answered, by CPU, plus one. */
  readonly picked: Region;
  /** TIF_NEED_RESCHED of what runs on each CPU. */
  readonly need_resched: Region;
  /** By CPU: its idle task rests in the idle loop. Not so on a CPU that begins idle, until it has run. */
  readonly idle: Region;
  /** task_cpu(), by task. */
  readonly task_cpu: Region;
  /** p->on_cpu, by task: it runs, or is within context_switch() still. */
  readonly on_cpu: Region;
  /** Which of the slots of its CPU's processor a task is in. */
  readonly slot: Region;
  /** By task: it is in user mode, at an operation that another CPU could perform as well. */
  readonly user: Region;
  /** By task: one more than the address of the word whose change wait_event() sleeps for. */
  readonly waits: Region;
  /** Some tasks may run on several CPUs: CPUs that idle take those who wait. */
  readonly balances: boolean;

  constructor(builder: SystemBuilder, cpus: readonly Cpu[], options: RunQueueOptions) {
    this.#builder = builder;
    this.#options = options;
    const { tasks, affinity } = options;
    this.slots = new TaskSlots(cpus, tasks, affinity);
    this.balances = affinity?.some((set) => set !== undefined && set.size > 1) ?? false;
    const firsts = cpus.map((cpu) => this.slots.beginningOn(cpu)[0] ?? IDLE_TASK);
    const running = cpus.map((cpu) => this.slots.beginningOn(cpu).length);
    this.curr = builder.region('rq.curr', cpus.length, { initial: firsts.map((task) => 1 + task) });
    this.picked = builder.region('rq.picked', cpus.length);
    this.#running = builder.region('rq.nr_running', cpus.length, { initial: running });
    this.need_resched = builder.region('TIF_NEED_RESCHED', cpus.length);
    this.idle = builder.region('rq.idle', cpus.length, { initial: running.map((tasks) => (tasks > 0 ? 1 : 0)) });
    const words = Math.max(1, tasks.length);
    this.task_cpu = builder.region('task_cpu', words, { initial: tasks.map(({ id }) => id) });
    this.on_cpu = builder.region('on_cpu', words, { initial: tasks.map((_, task) => (firsts.includes(task) ? 1 : 0)) });
    this.slot = builder.region('task.slot', words, { initial: tasks.map((cpu, task) => this.slots.of(task, cpu)) });
    this.user = builder.region('task.user_mode', words);
    this.waits = builder.region('task.wait', words);
    for (const cpu of cpus) if (this.slots.tasksOf(cpu).length > 0) this.#queues[cpu.id] = this.#addQueue(cpu);
  }

  #addQueue(cpu: Cpu): RunQueue {
    const name = `${cpu.name}.rq`;
    const { tickCycles, sliceTicks } = this.#options;
    const channel = cpu.vectors.get(RESCHEDULE_VECTOR);
    if (channel === undefined) throw new ModelError(`cpu: scheduler: ${cpu.name} has no ${RESCHEDULE_VECTOR}`);
    this.#builder.component({
      name,
      machine: runQueueMachine,
      input: { tasks: this.slots.beginningOn(cpu), sliceTicks, balances: this.balances },
      effects: {
        resched: (cx) => this.#resched(cx, cpu, channel),
        kick: (cx) => this.#kick(cx),
        picked: (cx, event) => cx.write(this.picked.at(cpu.id), 1 + Number(event['task'])),
        nr_running: (cx, event) => cx.write(this.#running.at(cpu.id), Number(event['count'])),
      },
    });
    this.#builder.spontaneous({
      name: `${name} tick`,
      kind: 'hardware',
      component: name,
      message: TICK,
      periodCycles: tickCycles,
    });
    return { cpu, port: this.#builder.port(name) };
  }

  #resched(cx: OperationContext, cpu: Cpu, channel: number): void {
    cx.write(this.need_resched.at(cpu.id), 1);
    cx.send(channel, RESCHEDULE);
    cpu.guest?.ipi(cx);
  }

  /** Asks the first CPU that idles to take a task that waits elsewhere. */
  #kick(cx: OperationContext): void {
    const idle = this.#queues.find(
      (queue) => queue && cx.read(this.curr.at(queue.cpu.id)) === 0 && cx.read(this.#running.at(queue.cpu.id)) === 0,
    );
    const channel = idle?.cpu.vectors.get(RESCHEDULE_VECTOR);
    if (!idle || channel === undefined || cx.read(this.need_resched.at(idle.cpu.id)) !== 0) return;
    this.#resched(cx, idle.cpu, channel);
  }

  /** Takes a task to a CPU that has none: from the CPU where most wait. Result 1: there was one. */
  balance(cx: OperationContext, cpu: Cpu): number {
    if (cx.read(this.#running.at(cpu.id)) > 0) return 0;
    const waiting = (queue: RunQueue | undefined): number => (queue ? cx.read(this.#running.at(queue.cpu.id)) : 0);
    const busy = this.#queues.filter((queue) => waiting(queue) > 1).toSorted((a, b) => waiting(b) - waiting(a));
    for (const from of busy)
      for (const task of this.slots.tasksOf(cpu))
        if (from && cx.read(this.task_cpu.at(task)) === from.cpu.id && this.#moves(cx, task, from, cpu)) return 1;
    return 0;
  }

  /**
   * can_migrate_task(): not one that is on its CPU. The queue knows it no longer from pick_next_task() on, but until
   * finish_task() it is the stack that context_switch() stands on.
   */
  can_migrate_task(cx: OperationContext, task: number): boolean {
    return cx.read(this.on_cpu.at(task)) === 0;
  }

  #moves(cx: OperationContext, task: number, { cpu: from, port }: RunQueue, to: Cpu): boolean {
    if (!this.can_migrate_task(cx, task) || !cx.send(port, { type: 'detach', task })) return false;
    const into = this.slots.of(task, to);
    const slot = cx.read(this.slot.at(task));
    cx.send(from.port, { type: 'give', to: this.#builder.fullName(to.name), slot, into });
    cx.send(this.#queueOf(to).port, { type: 'attach', task });
    cx.write(this.task_cpu.at(task), to.id);
    cx.write(this.slot.at(task), into);
    cx.count(SchedulerCounter.migrations);
    return true;
  }

  /** The CPUs that may take tasks of a CPU. */
  othersOf(cpu: Cpu): Cpu[] {
    if (!this.balances) return [];
    return this.#queues.flatMap((queue) => (queue && queue.cpu !== cpu ? [queue.cpu] : []));
  }

  /** Whether a CPU has a run queue: its tasks take turns. */
  has(cpu: Cpu): boolean {
    return this.#queues[cpu.id] !== undefined;
  }

  /** Channel to the run queue of a CPU, by number. */
  portOf(cpu: number): number {
    return this.#queueOf(this.cpuNumbered(cpu)).port;
  }

  #queueOf(cpu: Cpu): RunQueue {
    const queue = this.#queues[cpu.id];
    if (!queue) throw new ModelError(`cpu: scheduler: ${cpu.name} has no run queue`);
    return queue;
  }

  /** A CPU that has a run queue. */
  cpuNumbered(id: number): Cpu {
    const queue = this.#queues[id];
    if (!queue) throw new ModelError(`cpu: scheduler: CPU ${id} has no run queue`);
    return queue.cpu;
  }
}
