/**
 * References to pages: how lockless walkers take them, and how removers count them. Mirrors include/linux/page_ref.h
 * and mm/internal.h, v6.18.
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Footprint,
  type Frames,
  type Operation,
  type Steps,
  noted,
} from '@shootdown/machine';
import type { Kernel } from './kernel.ts';
import type { Tracepoint } from './tracepoint.ts';

/** Reads a page's reference count: true if it is the expected one, so that nobody else has pinned the page. */
export const folio_expected_ref_count = noted(function* folio_expected_ref_count(
  { frames, tracepoints }: Pick<Kernel, 'frames' | 'tracepoints'>,
  frame: number,
  expected: number,
): Steps<boolean> {
  const watched = tracepoints?.folio_unpinned;
  const definition = watched?.enabled ? REF_COUNT_WATCHED : REF_COUNT;
  return (
    (yield operation(definition, frame, expected, 0, { frames, watched } satisfies Counted, {
      label: `folio_ref_count(0x${frame.toString(16)}) == ${expected}`,
      fact: (equal) => (equal === 1 ? 'not pinned' : 'pinned'),
    })) === 1
  );
});

/**
 * Whether a remover may go on as if nobody else had the page.
 * @param counts false: it does not look (a mutant)
 */
export const folio_is_unpinned = noted(function* folio_is_unpinned(
  kernel: Pick<Kernel, 'frames' | 'tracepoints'>,
  frame: number,
  expected: number,
  counts: boolean,
): Steps<boolean> {
  if (counts) return yield* folio_expected_ref_count(kernel, frame, expected);
  yield* trace_folio_unpinned(kernel, frame);
  return true;
});

/** A remover goes on without having counted. */
function* trace_folio_unpinned({ tracepoints }: Pick<Kernel, 'tracepoints'>, frame: number): Steps {
  if (tracepoints) yield* tracepoints.folio_unpinned.trace(frame, `/* folio_ref_count(0x${frame.toString(16)}) */`);
}

interface Counted {
  readonly frames: Frames;
  readonly watched: Tracepoint | undefined;
}

const REF_COUNT = defineOperation({
  name: 'folio_ref_count',
  cost: 'load',
  perform: (cx, op) => (cx.load((op.data as Counted).frames.refcountAddress(op.a)) === op.b ? 1 : 0),
  leftOut: () => 1,
  footprint: (op) => ({ reads: [(op.data as Counted).frames.refcount.base + op.a], writes: [] }),
});

/**
 * The decision and what the checkers make of it are one step. Left out, it is as if nobody else had the page, and they
 * hear of that, too.
 */
const REF_COUNT_WATCHED = defineOperation({
  name: 'folio_ref_count',
  cost: 'load',
  perform(cx, op: Operation) {
    const { frames, watched } = op.data as Counted;
    if (cx.load(frames.refcountAddress(op.a)) !== op.b) return 0;
    watched?.hit(cx, op.a);
    return 1;
  },
  leftOut(cx, op) {
    (op.data as Counted).watched?.hit(cx, op.a);
    return 1;
  },
});

/** What folio_try_get() is for; each can be left out to see what becomes of it. */
export interface ReferenceGuards {
  /** A reference is only taken if there is one already. */
  readonly refcountTest: boolean;
  /** It is a full barrier: the second look at the entry comes after the reference is there for all to see. */
  readonly refcountBarrier: boolean;
}

/** folio_try_get(): takes a reference unless there is none left; true if it did. */
export const folio_try_get = noted(function* folio_try_get(
  frames: Frames,
  frame: number,
  { refcountTest = true, refcountBarrier = true }: Partial<ReferenceGuards> = {},
): Steps<boolean> {
  const label = `${refcountTest ? 'folio_try_get' : 'folio_get'}(0x${frame.toString(16)})`;
  const definition = refcountBarrier ? TRY_GET : TRY_GET_UNORDERED;
  return (
    (yield operation(definition, frame, refcountTest ? 0 : 1, 0, frames, {
      label,
      fact: (left) => (left === 0 ? 'refcount is 0' : `refcount ${left}`),
    })) !== 0
  );
});

const refcountFootprint = (op: Operation): Footprint => ({
  reads: [(op.data as Frames).refcount.base + op.a],
  writes: [(op.data as Frames).refcount.base + op.a],
});

/** atomic_add_unless() looks before it changes anything: one that finds 0 is a plain load and orders nothing. */
const TRY_GET = defineOperation({
  name: 'folio_try_get',
  halves: {
    address: (op) => (op.data as Frames).refcountAddress(op.a),
    stored: (_op, count) => (count === 0 ? null : count),
  },
  cost: 'xchg',
  perform(cx, op) {
    const frames = op.data as Frames;
    const address = frames.refcountAddress(op.a);
    const count = cx.load(address);
    if (count === 0 && op.b === 0) return 0;
    if (!cx.drained()) return BLOCKED;
    cx.write(address, count + 1);
    return frames.counted(cx, op.a, count + 1);
  },
  footprint: refcountFootprint,
});

/** One step, but the new count waits in the store buffer. */
const TRY_GET_UNORDERED = defineOperation({
  name: 'folio_try_get_unordered',
  cost: 'xchg',
  perform(cx, op) {
    const address = (op.data as Frames).refcountAddress(op.a);
    const count = cx.load(address);
    if (count === 0 && op.b === 0) return 0;
    return cx.storeBuffered(address, count + 1) ? count + 1 : BLOCKED;
  },
  footprint: refcountFootprint,
});
