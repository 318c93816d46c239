/**
 * Mutexes. Mirrors kernel/locking/mutex.c, v6.18: both ends are a cmpxchg on `owner`, hence full barriers on x86.
 * The wait list is not modelled, for the reason given in `spinlock.ts`.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Address,
  type Operation,
  type Steps,
  type SystemBuilder,
  noted,
} from '@shootdown/machine';
import { closes, misuse, opens, SELF, taskOf, type Task } from './misuse.ts';
import { formatHolder } from './spinlock.ts';

/** A mutex: `owner` is 0 or 1 + the task that holds it. */
export class Mutex {
  readonly name: string;
  readonly owner: Address;

  constructor(builder: SystemBuilder, name: string) {
    this.name = name;
    this.owner = builder.region(name, 1, { format: formatHolder, memory: 'strong', lineWords: 1 }).at(0);
  }
}

const mutexOf = (op: Operation): Mutex => op.data as Mutex;
const nameOf = (op: Operation): string => mutexOf(op).name;
const footprint = (op: Operation) => ({ reads: [op.a], writes: [op.a] });

const LOCK = defineOperation({
  name: 'mutex_lock',
  order: 'acquire',
  ...opens(nameOf),
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const me = 1 + taskOf(cx, op.b);
    const owner = cx.read(op.a);
    if (owner === me) misuse(cx, 'mutex_lock', mutexOf(op).name, 'which holds it already');
    else if (owner !== 0) return BLOCKED;
    cx.write(op.a, me);
    return 0;
  },
  footprint,
});

/** A trylock that sees the mutex taken is a plain load and orders nothing. */
const TRYLOCK = defineOperation({
  name: 'mutex_trylock',
  order: 'acquire',
  ...opens(nameOf, 1),
  cost: 'cmpxchg',
  perform(cx, op) {
    if (cx.load(op.a) !== 0) return 0;
    if (!cx.drained() || cx.read(op.a) !== 0) return BLOCKED;
    cx.write(op.a, 1 + taskOf(cx, op.b));
    return 1;
  },
  footprint,
});

const UNLOCK = defineOperation({
  name: 'mutex_unlock',
  order: 'release',
  ...closes(nameOf),
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    if (cx.read(op.a) !== 1 + taskOf(cx, op.b)) misuse(cx, 'mutex_unlock', mutexOf(op).name, 'which does not hold it');
    cx.write(op.a, 0);
    return 0;
  },
  footprint,
});

/** mutex_lock(): sleeps until the mutex is free. */
export const mutex_lock = noted(function* mutex_lock(mutex: Mutex, task: Task = SELF): Steps {
  yield operation(LOCK, mutex.owner, task, 0, mutex, { label: `mutex_lock(${mutex.name})` });
});

/** mutex_trylock(): 1 if the mutex was free and is now held. */
export const mutex_trylock = noted(function* mutex_trylock(mutex: Mutex, task: Task = SELF): Steps<number> {
  return yield operation(TRYLOCK, mutex.owner, task, 0, mutex, {
    label: `mutex_trylock(${mutex.name})`,
    fact: (r) => (r ? 'locked' : 'taken'),
  });
});

/** mutex_unlock(). */
export const mutex_unlock = noted(function* mutex_unlock(mutex: Mutex, task: Task = SELF): Steps {
  yield operation(UNLOCK, mutex.owner, task, 0, mutex, { label: `mutex_unlock(${mutex.name})` });
});
