/** The atomic steps on frames and entries: allocation and freeing, entries of tables, reference counts. */
import { BLOCKED, defineOperation, type Operation } from '../routine/operation.ts';
import { swapIf, swapTo } from '../memory/modify.ts';
import { FrameKind } from './frame-kind.ts';
import type { Frames } from './frames.ts';

const framesOf = (op: Operation): Frames => op.data as Frames;

export const ALLOC = defineOperation({
  name: 'page_alloc',
  role: 'environment',
  perform: (cx, op, branch) => framesOf(op).allocated(cx, op.a as 1 | 2, branch),
  branches: (cx, op) => framesOf(op).choices(cx, op.a as 1 | 2),
});

export const ALLOC_PAGES = defineOperation({
  name: 'page_alloc',
  role: 'environment',
  perform: (cx, op) => framesOf(op).takePages(cx, op.a),
});

export const FREE = defineOperation({
  name: 'page_free',
  perform(cx, op) {
    framesOf(op).give(cx, op.a);
    return 0;
  },
});

export const READ_ENTRY = defineOperation({
  name: 'read_entry',
  role: 'read',
  addressed: true,
  cost: 'load',
  perform(cx, op) {
    framesOf(op).check(cx, op.b, FrameKind.table, 'read of table');
    return cx.load(op.a);
  },
  weak(cx, memory, op) {
    framesOf(op).check(cx, op.b, FrameKind.table, 'read of table');
    return memory.access(framesOf(op).loadOf(op.a, op.b));
  },
  footprint: (op) => ({ reads: [op.a, framesOf(op).state.base + op.b], writes: [] }),
});

export const WRITE_ENTRY = defineOperation({
  name: 'write_entry',
  role: 'store',
  addressed: true,
  cost: 'store',
  perform(cx, op) {
    if (!cx.storeBuffered(op.a, op.b)) return BLOCKED;
    framesOf(op).check(cx, op.c, FrameKind.table, 'write to table');
    return 0;
  },
});

export const XCHG_ENTRY = defineOperation({
  name: 'xchg_entry',
  halves: { address: (op) => op.a, stored: (op) => op.b },
  addressed: true,
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    framesOf(op).check(cx, op.c, FrameKind.table, 'write to table');
    const old = cx.read(op.a);
    cx.write(op.a, op.b);
    return old;
  },
  weak(cx, memory, op) {
    framesOf(op).check(cx, op.c, FrameKind.table, 'write to table');
    return memory.access({ kind: 'update', address: op.a, modify: swapTo(op.b), acquire: 'full', release: true });
  },
});

export const CMPXCHG_ENTRY = defineOperation({
  name: 'cmpxchg_entry',
  halves: { address: (op) => op.a, stored: (op, old) => (old === op.b ? op.c : null) },
  addressed: true,
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { frames, frame } = op.data as { frames: Frames; frame: number };
    frames.check(cx, frame, FrameKind.table, 'write to table');
    const old = cx.read(op.a);
    if (old === op.b) cx.write(op.a, op.c);
    return old;
  },
  weak(cx, memory, op) {
    const { frames, frame } = op.data as { frames: Frames; frame: number };
    frames.check(cx, frame, FrameKind.table, 'write to table');
    return memory.access({ kind: 'update', address: op.a, modify: swapIf(op.b, op.c), acquire: 'full', release: true });
  },
});

export const REF = defineOperation({
  name: 'folio_ref_add',
  halves: { address: (op) => framesOf(op).refcountAddress(op.a), stored: (_op, sum) => sum },
  cost: 'xchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const frames = framesOf(op);
    const address = frames.refcountAddress(op.a);
    const value = frames.counted(cx, op.a, (cx.read(address) + op.b) | 0);
    cx.write(address, value);
    return value;
  },
  footprint: (op) => ({ reads: [framesOf(op).refcount.base + op.a], writes: [framesOf(op).refcount.base + op.a] }),
});

export const PUT = defineOperation({
  name: 'page_free',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const frames = framesOf(op);
    const address = frames.refcountAddress(op.a);
    const left = cx.read(address) - 1;
    if (left > 0) cx.write(address, left);
    else frames.released(cx, op.a);
    return left;
  },
});
