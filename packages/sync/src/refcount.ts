/**
 * Reference counts. Mirrors include/linux/refcount.h, v6.18: the operations, and the misuse that
 * refcount_warn_saturate() reports.
 */
import {
  addTo,
  BLOCKED,
  defineOperation,
  operation,
  type Address,
  type Operation,
  type OperationContext,
  type Steps,
  type SystemBuilder,
  noted,
} from '@shootdown/machine';

/** Built-in property: violated by raising a count that is 0 (the object is gone) and by lowering it below 0. */
export const REFCOUNT_SATURATED = 'no reference count saturates';

/** A refcount_t. */
export class Refcount {
  readonly name: string;
  readonly refs: Address;

  /** @param initial references held at the start */
  constructor(builder: SystemBuilder, name: string, initial = 1) {
    this.name = name;
    this.refs = builder.region(name, 1, { initial }).at(0);
  }
}

const refcountOf = (op: Operation): Refcount => op.data as Refcount;
const footprint = (op: Operation) => ({ reads: [op.a], writes: [op.a] });

function saturated(cx: OperationContext, op: Operation, why: string): void {
  cx.fail(REFCOUNT_SATURATED, () => `refcount_t ${refcountOf(op).name} on processor ${cx.processor}: ${why}`);
}

/** Relaxed, as everything that raises a count: who has a reference has all that made it. */
const INC = defineOperation({
  name: 'refcount_inc',
  order: 'relaxed',
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const refs = cx.read(op.a);
    if (refs <= 0) saturated(cx, op, 'addition on 0; use-after-free');
    cx.write(op.a, refs + 1);
    return 0;
  },
  footprint,
});

const INC_NOT_ZERO = defineOperation({
  name: 'refcount_inc_not_zero',
  order: 'relaxed',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (cx.load(op.a) === 0) return 0;
    if (!cx.drained()) return BLOCKED;
    const refs = cx.read(op.a);
    if (refs === 0) return BLOCKED;
    cx.write(op.a, refs + 1);
    return 1;
  },
  footprint,
});

const DEC_AND_TEST = defineOperation({
  name: 'refcount_dec_and_test',
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const refs = cx.read(op.a);
    if (refs <= 0) saturated(cx, op, 'underflow; use-after-free');
    cx.write(op.a, refs - 1);
    return refs === 1 ? 1 : 0;
  },
  /** A release, and for the last one smp_acquire__after_ctrl_dep(). */
  weak(cx, memory, op) {
    const refs = memory.access({ kind: 'update', address: op.a, modify: addTo(-1), release: true });
    if (refs <= 0) saturated(cx, op, 'underflow; use-after-free');
    if (refs !== 1) return 0;
    memory.dmb('load');
    return 1;
  },
  footprint,
});

/** refcount_inc(): the caller holds a reference already. */
export const refcount_inc = noted(function* refcount_inc(refcount: Refcount): Steps {
  yield operation(INC, refcount.refs, 0, 0, refcount, { label: `refcount_inc(${refcount.name})` });
});

/** refcount_inc_not_zero(): 1 if a reference was taken, 0 if the object is going away. */
export const refcount_inc_not_zero = noted(function* refcount_inc_not_zero(refcount: Refcount): Steps<number> {
  return yield operation(INC_NOT_ZERO, refcount.refs, 0, 0, refcount, {
    label: `refcount_inc_not_zero(${refcount.name})`,
    fact: (r) => (r ? 'taken' : 'zero'),
  });
});

/** refcount_dec_and_test(): 1 if that was the last reference. */
export const refcount_dec_and_test = noted(function* refcount_dec_and_test(refcount: Refcount): Steps<number> {
  return yield operation(DEC_AND_TEST, refcount.refs, 0, 0, refcount, {
    label: `refcount_dec_and_test(${refcount.name})`,
    fact: (r) => (r ? 'last' : undefined),
  });
});
