/**
 * Sequence counters. Mirrors include/linux/seqlock.h, v6.18: plain loads and stores with smp_wmb() and smp_rmb(), which
 * order nothing that `sc` and `tso` do not order by themselves.
 */
import {
  BLOCKED,
  defineOperation,
  load,
  operation,
  smp_wmb,
  waitFor,
  type Address,
  type Operation,
  type Steps,
  type SystemBuilder,
  noted,
} from '@shootdown/machine';
import { misuse } from './misuse.ts';

/** A sequence counter: odd while a write is under way. */
export class Seqcount {
  readonly name: string;
  readonly sequence: Address;

  constructor(builder: SystemBuilder, name: string) {
    this.name = name;
    this.sequence = builder.region(`${name}.sequence`, 1).at(0);
  }
}

const seqcountOf = (op: Operation): Seqcount => op.data as Seqcount;

/** `sequence++`, with the parity it must have had: op.b. */
const INCREMENT = defineOperation({
  name: 'seqcount_increment',
  cost: 'store',
  perform(cx, op) {
    const sequence = cx.load(op.a);
    if (!cx.storeBuffered(op.a, sequence + 1)) return BLOCKED;
    if ((sequence & 1) !== op.b)
      misuse(
        cx,
        op.b === 0 ? 'write_seqcount_begin' : 'write_seqcount_end',
        seqcountOf(op).name,
        `with sequence ${sequence}: two writers at once, or none`,
      );
    return 0;
  },
  footprint: (op) => ({ reads: [op.a], writes: [op.a] }),
});

/** write_seqcount_begin(): the caller excludes other writers. */
export const write_seqcount_begin = noted(function* write_seqcount_begin(seqcount: Seqcount): Steps {
  yield operation(INCREMENT, seqcount.sequence, 0, 0, seqcount, { label: `write_seqcount_begin(${seqcount.name})` });
  yield* smp_wmb();
});

/** write_seqcount_end(). */
export const write_seqcount_end = noted(function* write_seqcount_end(seqcount: Seqcount): Steps {
  yield* smp_wmb();
  yield operation(INCREMENT, seqcount.sequence, 1, 0, seqcount, { label: `write_seqcount_end(${seqcount.name})` });
});

/** read_seqcount_begin(): waits for an even sequence and returns it. */
export const read_seqcount_begin = noted(function* read_seqcount_begin(seqcount: Seqcount): Steps<number> {
  return yield* waitFor(seqcount.sequence, 1, 0, { label: `read_seqcount_begin(${seqcount.name})` });
});

/**
 * raw_read_seqcount(): returns the sequence, odd or even; a lockless reader that does not want to wait gives up on an
 * odd one.
 */
export const raw_read_seqcount = noted(function* raw_read_seqcount(seqcount: Seqcount): Steps<number> {
  return yield* load(seqcount.sequence, { label: `raw_read_seqcount(${seqcount.name})` });
});

/** read_seqcount_retry(): true if what was read since `start` may be torn. */
export const read_seqcount_retry = noted(function* read_seqcount_retry(
  seqcount: Seqcount,
  start: number,
): Steps<boolean> {
  const now = yield* load(seqcount.sequence, {
    label: `read_seqcount_retry(${seqcount.name}, ${start})`,
    fact: (s) => (s === start ? undefined : 'retry'),
  });
  return now !== start;
});
