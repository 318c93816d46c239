/**
 * What programs of their own may call: atomics, spinlocks, RCU, barriers, by the names and with the ordering of the
 * kernel's memory model (Documentation/memory-barriers.txt and atomic_t.txt, tools/memory-model/linux-kernel.def,
 * v6.18).
 */
import {
  accessOf,
  acquireWord,
  addTo,
  assertThat,
  atomicAdd,
  BLOCKED,
  clearIn,
  defineOperation,
  operation,
  performAccess,
  setIn,
  smp_mb,
  smp_rmb,
  swapIf,
  swapTo,
  toggleIn,
  waitFor,
  type Access,
  type Modify,
  type Operation,
  type OperationContext,
  type Steps,
} from '@shootdown/machine';
import type { Call, CFunction } from '../run/offer.ts';
import type { ProgramKernel } from './kernel.ts';

type Primitive = CFunction<ProgramKernel>;
type ProgramCall = Call<ProgramKernel>;

/** `''`: fully ordered. */
const ORDERS = ['', '_acquire', '_release', '_relaxed'] as const;
type Order = (typeof ORDERS)[number];

/** What the order of a read-modify-write says to the machine. */
function ordering(order: Order): Pick<Access, 'acquire' | 'release'> {
  return {
    acquire: order === '' || order === '_acquire' ? 'full' : 'none',
    release: order === '' || order === '_release',
  };
}

interface Update {
  readonly call: ProgramCall;
  readonly name: string;
  readonly word: number;
  readonly args: readonly number[];
  readonly modify: Modify;
  readonly order: Order;
  /** Nobody gets its value: it orders nothing (atomic_t.txt, "ORDERING"). */
  readonly discards?: boolean;
}

/** One atomic read-modify-write; returns the old value. */
function update({ call, name, word, args, modify, order, discards = false }: Update): Steps<number> {
  const { kernel, dependencies } = call;
  const address = kernel.addressOf(word);
  const shown = [...args.map((arg) => kernel.show(arg)), kernel.nameOf(word)];
  const access = accessOf({
    kind: 'update',
    address,
    modify,
    ...ordering(discards ? '_relaxed' : order),
    discards,
    dependencies,
  });
  return kernel.watched(
    performAccess(access, { label: `${name}(${shown.join(', ')})`, fact: (v) => kernel.show(v) }),
    word,
    true,
  );
}

/** atomic_inc() and so on: no value, no order. */
const silent = (name: string, modify: (value: number) => Modify): Primitive =>
  function* (call: ProgramCall, value: number, word: number): Steps {
    yield* update({ call, name, word, args: [value], modify: modify(value), order: '_relaxed', discards: true });
  };

/** atomic_add_return(), atomic_fetch_add() and so on. */
const valued = (
  name: string,
  order: Order,
  modify: (value: number) => Modify,
  result: (old: number, now: number) => number | boolean,
): Primitive =>
  function* (call: ProgramCall, value: number, word: number): Steps<number | boolean> {
    const made = modify(value);
    const old = yield* update({ call, name, word, args: [value], modify: made, order });
    return result(old, made.apply(old) ?? old);
  };

/** The same for functions that take only the atomic: `atomic_inc_return(v)`. */
const unary =
  (primitive: Primitive, value: number): Primitive =>
  (call: ProgramCall, word: number) =>
    (primitive as (c: ProgramCall, v: number, w: number) => Steps<number>)(call, value, word);

const subTo = (value: number): Modify => addTo(-value | 0);
const clearTo = (value: number): Modify => clearIn(~value);

function atomics(): Record<string, Primitive> {
  const made: Record<string, Primitive> = {
    'int atomic_read(const atomic_t *v)': access('load', 'atomic_read', 'none'),
    'int atomic_read_acquire(const atomic_t *v)': access('load', 'atomic_read_acquire', 'full'),
    'void atomic_set(atomic_t *v, int i)': stored('atomic_set', false),
    'void atomic_set_release(atomic_t *v, int i)': stored('atomic_set_release', true),
    'void atomic_inc(atomic_t *v)': unary(silent('atomic_inc', addTo), 1),
    'void atomic_dec(atomic_t *v)': unary(silent('atomic_dec', subTo), 1),
    'bool atomic_dec_and_test(atomic_t *v)': unary(
      valued('atomic_dec_and_test', '', subTo, (_, now) => now === 0),
      1,
    ),
    'bool atomic_inc_and_test(atomic_t *v)': unary(
      valued('atomic_inc_and_test', '', addTo, (_, now) => now === 0),
      1,
    ),
    'bool atomic_sub_and_test(int i, atomic_t *v)': valued('atomic_sub_and_test', '', subTo, (_, now) => now === 0),
    'bool atomic_add_negative(int i, atomic_t *v)': valued('atomic_add_negative', '', addTo, (_, now) => now < 0),
    'bool atomic_add_unless(atomic_t *v, int a, int u)': addUnlessEqual(
      'atomic_add_unless',
      (old, unless) => old !== unless,
    ),
    'int atomic_fetch_add_unless(atomic_t *v, int a, int u)': addUnlessEqual('atomic_fetch_add_unless', (old) => old),
    'bool atomic_inc_not_zero(atomic_t *v)': (call: ProgramCall, word: number) =>
      addUnless(call, 'atomic_inc_not_zero', word, 1, 0, (old) => old !== 0),
  };
  for (const [name, modify] of [
    ['add', addTo],
    ['sub', subTo],
    ['and', clearTo],
    ['or', setIn],
    ['xor', toggleIn],
    ['andnot', clearIn],
  ] as const)
    made[`void atomic_${name}(int i, atomic_t *v)`] = silent(`atomic_${name}`, modify);
  for (const order of ORDERS) {
    for (const [name, modify] of [
      ['add', addTo],
      ['sub', subTo],
    ] as const) {
      const returning = `atomic_${name}_return${order}`;
      made[`int ${returning}(int i, atomic_t *v)`] = valued(returning, order, modify, (_, now) => now);
    }
    for (const [name, modify] of [
      ['add', addTo],
      ['sub', subTo],
      ['and', clearTo],
      ['or', setIn],
      ['xor', toggleIn],
      ['andnot', clearIn],
    ] as const) {
      const fetching = `atomic_fetch_${name}${order}`;
      made[`int ${fetching}(int i, atomic_t *v)`] = valued(fetching, order, modify, (old) => old);
    }
    for (const [name, modify] of [
      ['inc', addTo],
      ['dec', subTo],
    ] as const) {
      made[`int atomic_${name}_return${order}(atomic_t *v)`] = unary(
        valued(`atomic_${name}_return${order}`, order, modify, (_, now) => now),
        1,
      );
      made[`int atomic_fetch_${name}${order}(atomic_t *v)`] = unary(
        valued(`atomic_fetch_${name}${order}`, order, modify, (old) => old),
        1,
      );
    }
    made[`int atomic_xchg${order}(atomic_t *v, int i)`] = (call: ProgramCall, word: number, value: number) =>
      update({ call, name: `atomic_xchg${order}`, word, args: [value], modify: swapTo(value), order });
    made[`int atomic_cmpxchg${order}(atomic_t *v, int o, int n)`] = (
      call: ProgramCall,
      word: number,
      old: number,
      now: number,
    ) =>
      update({
        call,
        name: `atomic_cmpxchg${order}`,
        word,
        args: [old, now],
        modify: swapIf(old, now),
        order,
      });
  }
  return made;
}

function addUnless(
  call: ProgramCall,
  name: string,
  word: number,
  value: number,
  unless: number,
  result: (old: number) => number | boolean,
  order: Order = '',
): Steps<number | boolean> {
  const modify: Modify = {
    key: `add ${value} unless ${unless}`,
    compares: false,
    computes: true,
    apply: (old) => (old === unless ? null : (old + value) | 0),
  };
  return (function* () {
    return result(yield* update({ call, name, word, args: [value, unless], modify, order }));
  })();
}

const addUnlessEqual =
  (name: string, result: (old: number, unless: number) => number | boolean): Primitive =>
  (call: ProgramCall, word: number, value: number, unless: number) =>
    addUnless(call, name, word, value, unless, (old) => result(old, unless));

function access(kind: 'load', name: string, acquire: Access['acquire']): Primitive {
  return ({ kernel, dependencies }: ProgramCall, word: number) =>
    kernel.watched(
      performAccess(accessOf({ kind, address: kernel.addressOf(word), acquire, dependencies }), {
        label: `${name}(${kernel.nameOf(word)})`,
        fact: (v) => kernel.show(v),
      }),
      word,
      false,
    );
}

function stored(name: string, release: boolean): Primitive {
  return function* ({ kernel, dependencies }: ProgramCall, word: number, value: number): Steps {
    const stores = accessOf({ kind: 'store', address: kernel.addressOf(word), value, release, dependencies });
    yield* kernel.watched(
      performAccess(stores, { label: `${name}(${kernel.nameOf(word)}, ${kernel.show(value)})` }),
      word,
      true,
    );
  };
}

/** Violated by what makes the kernel warn and saturate the count (REFCOUNT_ADD_UAF, REFCOUNT_DEC_LEAK and so on). */
const REFCOUNT_MISUSE = 'no reference count is taken up again from 0, falls below it, or to it unseen';

/** refcount_t (include/linux/refcount.h): increments order nothing, decrements release, the last one acquires. */
const refcounts: Record<string, Primitive> = {
  'unsigned int refcount_read(const refcount_t *r)': access('load', 'refcount_read', 'none'),
  'void refcount_set(refcount_t *r, int n)': stored('refcount_set', false),
  'void refcount_inc(refcount_t *r)': function* (call: ProgramCall, word: number): Steps {
    yield* counted(call, 'refcount_inc', word, addTo(1), '_relaxed');
  },
  'bool refcount_inc_not_zero(refcount_t *r)': (call: ProgramCall, word: number) =>
    addUnless(call, 'refcount_inc_not_zero', word, 1, 0, (old) => old !== 0, '_relaxed'),
  'void refcount_dec(refcount_t *r)': function* (call: ProgramCall, word: number): Steps {
    // Whoever puts the last reference by it frees nothing: REFCOUNT_DEC_LEAK.
    yield* counted(call, 'refcount_dec', word, subTo(1), '_release', 2);
  },
  'bool refcount_dec_and_test(refcount_t *r)': function* (call: ProgramCall, word: number): Steps<boolean> {
    const last = (yield* counted(call, 'refcount_dec_and_test', word, subTo(1), '_release')) === 1;
    if (last) yield* smp_rmb({ label: 'smp_acquire__after_ctrl_dep()' });
    return last;
  },
};

/** A change of a count that is at least so high; returns what it was. */
function* counted(
  call: ProgramCall,
  name: string,
  word: number,
  modify: Modify,
  order: Order,
  least = 1,
): Steps<number> {
  const old = yield* update({ call, name, word, args: [], modify, order });
  if (old < least) yield* assertThat(false, REFCOUNT_MISUSE);
  return old;
}

/** Violated by giving back what the CPU has not taken: the sentence that the locks of the kernel routines have. */
const LOCK_MISUSE = 'no lock misuse';

/** What the word of a lock holds while this CPU has it. */
const heldBy = (cpu: number): number => 1 + cpu;

const UNLOCK = defineOperation({
  name: 'spin_unlock',
  cost: 'store',
  perform(cx, op) {
    const held = cx.load(op.a) === op.b;
    if (!cx.storeBuffered(op.a, 0)) return BLOCKED;
    if (!held) failsUnlock(cx, op);
    return 0;
  },
  weak(cx, memory, op) {
    // While a CPU has the lock, nobody else stores to it.
    if (cx.read(op.a) !== op.b) failsUnlock(cx, op);
    memory.access({ kind: 'store', address: op.a, value: 0, release: true });
    return 0;
  },
  footprint: ({ a }) => ({ reads: [a], writes: [a] }),
});

function failsUnlock(cx: OperationContext, { label }: Operation): void {
  cx.fail(LOCK_MISUSE, () => `${label ?? 'spin_unlock()'} on processor ${cx.processor}, which does not hold it`);
}

/** A spinlock is a word: taking it acquires, giving it back releases. */
const locks: Record<string, Primitive> = {
  'void spin_lock(spinlock_t *lock)': ({ kernel, cpu }: ProgramCall, word: number) =>
    acquireWord(kernel.addressOf(word), -1, heldBy(cpu), { label: `spin_lock(${kernel.nameOf(word)})` }),
  'void spin_unlock(spinlock_t *lock)': function* ({ kernel, cpu }: ProgramCall, word: number): Steps {
    const label = `spin_unlock(${kernel.nameOf(word)})`;
    yield operation(UNLOCK, kernel.addressOf(word), heldBy(cpu), 0, undefined, { label });
  },
  'bool spin_trylock(spinlock_t *lock)': function* (call: ProgramCall, word: number): Steps<boolean> {
    const modify = swapIf(0, heldBy(call.cpu));
    return (yield* update({ call, name: 'spin_trylock', word, args: [], modify, order: '_acquire' })) === 0;
  },
  'bool spin_is_locked(spinlock_t *lock)': function* (
    { kernel, dependencies }: ProgramCall,
    word: number,
  ): Steps<boolean> {
    const loads = accessOf({ kind: 'load', address: kernel.addressOf(word), dependencies });
    return (yield* performAccess(loads, { label: `spin_is_locked(${kernel.nameOf(word)})` })) !== 0;
  },
};

/**
 * RCU as a word per thread: how deep it is in read-side sections. A grace period waits until every other thread has
 * been outside of all, and its own, too: within one it waits for ever. The barriers are those of a user-space
 * implementation, which is at least as strong as the kernel's.
 */
const rcu: Record<string, Primitive> = {
  'void rcu_read_lock(void)': function* ({ kernel, cpu }: ProgramCall): Steps {
    yield* atomicAdd(kernel.section(cpu), 1, { label: 'rcu_read_lock()' });
    yield* smp_mb({ label: 'rcu_read_lock(): ordered' });
  },
  'void rcu_read_unlock(void)': function* ({ kernel, cpu }: ProgramCall): Steps {
    yield* smp_mb({ label: 'rcu_read_unlock(): ordered' });
    const depth = yield* atomicAdd(kernel.section(cpu), -1, { label: 'rcu_read_unlock()' });
    if (depth < 0) yield* assertThat(false, LOCK_MISUSE);
  },
  'void synchronize_rcu(void)': gracePeriod,
  'void synchronize_rcu_expedited(void)': gracePeriod,
};

function* gracePeriod({ kernel, cpu }: ProgramCall): Steps {
  yield* smp_mb({ label: 'synchronize_rcu()' });
  for (const other of [kernel.section(cpu), ...kernel.sections.filter((_, i) => i !== cpu)])
    yield* waitFor(other, -1, 0, { label: 'synchronize_rcu(): waits for readers' });
  yield* smp_mb({ label: 'synchronize_rcu(): done' });
}

const barriers: Record<string, Primitive> = {
  'void smp_mb__after_spinlock(void)': () => smp_mb({ label: 'smp_mb__after_spinlock()' }),
  'void smp_mb__after_unlock_lock(void)': () => smp_mb({ label: 'smp_mb__after_unlock_lock()' }),
  'void smp_mb__after_srcu_read_unlock(void)': () => smp_mb(),
};

/** Types and initializers of the above. */
export const PROGRAM_HEADER = `
typedef struct { int counter; } atomic_t;
typedef struct { int refs; } refcount_t;
typedef struct { int locked; } spinlock_t;
#define ATOMIC_INIT(i) { (i) }
#define REFCOUNT_INIT(n) { (n) }
#define DEFINE_SPINLOCK(name) spinlock_t name
#define spin_lock_init(lock) ((void)0)
#define kfree(x) ((void)(x))
#define smp_read_barrier_depends() ((void)0)
`;

/** By their prototypes. */
export const primitives: Readonly<Record<string, Primitive>> = {
  ...atomics(),
  ...refcounts,
  ...locks,
  ...rcu,
  ...barriers,
};
