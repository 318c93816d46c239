/**
 * What a lockless walk of page tables must keep to, by name, and the memory needed to judge it.
 *
 * The monitor watches memory like hardware would: it knows which pages were mapped at the address while a walk was
 * under way, and which pages their remover has taken for unpinned. Its words are no part of the kernel.
 */
import {
  defineOperation,
  FrameKind,
  operation,
  type Footprint,
  type Frames,
  type OperationContext,
  type Region,
  type Steps,
  type SystemBuilder,
  noted,
} from '@shootdown/machine';
import type { Tracepoints } from '../tracepoint.ts';
import { _PAGE_PSE, pte_pfn, pte_present, pte_write } from '@shootdown/mmu';

/** When a remover counts the references to a page: once it is out of reach, before (a mutant), or never (a mutant). */
export type Counting = 'after the clear' | 'before the clear' | 'never';

/** The sentences. I4 is about what hardware holds; here it is checked of the CPU that walks. */
export const Invariant = {
  I1: 'I1: no load from a freed or reused page-table page',
  I2: 'I2: GUP-fast returns only pages that were mapped at that address with that permission during the walk',
  I3: 'I3: no page is pinned that its remover has decided is not',
  I4: 'I4: no page or table is free while the hardware of a CPU may use an old translation of it',
  I5: 'I5: every flush and every grace period ends',
} as const;

/** What is mapped. */
export interface Mapping {
  readonly frames: Frames;
  /** Frame of the pmd table, which is never freed here. */
  readonly pmdTable: number;
}

const FRAMES_MAX = 30;

/** Watches the address that is walked: the first page behind one of the pmd table's entries. */
export class WalkMonitor {
  readonly frames: Frames;
  /** The entry of the pmd table that a walk under way goes through, plus one; 0 without a walk. */
  readonly walking: Region;
  /** A bit per frame: what is in the frame now was mapped at the address during the walk. */
  readonly mapped: Region;
  /** A bit per frame: the remover has found no reference but those it expects. */
  readonly unpinned: Region;
  /** The frame that a walk has handed out, plus one; 0 if none has. */
  readonly pinned: Region;
  readonly #pmdTable: number;
  readonly #write: boolean;

  /** @param write whether the walk wants to write (FOLL_WRITE) */
  constructor(builder: SystemBuilder, { frames, pmdTable }: Mapping, write: boolean) {
    if (frames.count > FRAMES_MAX)
      throw new RangeError(`gup: WalkMonitor: ${frames.count} frames, at most ${FRAMES_MAX}`);
    this.frames = frames;
    this.#pmdTable = pmdTable;
    this.#write = write;
    this.walking = builder.region('walk_monitor.walking', 1, { memory: 'ghost' });
    this.mapped = builder.region('walk_monitor.mapped', 1, { memory: 'ghost' });
    this.unpinned = builder.region('walk_monitor.unpinned', 1, { memory: 'ghost' });
    this.pinned = builder.region('walk_monitor.pinned', 1, { memory: 'ghost' });
    builder.watch(frames.entries, (cx) => this.#look(cx));
    builder.watch(frames.state, (cx, address) => this.#forget(cx, address - frames.state.base));
  }

  /** Watches a kernel. */
  attach(tracepoints: Tracepoints): void {
    tracepoints.gup_fast_begin.attach((cx, address) => this.begun(cx, address));
    tracepoints.gup_fast_end.attach((cx, frame) => this.ended(cx, frame));
    tracepoints.folio_unpinned.attach((cx, frame) => this.decided(cx, frame));
  }

  /** The page that is mapped at an address now, or -1. */
  page(cx: OperationContext, address: number): number {
    const { frames } = this;
    const pmd = cx.read(frames.entry(this.#pmdTable, address).address);
    if (!pte_present(pmd)) return -1;
    const pte = (pmd & _PAGE_PSE) !== 0 ? pmd : cx.read(frames.entry(pte_pfn(pmd), 0).address);
    return pte_present(pte) && (!this.#write || pte_write(pte)) ? pte_pfn(pte) : -1;
  }

  begun(cx: OperationContext, address: number): void {
    cx.write(this.walking.base, 1 + address);
    this.add(cx, this.page(cx, address));
  }

  ended(cx: OperationContext, frame: number): void {
    const { walking, mapped, unpinned, pinned } = this;
    const bit = 1 << frame;
    const hex = `0x${frame.toString(16)}`;
    if (frame >= 0 && (cx.read(mapped.base) & bit) === 0)
      cx.fail(Invariant.I2, () => `what is in ${hex} now was not mapped here during the walk`);
    else if (frame >= 0 && (cx.read(unpinned.base) & bit) !== 0)
      cx.fail(Invariant.I3, () => `${hex} is stale: its remover went on before it was pinned`);
    if (frame >= 0) cx.write(pinned.base, frame + 1);
    cx.write(walking.base, 0);
    cx.write(mapped.base, 0);
  }

  decided(cx: OperationContext, frame: number): void {
    const { unpinned, pinned } = this;
    if (cx.read(pinned.base) === frame + 1)
      cx.fail(Invariant.I3, () => `0x${frame.toString(16)} is pinned, and its remover goes on`);
    cx.write(unpinned.base, cx.read(unpinned.base) | (1 << frame));
  }

  #look(cx: OperationContext): void {
    const walking = cx.read(this.walking.base);
    if (walking !== 0) this.add(cx, this.page(cx, walking - 1));
  }

  add(cx: OperationContext, page: number): void {
    if (page >= 0) cx.write(this.mapped.base, cx.read(this.mapped.base) | (1 << page));
  }

  /** What a frame held is gone with it. */
  #forget(cx: OperationContext, frame: number): void {
    if (cx.read(this.frames.state.base + frame) === FrameKind.page) return;
    for (const { base } of [this.mapped, this.unpinned]) {
      const mask = cx.read(base);
      if ((mask & (1 << frame)) !== 0) cx.write(base, mask & ~(1 << frame));
    }
  }
}

/** A software walker's load of an entry; the table may have been taken away meanwhile, and that is I1. */
export const walkerLoad = noted(function* walkerLoad(
  frames: Frames,
  table: number,
  index: number,
  label: string,
  fact: (entry: number) => string,
): Steps<number> {
  return yield operation(WALKER_LOAD, frames.entry(table, index).address, table, 0, frames, { label, fact });
});

const WALKER_LOAD = defineOperation({
  name: 'read_entry',
  role: 'read',
  cost: 'load',
  perform(cx, op) {
    const frames = op.data as Frames;
    if (cx.read(frames.state.base + op.b) !== FrameKind.table)
      cx.fail(Invariant.I1, () => `walker reads 0x${op.b.toString(16)}, which is no page table any more`);
    return cx.load(op.a);
  },
  footprint: (op): Footprint => ({ reads: [op.a, (op.data as Frames).state.base + op.b], writes: [] }),
});
