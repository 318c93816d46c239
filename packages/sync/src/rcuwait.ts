/**
 * rcuwait: one task sleeps until another one says that what it waits for may have come.
 * Mirrors include/linux/rcuwait.h and rcuwait_wake_up() in kernel/exit.c, v6.18.
 *
 * The sleeper first says that it sleeps and then looks; who changes what it looks at does that first and then looks for
 * a sleeper. So one of them sees the other. rcuwait_wake_up() is an RCU section because the task might exit; no task
 * does here, so the section is left out.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  retry,
  type Address,
  type Footprint,
  type Operation,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';

/** A struct rcuwait, for one sleeper at a time; tasks are named by their processor. */
export class Rcuwait {
  readonly name: string;
  /** 0, or 1 + the task that waits. */
  readonly task: Address;
  /** Its state: 1 from set_current_state() until it is woken. */
  readonly asleep: Address;

  constructor(builder: SystemBuilder, name: string) {
    this.name = name;
    this.task = builder.region(name, 1, { memory: 'strong' }).at(0);
    this.asleep = builder.region(`${name}.asleep`, 1, { memory: 'strong' }).at(0);
  }
}

const waitOf = (op: Operation): Rcuwait => op.data as Rcuwait;
const bothWords = (op: Operation): Footprint => {
  const words = [waitOf(op).task, waitOf(op).asleep];
  return { reads: words, writes: words };
};

/** prepare_to_rcuwait() and set_current_state(), which is a full barrier (A): nobody looks at one without the other. */
const PREPARE = defineOperation({
  name: 'prepare_to_rcuwait',
  order: 'full',
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    cx.write(waitOf(op).task, 1 + cx.processor);
    cx.write(waitOf(op).asleep, 1);
    return 0;
  },
  footprint: bothWords,
});

const SCHEDULE = defineOperation({
  name: 'rcuwait_schedule',
  cost: 'wait',
  perform: (cx, op) => (cx.read(waitOf(op).asleep) === 0 ? 0 : BLOCKED),
  footprint: (op) => ({ reads: [waitOf(op).asleep], writes: [] }),
});

const FINISH = defineOperation({
  name: 'finish_rcuwait',
  cost: 'store',
  perform(cx, op) {
    cx.write(waitOf(op).task, 0);
    cx.write(waitOf(op).asleep, 0);
    return 0;
  },
  footprint: bothWords,
});

/** smp_mb() (B), the look for a sleeper, and wake_up_process(). 1: there was one. */
const WAKE_UP = defineOperation({
  name: 'rcuwait_wake_up',
  order: 'full',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    if (cx.read(waitOf(op).task) === 0) return 0;
    cx.write(waitOf(op).asleep, 0);
    return 1;
  },
  footprint: bothWords,
});

/** rcuwait_wait_event(): sleeps until the condition holds; it is looked at again whenever the task is woken. */
export function* rcuwait_wait_event(wait: Rcuwait, condition: () => Steps<boolean>): Steps {
  yield* retry(function* () {
    yield operation(PREPARE, 0, 0, 0, wait, { label: `prepare_to_rcuwait(${wait.name})` });
    if (yield* condition()) return true;
    yield operation(SCHEDULE, 0, 0, 0, wait, { label: `schedule() until ${wait.name} is woken` });
    return undefined;
  });
  yield operation(FINISH, 0, 0, 0, wait, { label: `finish_rcuwait(${wait.name})` });
}

/** rcuwait_wake_up(): whoever waits looks at its condition once more. */
export function* rcuwait_wake_up(wait: Rcuwait): Steps {
  yield operation(WAKE_UP, 0, 0, 0, wait, {
    label: `rcuwait_wake_up(${wait.name})`,
    fact: (woken) => (woken ? 'woken' : 'nobody waits'),
  });
}
