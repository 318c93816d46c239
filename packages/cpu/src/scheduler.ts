/**
 * The scheduler of a kernel: CPUs that have several tasks, or tasks that sleep and wake up.
 *
 * Mirrors kernel/sched/core.c, v6.18: __schedule(), context_switch(), try_to_wake_up(), resched_curr(), and
 * exit_to_user_mode_loop(). A kernel without preemption (PREEMPT_NONE): a task gives its CPU away where it sleeps, and
 * on the way to user mode or in user mode when it has been asked to. Who is next is up to the run queue's machine.
 */
import {
  BLOCKED,
  count,
  defineOperation,
  load,
  messageFor,
  ModelError,
  noteMethods,
  operation,
  program,
  rest,
  routine,
  type Address,
  type Message,
  type OperationContext,
  type Program,
  type Region,
  type Saying,
  type Routine,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { local_irq_restore, local_irq_save, type Cpu } from './cpu.ts';
import { IDLE_TASK, runQueueMachine } from './runqueue.machine.ts';

/** The interrupt by which a CPU is asked to call schedule(): by another CPU, or by its own timer. */
export const RESCHEDULE_VECTOR = 'RESCHEDULE_VECTOR';

/** The counters are named as in /proc/stat and /proc/interrupts. */
export const SchedulerCounter = {
  switches: 'ctxt',
  reschedule: 'irq_resched_count',
  migrations: 'nr_migrations',
} as const;

/** How a scheduler is set up. */
export interface SchedulerOptions {
  readonly tickCycles: number;
  /** Ticks of a time slice. */
  readonly sliceTicks: number;
  /** The CPU each task begins on, by task. CPUs without a task have no run queue. */
  readonly tasks: readonly Cpu[];
  /**
   * The half of context_switch() that is about memory, with interrupts off: the mm of `next`, or none for the idle loop
   * ({@link IDLE_TASK}).
   */
  readonly switch_mm: (cpu: Cpu, next: number) => Steps;
}

interface RunQueue {
  readonly cpu: Cpu;
  /** Synchronous channel to its machine: it is told in the step that changes what it counts. */
  readonly port: number;
}

const TICK: Message = { type: 'tick' };
const PICK: Message = { type: 'pick' };
const EXIT: Message = { type: 'exit' };
const RESCHEDULE: Message = { type: 'ipi', vector: RESCHEDULE_VECTOR };
const blockMessage = messageFor((ticks: number) => ({ type: 'block', ticks }));
const wakeMessage = messageFor((task: number) => ({ type: 'wake', task }));
const switchMessage = messageFor((slot: number, idle: number) => ({
  type: idle === 1 ? 'switch_to_idle' : 'switch_to',
  slot,
}));

/** The run queues of a kernel, and the routines that use them. */
export class Scheduler {
  static {
    noteMethods(this);
  }

  readonly #builder: SystemBuilder;
  readonly #options: SchedulerOptions;
  /** By CPU number. */
  readonly #queues: (RunQueue | undefined)[] = [];
  /** rq->curr of each CPU, plus one: 0 is the idle task. */
  readonly #curr: Region;
  /** rq->nr_running of each CPU. */
  readonly #running: Region;
  /** What `pick` answered, by CPU, plus one. */
  readonly #picked: Region;
  /** TIF_NEED_RESCHED of what runs on each CPU. */
  readonly #need_resched: Region;
  /** task_cpu(), by task. */
  readonly #task_cpu: Region;
  /** Which of the tasks of its CPU's processor a task is. */
  readonly #slot: Region;
  /** By task: it is in user mode, at an operation that another CPU could perform as well. */
  readonly #user: Region;
  /** By task: one more than the address of the word whose change wait_event() sleeps for. */
  readonly #waits: Region;

  constructor(builder: SystemBuilder, cpus: readonly Cpu[], options: SchedulerOptions) {
    this.#builder = builder;
    this.#options = options;
    const { tasks } = options;
    const onCpu = (cpu: Cpu): number[] => tasks.flatMap((on, task) => (on === cpu ? [task] : []));
    const first = cpus.map((cpu) => 1 + (onCpu(cpu)[0] ?? IDLE_TASK));
    this.#curr = builder.region('rq.curr', cpus.length, { initial: first });
    this.#picked = builder.region('rq.picked', cpus.length);
    this.#running = builder.region('rq.nr_running', cpus.length, { initial: cpus.map((cpu) => onCpu(cpu).length) });
    this.#need_resched = builder.region('TIF_NEED_RESCHED', cpus.length);
    const words = Math.max(1, tasks.length);
    this.#task_cpu = builder.region('task_cpu', words, { initial: tasks.map(({ id }) => id) });
    this.#slot = builder.region('task.slot', words, { initial: tasks.map((cpu, task) => onCpu(cpu).indexOf(task)) });
    this.#user = builder.region('task.user_mode', words);
    this.#waits = builder.region('task.wait', words);
    for (const cpu of cpus) {
      const mine = onCpu(cpu);
      if (mine.length > 0) this.#queues[cpu.id] = this.#addQueue(cpu, mine);
    }
  }

  #addQueue(cpu: Cpu, tasks: readonly number[]): RunQueue {
    const name = `${cpu.name}.rq`;
    const { tickCycles, sliceTicks } = this.#options;
    const channel = cpu.vectors.get(RESCHEDULE_VECTOR);
    if (channel === undefined) throw new ModelError(`cpu: scheduler: ${cpu.name} has no ${RESCHEDULE_VECTOR}`);
    this.#builder.component({
      name,
      machine: runQueueMachine,
      input: { tasks, sliceTicks },
      effects: {
        resched: (cx) => {
          cx.write(this.#need_resched.at(cpu.id), 1);
          cx.send(channel, RESCHEDULE);
          cpu.guest?.ipi(cx);
        },
        picked: (cx, event) => cx.write(this.#picked.at(cpu.id), 1 + Number(event['task'])),
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

  /** Whether a CPU has a run queue: its tasks take turns. */
  has(cpu: Cpu): boolean {
    return this.#queues[cpu.id] !== undefined;
  }

  /** The tasks of a CPU's processor: those that begin there, in order, and the idle task. */
  programs(cpu: Cpu, programOf: (task: number) => Program): Program[] {
    const mine = this.#options.tasks.flatMap((on, task) => (on === cpu ? [programOf(task)] : []));
    return [...mine, program(idleTask)];
  }

  /** The handler of {@link RESCHEDULE_VECTOR}. */
  handler(cpu: Cpu): Program {
    return program(this.#interrupt, this, cpu);
  }

  /** What was interrupted in user mode, or idle, gives its CPU away before the interrupt returns. */
  readonly #interrupt = routine('sysvec_reschedule_ipi', function* (scheduler: Scheduler, cpu: Cpu): Steps {
    yield* count(SchedulerCounter.reschedule);
    const asked = yield operation(INTERRUPTED, 0, 0, 0, { scheduler, cpu }, { label: 'irqentry_exit()' });
    if (asked !== 0) yield* scheduler.schedule(cpu);
  });

  /** schedule(): another task has the CPU, if another wants it; returns when this one has it again, or another CPU. */
  readonly schedule = routine('schedule', this.#schedule.bind(this));

  *#schedule(cpu: Cpu): Steps {
    const flags = yield* local_irq_save(cpu);
    const picked = yield operation(PICK_NEXT, 0, 0, 0, { scheduler: this, cpu }, { label: 'pick_next_task(rq)' });
    const same = picked < 0;
    if (same) yield* local_irq_restore(cpu, flags);
    else {
      yield* this.#options.switch_mm(cpu, picked - 1);
      const next = picked === 0 ? 'the idle task' : `task ${picked - 1}`;
      yield operation(SWITCH_TO, picked - 1, 0, 0, { scheduler: this, cpu }, { label: `switch_to(${next})` });
    }
  }

  /** The CPU a task runs on: another one than before, maybe, where it has slept or computed. */
  *task_cpu(task: number): Steps<number> {
    return yield* load(this.#task_cpu.at(task), { label: 'smp_processor_id()' });
  }

  /**
   * exit_to_user_mode_loop(): the task calls schedule() as long as it is asked to. Returns its CPU's number. In user
   * mode it may be preempted anywhere, until {@link enter_from_user_mode}.
   */
  readonly exit_to_user_mode = routine('exit_to_user_mode_loop', this.#exitToUserMode.bind(this));

  *#exitToUserMode(cpu: Cpu, task: number, stays: boolean): Steps<number> {
    let on = cpu;
    for (;;) {
      const data = { scheduler: this, cpu: on };
      const asked = yield operation(EXIT_TO_USER, task, stays ? 1 : 0, 0, data, { label: 'read_thread_flags()' });
      if (asked === 0) return on.id;
      yield* this.schedule(on);
      on = this.#cpuNumbered(yield* this.task_cpu(task));
    }
  }

  /** A system call or a fault: from here on the task keeps its CPU. Returns the CPU's number. */
  *enter_from_user_mode(task: number): Steps<number> {
    return yield operation(ENTER_FROM_USER, task, 0, 0, { scheduler: this }, { label: 'enter_from_user_mode()' });
  }

  /** wait_event(): sleeps until the word has the value. Whoever gives it that value calls {@link wake_up}. */
  readonly wait_event = routine('wait_event', this.#waitEvent.bind(this));

  *#waitEvent(cpu: Cpu, task: number, address: number, value: number, saying: Saying): Steps<number> {
    let on = cpu;
    for (;;) {
      const data = { scheduler: this, cpu: on };
      if ((yield operation(PREPARE_TO_WAIT, address, value, task, data, saying)) !== 0) return on.id;
      yield* this.schedule(on);
      on = this.#cpuNumbered(yield* this.task_cpu(task));
    }
  }

  /** schedule_timeout(): sleeps for so many ticks, or for good (0). Returns the CPU's number. */
  readonly schedule_timeout = routine('schedule_timeout', this.#scheduleTimeout.bind(this));

  *#scheduleTimeout(cpu: Cpu, task: number, ticks: number): Steps<number> {
    const message = blockMessage(ticks);
    yield operation(TELL_QUEUE, this.#queueOf(cpu).port, 0, 0, message, { label: 'set_current_state()' });
    yield* this.schedule(cpu);
    return yield* this.task_cpu(task);
  }

  /** do_task_dead(): never returns. */
  *do_task_dead(cpu: Cpu): Steps {
    yield operation(TELL_QUEUE, this.#queueOf(cpu).port, 0, 0, EXIT, { label: 'do_task_dead()' });
    yield* this.schedule(cpu);
  }

  /** wake_up(): those of the tasks that sleep until a word changes look at it again. */
  *wake_up(tasks: readonly number[], address: Address): Steps {
    for (const task of tasks)
      yield operation(WAKE, address, task, 0, { scheduler: this }, { label: `try_to_wake_up(task ${task})` });
  }

  /** The words of an operation of this file. */
  get words() {
    return {
      curr: this.#curr,
      picked: this.#picked,
      need_resched: this.#need_resched,
      task_cpu: this.#task_cpu,
      slot: this.#slot,
      user: this.#user,
      waits: this.#waits,
    };
  }

  /** Channel to the run queue of a CPU. */
  queueOf(cpu: number): number {
    return this.#queueOf(this.#cpuNumbered(cpu)).port;
  }

  /** Which task of its processor the idle task of a CPU is. */
  idleSlot(cpu: Cpu): number {
    return this.#options.tasks.filter((on) => on === cpu).length;
  }

  #queueOf(cpu: Cpu): RunQueue {
    const queue = this.#queues[cpu.id];
    if (!queue) throw new ModelError(`cpu: scheduler: ${cpu.name} has no run queue`);
    return queue;
  }

  #cpuNumbered(id: number): Cpu {
    const queue = this.#queues[id];
    if (!queue) throw new ModelError(`cpu: scheduler: CPU ${id} has no run queue`);
    return queue.cpu;
  }
}

/** The CPU only takes interrupts: it is in its `idle` state while this task is current. */
const idleTask = routine('do_idle', function* (): Steps {
  yield* rest({ label: '(idle)' });
});

interface OnCpu {
  readonly scheduler: Scheduler;
  readonly cpu: Cpu;
}

/** Result 1: the task that was interrupted shall give its CPU away, and can. */
const INTERRUPTED = defineOperation({
  name: 'irqentry_exit',
  cost: 'load',
  perform(cx, op) {
    const { scheduler, cpu } = op.data as OnCpu;
    const { need_resched, curr, user } = scheduler.words;
    if (cx.read(need_resched.at(cpu.id)) === 0) return 0;
    const task = cx.read(curr.at(cpu.id)) - 1;
    return task === IDLE_TASK || cx.read(user.at(task)) !== 0 ? 1 : 0;
  },
});

/** Result -1: the task that has the CPU keeps it; otherwise who gets it, plus one: 0 is the idle task. */
const PICK_NEXT = defineOperation({
  name: 'pick_next_task',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { scheduler, cpu } = op.data as OnCpu;
    const { need_resched, curr, picked } = scheduler.words;
    cx.write(need_resched.at(cpu.id), 0);
    cx.send(scheduler.queueOf(cpu.id), PICK);
    const next = cx.read(picked.at(cpu.id));
    if (next === cx.read(curr.at(cpu.id))) return -1;
    cx.write(curr.at(cpu.id), next);
    return next;
  },
});

/** The processor goes on with another of its tasks, with interrupts on (finish_task_switch()). */
const SWITCH_TO = defineOperation({
  name: 'switch_to',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { scheduler, cpu } = op.data as OnCpu;
    cx.count(SchedulerCounter.switches);
    const idle = op.a === IDLE_TASK;
    const slot = idle ? scheduler.idleSlot(cpu) : cx.read(scheduler.words.slot.at(op.a));
    return cx.send(cpu.port, switchMessage(slot, idle ? 1 : 0)) ? 0 : BLOCKED;
  },
});

/** Result 1: the task is asked to call schedule(). Otherwise it is in user mode, if it stays there (operand b). */
const EXIT_TO_USER = defineOperation({
  name: 'exit_to_user_mode',
  cost: 'load',
  perform(cx, op) {
    const { scheduler, cpu } = op.data as OnCpu;
    const { need_resched, user } = scheduler.words;
    if (cx.read(need_resched.at(cpu.id)) !== 0) return 1;
    if (op.b === 1) cx.write(user.at(op.a), 1);
    return 0;
  },
});

const ENTER_FROM_USER = defineOperation({
  name: 'enter_from_user_mode',
  cost: 'load',
  perform(cx, op) {
    const { user, task_cpu } = (op.data as Pick<OnCpu, 'scheduler'>).scheduler.words;
    cx.write(user.at(op.a), 0);
    return cx.read(task_cpu.at(op.a));
  },
});

/** prepare_to_wait(), and the condition is looked at. Result 1: it holds. */
const PREPARE_TO_WAIT = defineOperation({
  name: 'prepare_to_wait',
  cost: 'xchg',
  addressed: true,
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    if (cx.read(op.a) === op.b) return 1;
    const { scheduler, cpu } = op.data as OnCpu;
    cx.write(scheduler.words.waits.at(op.c), 1 + op.a);
    cx.send(scheduler.queueOf(cpu.id), blockMessage(0));
    return 0;
  },
});

const TELL_QUEUE = defineOperation({
  name: 'set_current_state',
  cost: 'xchg',
  perform: (cx: OperationContext, op) => (cx.drained() ? (cx.send(op.a, op.data as Message) ? 1 : 0) : BLOCKED),
});

const WAKE = defineOperation({
  name: 'try_to_wake_up',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { scheduler } = op.data as Pick<OnCpu, 'scheduler'>;
    const { waits, task_cpu } = scheduler.words;
    if (cx.read(waits.at(op.b)) !== 1 + op.a) return 0;
    cx.write(waits.at(op.b), 0);
    cx.send(scheduler.queueOf(cx.read(task_cpu.at(op.b))), wakeMessage(op.b));
    return 1;
  },
});

/** schedule() on a CPU without a run queue: what it goes to, and comes back to, is written out by whoever needs it. */
export const schedules = <A extends readonly unknown[], T>(body: (...args: A) => Steps<T>): Routine<A, T> =>
  routine('schedule', body);
