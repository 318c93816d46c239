/**
 * The scheduler of a kernel: CPUs that have several tasks, or tasks that sleep and wake up.
 *
 * Mirrors kernel/sched/core.c, v6.18: __schedule(), context_switch(), try_to_wake_up(), resched_curr(), and
 * exit_to_user_mode_loop(). A kernel without preemption (PREEMPT_NONE): a task gives its CPU away where it sleeps, and
 * on the way to user mode or in user mode when it has been asked to. Who is next is up to the run queue's machine
 * (`runqueue.machine.ts`), who goes where to `run-queues.ts`.
 */
import {
  count,
  load,
  noteMethods,
  operation,
  program,
  rest,
  routine,
  type Address,
  type Message,
  type Program,
  type Routine,
  type Saying,
  type Steps,
  type SystemBuilder,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { local_irq_restore, local_irq_save, type Cpu } from './cpu.ts';
import { RunQueues, SchedulerCounter, type RunQueueOptions } from './run-queues.ts';
import {
  BEGIN_IDLE,
  blockMessage,
  ENTER_FROM_USER,
  EXIT_TO_USER,
  INTERRUPTED,
  NEWIDLE,
  PICK_NEXT,
  PREPARE_TO_WAIT,
  SWITCH_TO,
  TELL_QUEUE,
  WAKE,
} from './scheduler-operations.ts';

/** How a scheduler is set up. */
export interface SchedulerOptions extends RunQueueOptions {
  /**
   * The half of context_switch() that is about memory, with interrupts off: the mm of `next`, or none for the idle loop
   * ({@link IDLE_TASK}).
   */
  readonly switch_mm: (cpu: Cpu, next: number) => Steps;
}

const SCHEDULER_VALUES: OptionValues<SchedulerOptions> = {
  tickCycles: is.whole(1),
  sliceTicks: is.whole(1),
  tasks: is.listOf(is.anything),
  affinity: is.listOf(is.anything),
  switch_mm: is.callable,
};

const EXIT: Message = { type: 'exit' };

/** The run queues of a kernel, and the routines that use them. */
export class Scheduler {
  static {
    noteMethods(this);
  }

  readonly #options: SchedulerOptions;
  readonly #queues: RunQueues;

  constructor(builder: SystemBuilder, cpus: readonly Cpu[], options: SchedulerOptions) {
    checkValues('cpu: scheduler: new', options, SCHEDULER_VALUES, ['tickCycles', 'sliceTicks', 'tasks', 'switch_mm']);
    this.#options = options;
    this.#queues = new RunQueues(builder, cpus, options);
  }

  /** Some tasks may run on several CPUs: CPUs that idle take those who wait. */
  get balances(): boolean {
    return this.#queues.balances;
  }

  /** The CPUs that may take tasks of a CPU. */
  othersOf(cpu: Cpu): Cpu[] {
    return this.#queues.othersOf(cpu);
  }

  /** Whether a CPU has a run queue: its tasks take turns. */
  has(cpu: Cpu): boolean {
    return this.#queues.has(cpu);
  }

  /** The tasks of a CPU's processor by slot: those that begin there, those that may come there, and the idle task. */
  programs(cpu: Cpu, programOf: (task: number) => Program): Program[] {
    const { slots } = this.#queues;
    const programs: Program[] = [];
    for (const task of slots.tasksOf(cpu))
      programs[slots.of(task, cpu)] = this.#options.tasks[task] === cpu ? programOf(task) : program(elsewhere);
    programs[slots.ofIdle(cpu)] = program(idleTask, this.#queues, cpu);
    return programs;
  }

  /** The handler of {@link RESCHEDULE_VECTOR}. */
  handler(cpu: Cpu): Program {
    return program(this.#interrupt, this, cpu);
  }

  /** What was interrupted in user mode, or idle, gives its CPU away before the interrupt returns. */
  readonly #interrupt = routine('sysvec_reschedule_ipi', function* (scheduler: Scheduler, cpu: Cpu): Steps {
    yield* count(SchedulerCounter.reschedule);
    const data = { queues: scheduler.#queues, cpu };
    const asked = yield operation(INTERRUPTED, 0, 0, 0, data, { label: 'irqentry_exit()' });
    if (asked !== 0) yield* scheduler.schedule(cpu);
  });

  /** schedule(): another task has the CPU, if another wants it; returns when this one has it again, or another CPU. */
  readonly schedule = routine('schedule', this.#schedule.bind(this));

  *#schedule(cpu: Cpu): Steps {
    const data = { queues: this.#queues, cpu };
    const flags = yield* local_irq_save(cpu);
    if (this.balances) yield operation(NEWIDLE, 0, 0, 0, data, { label: 'sched_balance_newidle()' });
    const prev = yield* load(this.#queues.curr.at(cpu.id), { label: 'prev = rq->curr' });
    const picked = yield operation(PICK_NEXT, 0, 0, 0, data, { label: 'pick_next_task(rq)' });
    const same = picked < 0;
    if (same) yield* local_irq_restore(cpu, flags);
    else {
      yield* this.#options.switch_mm(cpu, picked - 1);
      const next = picked === 0 ? 'the idle task' : `task ${picked - 1}`;
      yield operation(SWITCH_TO, picked - 1, prev - 1, 0, data, { label: `switch_to(${next})` });
    }
  }

  /** The CPU a task runs on: another one than before, maybe, where it has slept or computed. */
  *task_cpu(task: number): Steps<number> {
    return yield* load(this.#queues.task_cpu.at(task), { label: 'smp_processor_id()' });
  }

  /**
   * exit_to_user_mode_loop(): the task calls schedule() as long as it is asked to. Returns its CPU's number. In user
   * mode it may be preempted anywhere, until {@link enter_from_user_mode}.
   */
  readonly exit_to_user_mode = routine('exit_to_user_mode_loop', this.#exitToUserMode.bind(this));

  *#exitToUserMode(cpu: Cpu, task: number, stays: boolean): Steps<number> {
    let on = cpu;
    for (;;) {
      const data = { queues: this.#queues, cpu: on };
      const asked = yield operation(EXIT_TO_USER, task, stays ? 1 : 0, 0, data, { label: 'read_thread_flags()' });
      if (asked === 0) return on.id;
      yield* this.schedule(on);
      on = this.#queues.cpuNumbered(yield* this.task_cpu(task));
    }
  }

  /** A system call or a fault: from here on the task keeps its CPU. Returns the CPU's number. */
  *enter_from_user_mode(task: number): Steps<number> {
    return yield operation(ENTER_FROM_USER, task, 0, 0, this.#queues, { label: 'enter_from_user_mode()' });
  }

  /** wait_event(): sleeps until the word has the value. Whoever gives it that value calls {@link wake_up}. */
  readonly wait_event = routine('wait_event', this.#waitEvent.bind(this));

  *#waitEvent(cpu: Cpu, task: number, address: number, value: number, saying: Saying): Steps<number> {
    let on = cpu;
    for (;;) {
      const data = { queues: this.#queues, cpu: on };
      if ((yield operation(PREPARE_TO_WAIT, address, value, task, data, saying)) !== 0) return on.id;
      yield* this.schedule(on);
      on = this.#queues.cpuNumbered(yield* this.task_cpu(task));
    }
  }

  /** schedule_timeout(): sleeps for so many ticks, or for good (0). Returns the CPU's number. */
  readonly schedule_timeout = routine('schedule_timeout', this.#scheduleTimeout.bind(this));

  *#scheduleTimeout(cpu: Cpu, task: number, ticks: number): Steps<number> {
    const message = blockMessage(ticks);
    yield operation(TELL_QUEUE, this.#queues.portOf(cpu.id), 0, 0, message, { label: 'set_current_state()' });
    yield* this.schedule(cpu);
    return yield* this.task_cpu(task);
  }

  /** do_task_dead(): never returns. */
  *do_task_dead(cpu: Cpu): Steps {
    yield operation(TELL_QUEUE, this.#queues.portOf(cpu.id), 0, 0, EXIT, { label: 'do_task_dead()' });
    yield* this.schedule(cpu);
  }

  /** wake_up(): those of the tasks that sleep until a word changes look at it again. */
  *wake_up(tasks: readonly number[], address: Address): Steps {
    for (const task of tasks)
      yield operation(WAKE, address, task, 0, this.#queues, { label: `try_to_wake_up(task ${task})` });
  }
}

/** The CPU only takes interrupts: it is in its `idle` state while this task is current. */
const idleTask = routine('do_idle', function* (queues: RunQueues, cpu: Cpu): Steps {
  if (queues.slots.beginsIdle(cpu)) yield operation(BEGIN_IDLE, 0, 0, 0, { queues, cpu }, { label: 'do_idle()' });
  yield* rest({ label: '(idle)' });
});

/** The place of a task that is on another CPU. */
const elsewhere = routine('(elsewhere)', function* (): Steps {});

/** schedule() on a CPU without a run queue: what it goes to, and comes back to, is written out by whoever needs it. */
export const schedules = <A extends readonly unknown[], T>(body: (...args: A) => Steps<T>): Routine<A, T> =>
  routine('schedule', body);
