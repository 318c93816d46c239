/**
 * The operations every machine has: loads, stores, atomic read-modify-writes, barriers and waiting.
 *
 * Orderings are those of the machine's memory model: on `sc` a barrier costs cycles and orders nothing new; on `tso`
 * loads may pass earlier stores of the same processor, atomic read-modify-writes and `smp_mb` wait until its store
 * buffer has drained (Intel SDM vol. 3A, 11.2.2; Sewell et al., "x86-TSO", CACM 2010); on `arm` they are what arm64
 * makes of these names (arch/arm64/include/asm/barrier.h, atomic_lse.h, v6.18). The weaker forms are in `ordered.ts`.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  withDefinition,
  type Operation,
  type OperationDefinition,
  type Saying,
  type Steps,
} from './operation.ts';
import { addTo, addUnless, clearIn, setIn, swapIf, swapTo } from '../memory/modify.ts';
import type { BarrierKind, Modify } from '../memory/requests.ts';
import type { WeakContext } from './operation.ts';
import { stepOf, voidStepOf } from './unbegun.ts';
import { ModelError, printable } from '../state/errors.ts';
import type { Address } from '../state/words.ts';

/** Codes of the operations that executors inline. 0 is the end of a routine. */
export const Code = { done: 0, load: 1, store: 2, custom: 3 } as const;

const none: readonly number[] = [];
const onlyReads = (op: Operation) => ({ reads: [op.a], writes: none });
const onlyWrites = (op: Operation) => ({ reads: none, writes: [op.a] });
const both = (op: Operation) => ({ reads: [op.a], writes: [op.a] });
const nothing = () => ({ reads: none, writes: none });

/** An atomic that returns a value: a full barrier in the kernel, acquire and release (SWPAL) on Arm. */
const fully = (memory: WeakContext, address: number, modify: Modify): number =>
  memory.access({ kind: 'update', address, modify, acquire: 'full', release: true });

/** A weaker operation that one might have written, where the machine is weakly ordered: elsewhere it is no weaker. */
const insteadOnArm =
  (change: string, weaker: () => OperationDefinition): NonNullable<OperationDefinition['weaker']> =>
  (op, memoryModel) =>
    memoryModel === 'arm' ? [{ change, operation: withDefinition(op, weaker()) }] : [];

/** The same atomic with `_relaxed` behind its name. */
function relaxedForm(
  of: OperationDefinition,
  modify: (op: Operation) => Modify,
  result = (old: number, _op: Operation) => old,
) {
  return defineOperation({
    ...of,
    name: `${of.name}_relaxed`,
    cost: of.cost ?? of.name,
    weak: (_cx, memory, op) => result(memory.access({ kind: 'update', address: op.a, modify: modify(op) }), op),
  });
}

const LOAD = defineOperation({
  name: 'load',
  addressed: true,
  code: Code.load,
  role: 'read',
  perform: (cx, op) => cx.load(op.a),
  footprint: onlyReads,
});

const STORE = defineOperation({
  name: 'store',
  addressed: true,
  code: Code.store,
  role: 'store',
  perform: (cx, op) => (cx.storeBuffered(op.a, op.b) ? 0 : BLOCKED),
  footprint: onlyWrites,
});

const XCHG = defineOperation({
  name: 'xchg',
  addressed: true,
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const old = cx.read(op.a);
    cx.write(op.a, op.b);
    return old;
  },
  halves: { address: (op) => op.a, stored: (op) => op.b },
  weak: (_cx, memory, op) => fully(memory, op.a, swapTo(op.b)),
  weaker: insteadOnArm('relaxed-instead', () => XCHG_RELAXED),
  footprint: both,
});

const CMPXCHG = defineOperation({
  name: 'cmpxchg',
  addressed: true,
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const old = cx.read(op.a);
    if (old === op.b) cx.write(op.a, op.c);
    return old;
  },
  halves: { address: (op) => op.a, stored: (op, old) => (old === op.b ? op.c : null) },
  weak: (_cx, memory, op) => fully(memory, op.a, swapIf(op.b, op.c)),
  weaker: insteadOnArm('relaxed-instead', () => CMPXCHG_RELAXED),
  footprint: both,
});

const ADD = defineOperation({
  name: 'atomic_add_return',
  addressed: true,
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const value = (cx.read(op.a) + op.b) | 0;
    cx.write(op.a, value);
    return value;
  },
  halves: { address: (op) => op.a, stored: (_op, sum) => sum },
  pair: (op) => ({ end: 'close', of: `word ${op.a} by ${-op.b}` }),
  weak: (_cx, memory, op) => (fully(memory, op.a, addTo(op.b)) + op.b) | 0,
  weaker: insteadOnArm('relaxed-instead', () => ADD_RELAXED),
  footprint: both,
});

const SET_BITS = defineOperation({
  name: 'atomic_fetch_or',
  addressed: true,
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const old = cx.read(op.a);
    cx.write(op.a, old | op.b);
    return old;
  },
  halves: { address: (op) => op.a, stored: (op, old) => old | op.b },
  weak: (_cx, memory, op) => fully(memory, op.a, setIn(op.b)),
  footprint: both,
});

const CLEAR_BITS = defineOperation({
  name: 'atomic_fetch_andnot',
  addressed: true,
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const old = cx.read(op.a);
    cx.write(op.a, old & ~op.b);
    return old;
  },
  halves: { address: (op) => op.a, stored: (op, old) => old & ~op.b },
  weak: (_cx, memory, op) => fully(memory, op.a, clearIn(op.b)),
  footprint: both,
});

const XCHG_RELAXED = relaxedForm(XCHG, (op) => swapTo(op.b));
const CMPXCHG_RELAXED = relaxedForm(CMPXCHG, (op) => swapIf(op.b, op.c));
const ADD_RELAXED = relaxedForm(
  ADD,
  (op) => addTo(op.b),
  (old, op) => (old + op.b) | 0,
);

/** Reads memory, not the own store buffer: the condition waited for is another processor's doing. */
const WAIT = defineOperation({
  name: 'wait',
  addressed: true,
  spins: true,
  perform: (cx, op) => ((cx.read(op.a) & op.b) === op.c ? cx.read(op.a) : BLOCKED),
  leftOut: (cx, op) => cx.load(op.a),
  weak(_cx, memory, op) {
    const word = memory.load(op.a, 'full');
    return (word & op.b) === op.c ? word : BLOCKED;
  },
  footprint: onlyReads,
});

const ACQUIRE = defineOperation({
  name: 'acquire',
  addressed: true,
  spins: true,
  perform(cx, op) {
    const word = cx.read(op.a);
    if (!cx.drained() || (word & op.b) !== 0) return BLOCKED;
    cx.write(op.a, (word + op.c) | 0);
    return 0;
  },
  leftOut: () => 0,
  pair: (op) => ({ end: 'open', of: `word ${op.a} by ${op.c}` }),
  weak(_cx, memory, op) {
    const modify = addUnless(op.b, op.c);
    const word = memory.access({ kind: 'update', address: op.a, modify, acquire: 'full' });
    return (word & op.b) === 0 ? 0 : BLOCKED;
  },
  footprint: both,
});

const FULL_BARRIER = defineOperation({
  name: 'smp_mb',
  role: 'barrier',
  ordering: 'full',
  perform: (cx) => (cx.drained() ? 0 : BLOCKED),
  weak: barrierOf('full'),
  weaker: (op, memoryModel) => [
    ...insteadOnArm('smp_wmb-instead', () => WRITE_BARRIER)(op, memoryModel),
    ...insteadOnArm('smp_rmb-instead', () => READ_BARRIER)(op, memoryModel),
  ],
  footprint: nothing,
});
const WRITE_BARRIER = defineOperation({
  name: 'smp_wmb',
  role: 'barrier',
  ordering: 'write',
  perform: () => 0,
  weak: barrierOf('store'),
  footprint: nothing,
});
const READ_BARRIER = defineOperation({
  name: 'smp_rmb',
  role: 'barrier',
  ordering: 'read',
  perform: () => 0,
  weak: barrierOf('load'),
  footprint: nothing,
});
const NOP = defineOperation({ name: 'nop', role: 'cost', perform: () => 0, footprint: nothing });
const CHOOSE = defineOperation({
  name: 'choose',
  role: 'environment',
  perform: (_cx, _op, branch) => branch,
  branches: (_cx, op) => op.a,
  footprint: nothing,
});
const REST = defineOperation({ name: 'rest', perform: () => BLOCKED, rests: true, footprint: nothing });

function barrierOf(type: BarrierKind): NonNullable<OperationDefinition['weak']> {
  return (_cx, memory) => {
    memory.dmb(type);
    return 0;
  };
}

/** READ_ONCE(). */
export function load(address: Address, saying?: Saying): Steps<number> {
  return stepOf(operation(LOAD, address, 0, 0, undefined, saying));
}

/** WRITE_ONCE(): enters the store buffer under `tso`. */
export function store(address: Address, value: number, saying?: Saying): Steps {
  return voidStepOf(operation(STORE, address, value, 0, undefined, saying));
}

/** xchg(): a full barrier; returns the old value. */
export function xchg(address: Address, value: number, saying?: Saying): Steps<number> {
  return stepOf(operation(XCHG, address, value, 0, undefined, saying));
}

/**
 * cmpxchg(): a full barrier, on x86 whether or not it succeeds; returns the old value (success: equal to `expected`).
 * One that fails orders nothing on arm64.
 */
export function cmpxchg(address: Address, expected: number, value: number, saying?: Saying): Steps<number> {
  return stepOf(operation(CMPXCHG, address, expected, value, undefined, saying));
}

/** atomic_add_return(): a full barrier; returns the new value. */
export function atomicAdd(address: Address, delta: number, saying?: Saying): Steps<number> {
  return stepOf(operation(ADD, address, delta, 0, undefined, saying));
}

/**
 * atomic_fetch_or(): sets bits, a full barrier; returns the old value. `set_bit` in `ordered.ts` orders nothing on
 * arm64.
 */
export function setBits(address: Address, bits: number, saying?: Saying): Steps<number> {
  return stepOf(operation(SET_BITS, address, bits, 0, undefined, saying));
}

/** atomic_fetch_andnot(): clears bits, a full barrier; returns the old value. */
export function clearBits(address: Address, bits: number, saying?: Saying): Steps<number> {
  return stepOf(operation(CLEAR_BITS, address, bits, 0, undefined, saying));
}

/**
 * smp_cond_load_acquire(): spins until `(word & mask) === value`, reading memory (not the own store buffer); returns
 * the word.
 */
export function waitFor(address: Address, mask: number, value: number, saying?: Saying): Steps<number> {
  return stepOf(operation(WAIT, address, mask, value, undefined, saying));
}

/**
 * Atomically: waits until `(word & busyMask) === 0`, then adds `delta`. The building block of lock words; a full
 * barrier.
 */
export function acquireWord(address: Address, busyMask: number, delta: number, saying?: Saying): Steps {
  return voidStepOf(operation(ACQUIRE, address, busyMask, delta, undefined, saying));
}

/** smp_mb(): waits until the own store buffer has drained. */
export function smp_mb(saying?: Saying): Steps {
  return voidStepOf(operation(FULL_BARRIER, 0, 0, 0, undefined, saying));
}

/** smp_wmb(): orders nothing new on `sc` and `tso`, where stores drain in order. */
export function smp_wmb(saying?: Saying): Steps {
  return voidStepOf(operation(WRITE_BARRIER, 0, 0, 0, undefined, saying));
}

/** smp_rmb(): orders nothing new on `sc` and `tso`, where loads are not reordered. */
export function smp_rmb(saying?: Saying): Steps {
  return voidStepOf(operation(READ_BARRIER, 0, 0, 0, undefined, saying));
}

/** One step that touches no shared state: local work worth a line in the trace. */
export function nop(saying?: Saying): Steps {
  return voidStepOf(operation(NOP, 0, 0, 0, undefined, saying));
}

/**
 * Local work that costs time but touches no shared state: entering the kernel, clearing a page.
 * @param cost entry of the cost table
 */
export function work(cost: string, saying?: Saying): Steps {
  return voidStepOf(operation(workCosting(cost), 0, 0, 0, undefined, saying));
}

const works = new Map<string, OperationDefinition>();

function workCosting(cost: string): OperationDefinition {
  const known = works.get(cost);
  if (known) return known;
  const definition = defineOperation({ name: cost, role: 'cost', perform: () => 0, footprint: nothing });
  works.set(cost, definition);
  return definition;
}

/** A nondeterministic choice among `count` outcomes: returns 0 .. count-1. All of them are explored. */
export function choose(count: number, saying?: Saying): Steps<number> {
  if (!(Number.isInteger(count) && count >= 1))
    throw new ModelError(`choose: expected a whole number of outcomes, at least 1 (${printable(count)})`);
  return stepOf(operation(CHOOSE, count, 0, 0, undefined, saying));
}

/** The processor has nothing more to do here but stays interruptible (user mode, idle): never a deadlock. */
export function rest(saying?: Saying): Steps {
  return voidStepOf(operation(REST, 0, 0, 0, undefined, saying));
}
