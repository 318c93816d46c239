/**
 * Spinlocks. Mirrors include/asm-generic/qspinlock.h and kernel/locking/spinlock.c, v6.18.
 *
 * Taking one is a cmpxchg (on x86 a full barrier); releasing one is a plain store, smp_store_release(&lock->locked, 0),
 * which waits in the store buffer under `tso`. The queue of waiters is not modelled: nobody can tell a processor that
 * spins in the queue from one that has not come yet, and the order of arrival is explored anyway.
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

/** A spinlock: one word, 0 or 1 + the task that holds it. */
export class Spinlock {
  readonly name: string;
  readonly word: Address;

  constructor(builder: SystemBuilder, name: string) {
    this.name = name;
    this.word = builder.region(name, 1, { format: formatHolder, memory: 'strong', lineWords: 1 }).at(0);
  }
}

export function formatHolder(value: number): string {
  return value === 0 ? 'unlocked' : `held by ${value - 1}`;
}

const lockOf = (op: Operation): Spinlock => op.data as Spinlock;
const nameOf = (op: Operation): string => lockOf(op).name;
const footprint = (op: Operation) => ({ reads: [op.a], writes: [op.a] });

const LOCK = defineOperation({
  name: 'spin_lock',
  order: 'acquire',
  ...opens(nameOf),
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const me = 1 + taskOf(cx, op.b);
    const holder = cx.read(op.a);
    if (holder === me) misuse(cx, 'spin_lock', lockOf(op).name, 'which holds it already');
    else if (holder !== 0) return BLOCKED;
    cx.write(op.a, me);
    return 0;
  },
  footprint,
});

/** A trylock that sees the lock taken is a plain load and orders nothing; only the cmpxchg is a barrier. */
const TRYLOCK = defineOperation({
  name: 'spin_trylock',
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
  name: 'spin_unlock',
  order: 'release',
  ...closes(nameOf),
  cost: 'store',
  perform(cx, op) {
    const held = cx.load(op.a) === 1 + taskOf(cx, op.b);
    if (!cx.storeBuffered(op.a, 0)) return BLOCKED;
    if (!held) misuse(cx, 'spin_unlock', lockOf(op).name, 'which does not hold it');
    return 0;
  },
  footprint,
});

/** spin_lock(): spins until the lock is free. Taking a lock that the task holds is a {@link LOCK_MISUSE}. */
export const spin_lock = noted(function* spin_lock(lock: Spinlock, task: Task = SELF): Steps {
  yield operation(LOCK, lock.word, task, 0, lock, { label: `spin_lock(${lock.name})` });
});

/** spin_trylock(): 1 if the lock was free and is now held. */
export const spin_trylock = noted(function* spin_trylock(lock: Spinlock, task: Task = SELF): Steps<number> {
  return yield operation(TRYLOCK, lock.word, task, 0, lock, {
    label: `spin_trylock(${lock.name})`,
    fact: (r) => (r ? 'locked' : 'taken'),
  });
});

/** spin_unlock(): a store-release. */
export const spin_unlock = noted(function* spin_unlock(lock: Spinlock, task: Task = SELF): Steps {
  yield operation(UNLOCK, lock.word, task, 0, lock, { label: `spin_unlock(${lock.name})` });
});
