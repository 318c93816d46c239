/**
 * Per-CPU read-write semaphores. Mirrors kernel/locking/percpu-rwsem.c and kernel/rcu/sync.c, v6.18.
 *
 * Readers count themselves on their own processor; while no writer is about, with a plain increment inside a
 * preempt-disabled section and nothing else. The first writer switches readers to the slow path and waits for a grace
 * period, so that every increment made on the fast path is visible; the fast path comes back a grace period after the
 * last writer. What the kernel does under `waiters.lock` or `rss.gp_lock` is one operation here.
 */
import {
  BLOCKED,
  defineOperation,
  inlined,
  load,
  operation,
  smp_mb,
  type Address,
  type Footprint,
  type Operation,
  type OperationContext,
  type Region,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkValues,
  is,
} from '@shootdown/machine';
import { misuse } from './misuse.ts';
import { Rcuwait, rcuwait_wait_event, rcuwait_wake_up } from './rcuwait.ts';
import type { Rcu } from './rcu.ts';

/** States of rcu_sync. */
const Sync = { GP_IDLE: 0, GP_ENTER: 1, GP_PASSED: 2, GP_EXIT: 3, GP_REPLAY: 4 } as const;

const Waiting = { no: 0, forRead: 1, forWrite: 2 } as const;

/** Barriers that a {@link PercpuRwsem} may lack (mutants). */
export interface PercpuRwsemOptions {
  /** percpu_up_read() has no smp_mb() before the counter goes down on the slow path. */
  readonly withoutBarrierB?: boolean;
}

/** A per-CPU read-write semaphore; tasks are named by their processor. */
export class PercpuRwsem {
  static {
    noteMethods(this);
  }

  readonly name: string;
  readonly rcu: Rcu;
  /**
   * Readers counted on each processor; one may have been counted on one and discounted on another, so only the sum
   * means something.
   */
  readonly readCount: Region;
  /** Read locks held per task, for misuse only. */
  readonly held: Region;
  /** 1 while a writer holds it or waits for the readers inside. */
  readonly block: Address;
  /** 0 or 1 + the writer that set `block`. */
  readonly owner: Address;
  readonly syncState: Address;
  readonly syncCount: Address;
  readonly waiting: Region;
  readonly waiters: Region;
  /** The writer that sleeps until the readers inside have left. */
  readonly writer: Rcuwait;
  readonly words: readonly number[];
  readonly withoutBarrierB: boolean;
  readonly #exit: number;

  constructor(builder: SystemBuilder, name: string, rcu: Rcu, options: PercpuRwsemOptions = {}) {
    checkValues(`percpu-rwsem: ${name}: new`, options, { withoutBarrierB: is.flag });
    const { withoutBarrierB = false } = options;
    this.name = name;
    this.withoutBarrierB = withoutBarrierB;
    this.rcu = rcu;
    const tasks = rcu.processors;
    // The counters are ordinary memory: what orders them are the barriers A to D.
    const STRONG = { memory: 'strong' } as const;
    const GHOST = { memory: 'ghost' } as const;
    const one = (what: string) => builder.region(`${name}.${what}`, 1, STRONG);
    this.readCount = builder.region(`${name}.read_count`, tasks);
    this.held = builder.region(`${name}.held`, tasks, GHOST);
    this.waiting = builder.region(`${name}.waiting`, tasks, GHOST);
    this.waiters = builder.region(`${name}.waiters`, tasks, GHOST);
    const [block, owner, state, count] = [one('block'), one('owner'), one('rss.gp_state'), one('rss.gp_count')];
    this.block = block.at(0);
    this.owner = owner.at(0);
    this.syncState = state.at(0);
    this.syncCount = count.at(0);
    const regions = [this.readCount, this.held, this.waiting, this.waiters, block, owner, state, count];
    this.words = regions.flatMap((region) => Array.from({ length: region.cells }, (_, i) => region.base + i));
    this.writer = new Rcuwait(builder, `${name}.writer`);
    this.#exit = rcu.register('rcu_sync_func', () => this.#syncFunc());
  }

  /** rcu_sync_enter(): returns when every reader takes the slow path. */
  *syncEnter(processor: number): Steps {
    const first = yield operation(SYNC_ENTER, 0, 0, 0, this, { label: `rcu_sync_enter(${this.name})` });
    if (first === 1) {
      yield* this.rcu.synchronize_rcu(processor);
      yield operation(SYNC_PASSED, 0, 0, 0, this, { label: 'rcu_sync: GP_PASSED' });
    } else {
      yield operation(SYNC_WAIT, 0, 0, 0, this, { label: 'rcu_sync: wait for GP_PASSED' });
    }
  }

  /** rcu_sync_exit(): the fast path returns after a grace period. */
  *syncExit(): Steps {
    const last = yield operation(SYNC_EXIT, 0, 0, 0, this, { label: `rcu_sync_exit(${this.name})` });
    if (last === 1) yield* this.rcu.call_rcu(this.#exit, 0);
  }

  *#syncFunc(): Steps {
    const again = yield operation(SYNC_FUNC, 0, 0, 0, this, { label: `rcu_sync_func(${this.name})` });
    if (again === 1) yield* this.rcu.call_rcu(this.#exit, 0);
  }

  take(cx: OperationContext, task: number): void {
    const counter = this.readCount.base + task;
    cx.write(counter, cx.read(counter) + 1);
    cx.write(this.held.base + task, cx.read(this.held.base + task) + 1);
    cx.write(this.waiting.base + task, Waiting.no);
  }

  enqueue(cx: OperationContext, task: number, what: number): void {
    let end = this.waiters.base;
    while (cx.read(end) !== 0) end++;
    cx.write(end, 1 + task);
    cx.write(this.waiting.base + task, what);
  }

  /**
   * percpu_rwsem_wake_function(): readers from the front of the list, up to and including the first writer that gets
   * it.
   */
  wake(cx: OperationContext): void {
    for (let first = cx.read(this.waiters.base); first !== 0; first = cx.read(this.waiters.base)) {
      const task = first - 1;
      if (cx.read(this.block) !== 0) return;
      for (let i = this.waiters.base; i < this.waiters.base + this.waiters.cells - 1; i++) cx.write(i, cx.read(i + 1));
      cx.write(this.waiters.base + this.waiters.cells - 1, 0);
      if (cx.read(this.waiting.base + task) === Waiting.forRead) {
        this.take(cx, task);
        continue;
      }
      cx.write(this.waiting.base + task, Waiting.no);
      cx.write(this.block, 1);
      cx.write(this.owner, 1 + task);
      return;
    }
  }
}

const semOf = (op: Operation): PercpuRwsem => op.data as PercpuRwsem;
const allWords = (op: Operation): Footprint => ({ reads: semOf(op).words, writes: semOf(op).words });

/** this_cpu_add(*sem->read_count, op.a): a plain read-modify-write of the own counter. */
const COUNT = defineOperation({
  name: 'this_cpu_add',
  cost: 'store',
  perform(cx, op) {
    const sem = semOf(op);
    const counter = sem.readCount.base + cx.processor;
    const held = sem.held.base + cx.processor;
    if (op.a < 0 && cx.read(held) === 0) {
      misuse(cx, 'percpu_up_read', sem.name, 'which does not hold it for reading');
      return 0;
    }
    if (!cx.storeBuffered(counter, cx.load(counter) + op.a)) return BLOCKED;
    cx.write(held, cx.read(held) + op.a);
    return 0;
  },
  footprint: (op, processor) => {
    const own = [semOf(op).readCount.base + processor, semOf(op).held.base + processor];
    return { reads: own, writes: own };
  },
});

/** percpu_rwsem_wait(): one more try under the lock of the list, then into the list. 1: has to wait. */
const QUEUE = defineOperation({
  name: 'percpu_rwsem_wait',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const sem = semOf(op);
    const free = cx.read(sem.block) === 0;
    if (op.a === Waiting.forWrite && cx.read(sem.owner) === 1 + cx.processor)
      misuse(cx, 'percpu_down_write', sem.name, 'which holds it for writing already');
    if (op.a === Waiting.forWrite && cx.read(sem.held.base + cx.processor) > 0)
      misuse(cx, 'percpu_down_write', sem.name, 'which holds it for reading');
    if (!free) {
      sem.enqueue(cx, cx.processor, op.a);
      return 1;
    }
    if (op.a === Waiting.forRead) sem.take(cx, cx.processor);
    else {
      cx.write(sem.block, 1);
      cx.write(sem.owner, 1 + cx.processor);
    }
    return 0;
  },
  footprint: allWords,
});

const WAIT = defineOperation({
  name: 'percpu_rwsem_woken',
  order: 'acquire',
  cost: 'wait',
  perform: (cx, op) => (cx.read(semOf(op).waiting.base + cx.processor) === Waiting.no ? 0 : BLOCKED),
  weak(cx, memory, op) {
    const { block, waiting } = semOf(op);
    if (cx.read(waiting.base + cx.processor) !== Waiting.no) return BLOCKED;
    memory.load(block, 'full');
    return 0;
  },
  footprint: (op, processor) => ({ reads: [semOf(op).waiting.base + processor], writes: [] }),
});

/** 1: no reader is inside. */
const READERS_ACTIVE_CHECK = defineOperation({
  name: 'readers_active_check',
  cost: 'load',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { readCount } = semOf(op);
    let sum = 0;
    for (let i = 0; i < readCount.cells; i++) sum += cx.read(readCount.base + i);
    return sum === 0 ? 1 : 0;
  },
  // Who does not look goes on as if nobody were inside.
  leftOut: () => 1,
  weak(_cx, memory, op) {
    const { readCount } = semOf(op);
    let sum = 0;
    for (let i = 0; i < readCount.cells; i++) sum += memory.load(readCount.base + i);
    // smp_mb() in readers_active_check(): C matches B.
    if (sum === 0) memory.dmb('full');
    return sum === 0 ? 1 : 0;
  },
  footprint: (op) => {
    const { readCount } = semOf(op);
    return { reads: Array.from({ length: readCount.cells }, (_, i) => readCount.base + i), writes: [] };
  },
});

const UP_WRITE = defineOperation({
  name: 'percpu_up_write',
  order: 'release',
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const sem = semOf(op);
    if (cx.read(sem.owner) !== 1 + cx.processor) {
      misuse(cx, 'percpu_up_write', sem.name, 'which does not hold it for writing');
      return 0;
    }
    cx.write(sem.owner, 0);
    cx.write(sem.block, 0);
    sem.wake(cx);
    return 0;
  },
  footprint: allWords,
});

const syncWords = (op: Operation): Footprint => {
  const words = [semOf(op).syncState, semOf(op).syncCount];
  return { reads: words, writes: words };
};

const SYNC_ENTER = defineOperation({
  name: 'rcu_sync_enter',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { syncState, syncCount } = semOf(op);
    cx.write(syncCount, cx.read(syncCount) + 1);
    if (cx.read(syncState) !== Sync.GP_IDLE) return 0;
    cx.write(syncState, Sync.GP_ENTER);
    return 1;
  },
  footprint: syncWords,
});

const SYNC_PASSED = defineOperation({
  name: 'rcu_sync_passed',
  cost: 'store',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    cx.write(semOf(op).syncState, Sync.GP_PASSED);
    return 0;
  },
  footprint: syncWords,
});

const SYNC_WAIT = defineOperation({
  name: 'rcu_sync_wait',
  cost: 'wait',
  perform: (cx, op) => (cx.read(semOf(op).syncState) >= Sync.GP_PASSED ? 0 : BLOCKED),
  footprint: (op) => ({ reads: [semOf(op).syncState], writes: [] }),
});

/** 1: a grace period has to be started. */
const SYNC_EXIT = defineOperation({
  name: 'rcu_sync_exit',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { syncState, syncCount } = semOf(op);
    cx.write(syncCount, cx.read(syncCount) - 1);
    if (cx.read(syncCount) > 0) return 0;
    const passed = cx.read(syncState) === Sync.GP_PASSED;
    cx.write(syncState, passed ? Sync.GP_EXIT : Sync.GP_REPLAY);
    return passed ? 1 : 0;
  },
  footprint: syncWords,
});

/** 1: writers came and went meanwhile, one more grace period. */
const SYNC_FUNC = defineOperation({
  name: 'rcu_sync_func',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { syncState, syncCount } = semOf(op);
    const replay = cx.read(syncCount) === 0 && cx.read(syncState) === Sync.GP_REPLAY;
    cx.write(syncState, cx.read(syncCount) > 0 ? Sync.GP_PASSED : replay ? Sync.GP_EXIT : Sync.GP_IDLE);
    return replay ? 1 : 0;
  },
  footprint: syncWords,
});

/** rcu_sync_is_idle(), inside the preempt-disabled section that makes the answer stay true. */
function* rcu_sync_is_idle(sem: PercpuRwsem): Steps<boolean> {
  const state = yield* load(sem.syncState, {
    label: `rcu_sync_is_idle(${sem.name})`,
    fact: (s) => (s === Sync.GP_IDLE ? 'fast path' : 'slow path'),
  });
  return state === Sync.GP_IDLE;
}

function* thisCpuAdd(sem: PercpuRwsem, delta: number): Steps {
  const label = `this_cpu_${delta > 0 ? 'inc' : 'dec'}(${sem.name}.read_count)`;
  yield operation(COUNT, delta, 0, 0, sem, { label });
}

/** percpu_down_read(): sleeps while a writer holds the semaphore or waits for its readers. */
export const percpu_down_read = inlined(function* (sem: PercpuRwsem, processor: number): Steps {
  yield* sem.rcu.rcu_read_lock();
  const fast = yield* rcu_sync_is_idle(sem);
  yield* thisCpuAdd(sem, 1);
  if (!fast) {
    yield* smp_mb({ label: 'smp_mb() (A matches D)' });
    const blocked = yield* load(sem.block, { label: `${sem.name}.block`, fact: (b) => (b ? 'writer' : 'no writer') });
    if (blocked !== 0) {
      yield* thisCpuAdd(sem, -1);
      // The writer may have counted this reader.
      yield* rcuwait_wake_up(sem.writer);
    }
    yield* sem.rcu.rcu_read_unlock(processor);
    if (blocked === 0) return;
    const waits = yield operation(QUEUE, Waiting.forRead, 0, 0, sem, {
      label: `percpu_rwsem_wait(${sem.name})`,
      fact: (r) => (r ? 'queued' : undefined),
    });
    if (waits === 1) yield operation(WAIT, 0, 0, 0, sem, { label: `percpu_down_read(${sem.name}) returns` });
    return;
  }
  yield* sem.rcu.rcu_read_unlock(processor);
});

/** percpu_up_read(): on the slow path the writer is woken. The RCU section keeps the answer true until then. */
export const percpu_up_read = inlined(function* (sem: PercpuRwsem, processor: number): Steps {
  yield* sem.rcu.rcu_read_lock();
  const fast = yield* rcu_sync_is_idle(sem);
  if (!fast && !sem.withoutBarrierB) yield* smp_mb({ label: 'smp_mb() (B matches C)' });
  yield* thisCpuAdd(sem, -1);
  if (!fast) yield* rcuwait_wake_up(sem.writer);
  yield* sem.rcu.rcu_read_unlock(processor);
});

/**
 * percpu_down_write(): sleeps for a grace period (unless another writer has just been) and until all readers have left.
 */
export const percpu_down_write = inlined(function* (sem: PercpuRwsem, processor: number): Steps {
  yield* sem.syncEnter(processor);
  const waits = yield operation(QUEUE, Waiting.forWrite, 0, 0, sem, {
    label: `percpu_down_write(${sem.name})`,
    fact: (r) => (r ? 'queued' : undefined),
  });
  if (waits === 1) yield operation(WAIT, 0, 0, 0, sem, { label: `percpu_down_write(${sem.name}) woken` });
  yield* rcuwait_wait_event(sem.writer, () => readers_active_check(sem));
});

function* readers_active_check(sem: PercpuRwsem): Steps<boolean> {
  const none = yield operation(READERS_ACTIVE_CHECK, 0, 0, 0, sem, {
    label: `readers_active_check(${sem.name})`,
    fact: (answer) => (answer ? 'none' : 'readers inside'),
  });
  return none === 1;
}

/** percpu_up_write(). */
export const percpu_up_write = inlined(function* (sem: PercpuRwsem): Steps {
  yield operation(UP_WRITE, 0, 0, 0, sem, { label: `percpu_up_write(${sem.name})` });
  yield* sem.syncExit();
});
