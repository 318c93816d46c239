/**
 * Read-write semaphores. Mirrors kernel/locking/rwsem.c, v6.18: count bits, FIFO list of waiters, who is woken by whom.
 *
 * - A reader that finds a writer or a waiter does not get in: a queued writer blocks new readers, so a task that takes
 *   a read
 *   lock twice deadlocks when a writer comes in between.
 * - A lock that is free while somebody waits for it may be stolen, unless the first waiter has set RWSEM_FLAG_HANDOFF,
 *   which
 *   it does after 4 ms. Time is not modelled, so both outcomes are explored.
 * - A release that finds a reader first in the list lets in *all* readers of the list, also those behind a writer.
 *
 * Every operation is one atomic read-modify-write on `count`, with what happens under `wait_lock` folded in; on x86
 * these are full barriers (LOCK CMPXCHG, LOCK XADD), up_read() and up_write() included. On arm64 they are an acquire
 * and a release. A writer that spins on the owner before it queues is a writer that comes later. In a run, a waiter
 * counts as spinning for as long as it waits (rwsem_optimistic_spin()): that the kernel stops when the owner sleeps,
 * and that readers do not spin since v5.11, is left out.
 */
import {
  BLOCKED,
  defineOperation,
  inlined,
  ModelError,
  operation,
  type Address,
  type Footprint,
  type Operation,
  type OperationContext,
  type Region,
  type Steps,
  type SystemBuilder,
  noted,
} from '@shootdown/machine';
import { closes, misuse, opens, SELF, taskOf, type Task } from './misuse.ts';

/** Bits of `count`. RWSEM_FLAG_HANDOFF is not among them: it is what the explored choice "may steal" stands for. */
export const RWSEM_WRITER_LOCKED = 1 << 0;
/** count: somebody is in the list of waiters. */
export const RWSEM_FLAG_WAITERS = 1 << 1;
/** count: one reader. */
export const RWSEM_READER_BIAS = 1 << 8;

const RWSEM_READER_MASK = -RWSEM_READER_BIAS;
const RWSEM_LOCK_MASK = RWSEM_WRITER_LOCKED | RWSEM_READER_MASK;

const Waiting = { no: 0, forRead: 1, forWrite: 2 } as const;

/** Results of the first step of down_read() and down_write(). */
const ACQUIRED = 0;
const QUEUED = 1;

/** A read-write semaphore for tasks 0 .. `tasks` - 1. */
export class Rwsem {
  readonly name: string;
  readonly tasks: number;
  /** Writer bit, waiters bit, readers. */
  readonly count: Address;
  /** 0 or 1 + the task that holds it for writing. */
  readonly owner: Address;
  /** Read locks held, per task. The kernel does not know this; lockdep does. */
  readonly held: Region;
  /** Per task: whether it waits, and for what. */
  readonly waiting: Region;
  /** Tasks that wait, 1 + task, oldest first. */
  readonly waitList: Region;
  /** Every word of this lock. */
  readonly words: readonly number[];

  /** @param tasks how many tasks use it: by default one per processor, numbered as these are */
  constructor(builder: SystemBuilder, name: string, tasks: number) {
    this.name = name;
    this.tasks = tasks;
    const lock = builder.region(`${name}.count`, 1, { format: formatCount, memory: 'strong', lineWords: 1 });
    const owner = builder.region(`${name}.owner`, 1, { memory: 'ghost' });
    this.held = builder.region(`${name}.held`, tasks, { memory: 'ghost' });
    this.waiting = builder.region(`${name}.waiting`, tasks, { memory: 'ghost' });
    this.waitList = builder.region(`${name}.wait_list`, tasks, { memory: 'ghost' });
    this.count = lock.at(0);
    this.owner = owner.at(0);
    const regions = [lock, owner, this.held, this.waiting, this.waitList];
    this.words = regions.flatMap((region) => Array.from({ length: region.cells }, (_, i) => region.base + i));
  }

  /** rwsem_mark_wake() when the lock has become free or read-owned: only readers are let in from outside. */
  wakeReaders(cx: OperationContext): void {
    const first = this.firstWaiter(cx);
    if (first < 0 || cx.read(this.waiting.base + first) !== Waiting.forRead) return;
    const writers: number[] = [];
    for (let i = 0; i < this.tasks; i++) {
      const task = cx.read(this.waitList.base + i) - 1;
      if (task < 0) break;
      if (cx.read(this.waiting.base + task) === Waiting.forWrite) {
        writers.push(task);
        continue;
      }
      this.takeRead(cx, task);
      cx.write(this.waiting.base + task, Waiting.no);
    }
    this.#setList(cx, writers);
  }

  /** The task that performs an operation. Throws ModelError if the lock was not made for so many. */
  taskOf(cx: OperationContext, operand: number): number {
    const task = taskOf(cx, operand);
    if (task >= this.tasks)
      throw new ModelError(`sync: ${this.name}: task ${task}, made for ${this.tasks}: give it more (tasks)`);
    return task;
  }

  firstWaiter(cx: OperationContext): number {
    return cx.read(this.waitList.base) - 1;
  }

  /**
   * Words of which one changes before a task gets the lock: the first waits for the holder, others for who is before.
   */
  waitsFor(read: (address: number) => number, task: number): readonly number[] {
    if (read(this.waitList.base) === 1 + task) return [this.waitList.base, this.count];
    for (let i = 1; i < this.tasks; i++) {
      if (read(this.waitList.base + i) === 1 + task) return [this.waiting.base + read(this.waitList.base + i - 1) - 1];
    }
    return this.words;
  }

  /** rwsem_add_waiter(). */
  enqueue(cx: OperationContext, task: number, what: number): void {
    let end = this.waitList.base;
    while (cx.read(end) !== 0) end++;
    cx.write(end, 1 + task);
    cx.write(this.waiting.base + task, what);
    cx.write(this.count, cx.read(this.count) | RWSEM_FLAG_WAITERS);
  }

  /** rwsem_del_waiter() for the first one. */
  dequeue(cx: OperationContext): void {
    const first = this.firstWaiter(cx);
    if (first >= 0) cx.write(this.waiting.base + first, Waiting.no);
    const rest: number[] = [];
    for (let i = 1; i < this.tasks; i++) {
      const task = cx.read(this.waitList.base + i) - 1;
      if (task < 0) break;
      rest.push(task);
    }
    this.#setList(cx, rest);
  }

  #setList(cx: OperationContext, tasks: readonly number[]): void {
    for (let i = 0; i < this.tasks; i++) {
      const task = tasks[i];
      if (task === undefined && cx.read(this.waitList.base + i) === 0) break;
      cx.write(this.waitList.base + i, 1 + (task ?? -1));
    }
    if (tasks.length === 0) cx.write(this.count, cx.read(this.count) & ~RWSEM_FLAG_WAITERS);
  }

  takeRead(cx: OperationContext, task: number): void {
    cx.write(this.count, cx.read(this.count) + RWSEM_READER_BIAS);
    cx.write(this.held.base + task, cx.read(this.held.base + task) + 1);
  }

  takeWrite(cx: OperationContext, task: number): void {
    cx.write(this.count, cx.read(this.count) | RWSEM_WRITER_LOCKED);
    cx.write(this.owner, 1 + task);
  }
}

function formatCount(count: number): string {
  const readers = count >> 8;
  const holder = count & RWSEM_WRITER_LOCKED ? 'write-locked' : readers > 0 ? `${readers} readers` : 'unlocked';
  return count & RWSEM_FLAG_WAITERS ? `${holder}, waiters` : holder;
}

const semOf = (op: Operation): Rwsem => op.data as Rwsem;
const forReading = (op: Operation): string => `${semOf(op).name} for reading`;
const forWriting = (op: Operation): string => `${semOf(op).name} for writing`;
const allWords = (op: Operation): Footprint => ({ reads: semOf(op).words, writes: semOf(op).words });

/** A lock that is free although somebody waits for it: rwsem_down_*_slowpath() may take it out of turn. */
function canSteal(cx: OperationContext, op: Operation): boolean {
  return (cx.read(semOf(op).count) & (RWSEM_LOCK_MASK | RWSEM_FLAG_WAITERS)) === RWSEM_FLAG_WAITERS;
}

const DOWN_READ = defineOperation({
  name: 'down_read',
  order: 'acquire',
  ...opens(forReading),
  cost: 'cmpxchg',
  branches: (cx, op) => (canSteal(cx, op) ? 2 : 1),
  perform(cx, op, branch) {
    if (!cx.drained()) return BLOCKED;
    const sem = semOf(op);
    const task = sem.taskOf(cx, op.a);
    if (cx.read(sem.owner) === 1 + task) misuse(cx, 'down_read', sem.name, 'which holds it for writing');
    const count = cx.read(sem.count);
    const steals = canSteal(cx, op) && branch === 0;
    if ((count & (RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS)) === 0 || steals) {
      sem.takeRead(cx, task);
      if (steals) sem.wakeReaders(cx);
      return ACQUIRED;
    }
    sem.enqueue(cx, task, Waiting.forRead);
    return QUEUED;
  },
  footprint: allWords,
});

const WAIT_READ = defineOperation({
  name: 'down_read_wait',
  role: 'part',
  cost: 'wait',
  spins: true,
  perform: (cx, op) => (cx.read(semOf(op).waiting.base + semOf(op).taskOf(cx, op.a)) === Waiting.no ? 0 : BLOCKED),
  weak(cx, memory, op) {
    const { count, waiting } = semOf(op);
    if (cx.read(waiting.base + semOf(op).taskOf(cx, op.a)) !== Waiting.no) return BLOCKED;
    // Whoever has let it in had acquired the lock's word.
    memory.load(count, 'full');
    return 0;
  },
  footprint: (op, processor) => ({ reads: [semOf(op).waiting.base + (op.a === SELF ? processor : op.a)], writes: [] }),
});

const DOWN_WRITE = defineOperation({
  name: 'down_write',
  order: 'acquire',
  ...opens(forWriting),
  cost: 'cmpxchg',
  branches: (cx, op) => (canSteal(cx, op) ? 2 : 1),
  perform(cx, op, branch) {
    if (!cx.drained()) return BLOCKED;
    const sem = semOf(op);
    const task = sem.taskOf(cx, op.a);
    if (cx.read(sem.owner) === 1 + task) misuse(cx, 'down_write', sem.name, 'which holds it for writing already');
    else if (cx.read(sem.held.base + task) > 0) misuse(cx, 'down_write', sem.name, 'which holds it for reading');
    if (cx.read(sem.count) === 0 || (canSteal(cx, op) && branch === 0)) {
      sem.takeWrite(cx, task);
      return ACQUIRED;
    }
    sem.enqueue(cx, task, Waiting.forWrite);
    return QUEUED;
  },
  footprint: allWords,
});

/** rwsem_try_write_lock() by the first waiter. */
const WAIT_WRITE = defineOperation({
  name: 'down_write_wait',
  order: 'acquire',
  role: 'part',
  cost: 'cmpxchg',
  spins: true,
  perform(cx, op) {
    const sem = semOf(op);
    const task = sem.taskOf(cx, op.a);
    if (!cx.drained() || sem.firstWaiter(cx) !== task || (cx.read(sem.count) & RWSEM_LOCK_MASK) !== 0) return BLOCKED;
    sem.dequeue(cx);
    sem.takeWrite(cx, task);
    return 0;
  },
  footprint: allWords,
  waitsFor(read, op, processor) {
    const sem = semOf(op);
    return sem.waitsFor(read, op.a === SELF ? processor : op.a);
  },
});

/** Looks first, like spin_trylock(): one that fails is a plain load. */
const TRY_READ = defineOperation({
  name: 'down_read_trylock',
  order: 'acquire',
  ...opens(forReading, 1),
  cost: 'cmpxchg',
  perform(cx, op) {
    const sem = semOf(op);
    if ((cx.load(sem.count) & (RWSEM_WRITER_LOCKED | RWSEM_FLAG_WAITERS)) !== 0) return 0;
    if (!cx.drained()) return BLOCKED;
    sem.takeRead(cx, sem.taskOf(cx, op.a));
    return 1;
  },
  footprint: allWords,
});

/** rwsem_write_trylock() is one cmpxchg: a locked instruction on x86, even if it fails. */
const TRY_WRITE = defineOperation({
  name: 'down_write_trylock',
  order: 'acquire',
  ...opens(forWriting, 1),
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const sem = semOf(op);
    if (cx.load(sem.count) !== 0) return 0;
    sem.takeWrite(cx, taskOf(cx, op.a));
    return 1;
  },
  footprint: allWords,
});

const UP_READ = defineOperation({
  name: 'up_read',
  order: 'release',
  ...closes(forReading),
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const sem = semOf(op);
    const held = sem.held.base + sem.taskOf(cx, op.a);
    if (cx.read(held) === 0) {
      misuse(cx, 'up_read', sem.name, 'which does not hold it for reading');
      return 0;
    }
    cx.write(held, cx.read(held) - 1);
    cx.write(sem.count, cx.read(sem.count) - RWSEM_READER_BIAS);
    if ((cx.read(sem.count) & RWSEM_LOCK_MASK) === 0) sem.wakeReaders(cx);
    return 0;
  },
  footprint: allWords,
});

const UP_WRITE = defineOperation({
  name: 'up_write',
  order: 'release',
  ...closes(forWriting),
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const sem = semOf(op);
    const task = sem.taskOf(cx, op.a);
    if (cx.read(sem.owner) !== 1 + task) {
      misuse(cx, op.b === DOWNGRADE ? 'downgrade_write' : 'up_write', sem.name, 'which does not hold it for writing');
      return 0;
    }
    cx.write(sem.owner, 0);
    cx.write(sem.count, cx.read(sem.count) & ~RWSEM_WRITER_LOCKED);
    if (op.b === DOWNGRADE) sem.takeRead(cx, task);
    sem.wakeReaders(cx);
    return 0;
  },
  footprint: allWords,
});

const DOWNGRADE = 1;
const TAKEN = (result: number): string => (result === 0 ? 'taken' : 'locked');
const WAITS = (result: number): string | undefined => (result === QUEUED ? 'queued' : undefined);

/** down_read(): sleeps while a writer holds the semaphore or waits for it. */
export const down_read = inlined(function* (
  sem: Rwsem,
  task: Task = SELF,
  label: string = `down_read(${sem.name})`,
): Steps {
  const queued = yield operation(DOWN_READ, task, 0, 0, sem, { label, fact: WAITS });
  if (queued === QUEUED) yield operation(WAIT_READ, task, 0, 0, sem, { label: `${label} returns` });
});

/** down_read_trylock(): 1 if no writer holds the semaphore or waits for it. Never sleeps. */
export const down_read_trylock = noted(function* down_read_trylock(
  sem: Rwsem,
  task: Task = SELF,
  label = `down_read_trylock(${sem.name})`,
): Steps<number> {
  return yield operation(TRY_READ, task, 0, 0, sem, { label, fact: TAKEN });
});

/** up_read(). */
export const up_read = noted(function* up_read(sem: Rwsem, task: Task = SELF, label = `up_read(${sem.name})`): Steps {
  yield operation(UP_READ, task, 0, 0, sem, { label });
});

/** down_write(): sleeps in FIFO order until nobody holds the semaphore. */
export const down_write = inlined(function* (
  sem: Rwsem,
  task: Task = SELF,
  label: string = `down_write(${sem.name})`,
): Steps {
  const queued = yield operation(DOWN_WRITE, task, 0, 0, sem, { label, fact: WAITS });
  if (queued === QUEUED) yield operation(WAIT_WRITE, task, 0, 0, sem, { label: `${label} returns` });
});

/** down_write_trylock(): 1 if nobody held the semaphore or waited for it. */
export const down_write_trylock = noted(function* down_write_trylock(
  sem: Rwsem,
  task: Task = SELF,
  label = `down_write_trylock(${sem.name})`,
): Steps<number> {
  return yield operation(TRY_WRITE, task, 0, 0, sem, { label, fact: TAKEN });
});

/** up_write(). */
export const up_write = noted(function* up_write(
  sem: Rwsem,
  task: Task = SELF,
  label = `up_write(${sem.name})`,
): Steps {
  yield operation(UP_WRITE, task, 0, 0, sem, { label });
});

/** downgrade_write(): goes on as a reader; readers that waited first are let in with it. */
export const downgrade_write = noted(function* downgrade_write(
  sem: Rwsem,
  task: Task = SELF,
  label = `downgrade_write(${sem.name})`,
): Steps {
  yield operation(UP_WRITE, task, DOWNGRADE, 0, sem, { label });
});
