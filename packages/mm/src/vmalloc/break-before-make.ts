/**
 * Walk caches of the kernel's own table, which has no TLB in these machines: per entry, what some walker may still
 * hold. That is what was there until __flush_tlb_kernel_pgtable() has been complete while the entry was clear. So the
 * break-before-make rule can be asked, and whether a table is freed too early.
 */
import type { Footprint, Frames, OperationContext, Region, SystemBuilder } from '@shootdown/machine';
import { BBML0, BREAK_BEFORE_MAKE, changeThatNeedsBreak, mk_pte } from '@shootdown/mmu';
import { formatDescriptor, pxd_leaf, pxd_none, pxd_pgtable } from './descriptor.ts';

/** Hardware walks a table for as long as a walk cache points to it, whoever owns it by then. */
export const HELD_TABLE = 'no table is freed while a walk cache may point to it';

/** Watches the entries of a tree, and its tables. */
export class KernelTableWatch {
  readonly #frames: Frames;
  readonly #held: Region;

  constructor(builder: SystemBuilder, frames: Frames) {
    this.#frames = frames;
    const words = builder.layout.initial();
    const { base, cells } = frames.entries;
    this.#held = builder.region('init_mm.held', cells, {
      initial: Array.from({ length: cells }, (_, i) => words[base + i] as number),
      format: formatDescriptor,
      memory: 'strong',
    });
    builder.watch(frames.entries, (cx, address) => this.#written(cx, address - base));
    builder.watch(frames.state, (cx, address) => this.#freed(cx, address - frames.state.base));
  }

  /** What {@link flushed} looks at and changes. */
  get footprint(): Footprint {
    const held = wordsOf(this.#held);
    return { reads: [...wordsOf(this.#frames.entries), ...held], writes: held };
  }

  /** An invalidation of walk caches is complete: entries that are clear are held by nobody any more. */
  flushed(cx: OperationContext): void {
    const { base, cells } = this.#frames.entries;
    for (let i = 0; i < cells; i++)
      if (pxd_none(cx.read(base + i)) && cx.read(this.#held.at(i)) !== 0) cx.write(this.#held.at(i), 0);
  }

  #freed(cx: OperationContext, frame: number): void {
    if (cx.read(this.#frames.state.at(frame)) > 0) return;
    for (let i = 0; i < this.#held.cells; i++) {
      const held = cx.read(this.#held.at(i));
      if (!pxd_none(held) && !pxd_leaf(held) && pxd_pgtable(held) === frame)
        return cx.fail(HELD_TABLE, () => `0x${frame.toString(16)} is freed before the walk caches are invalidated`);
    }
  }

  #written(cx: OperationContext, cell: number): void {
    const now = cx.read(this.#frames.entries.base + cell);
    if (pxd_none(now)) return;
    const old = cx.read(this.#held.at(cell));
    const what = pxd_none(old) ? null : changeThatNeedsBreak(heldOf(old), heldOf(now), BBML0);
    if (what !== null)
      cx.fail(BREAK_BEFORE_MAKE, () => `${what} changed from ${formatDescriptor(old)} to ${formatDescriptor(now)}`);
    if (old !== now) cx.write(this.#held.at(cell), now);
  }
}

/** A descriptor as the rule sees it: where it points, and whether it is a block. */
function heldOf(descriptor: number) {
  return { entry: mk_pte(pxd_pgtable(descriptor), 0), leaf: pxd_leaf(descriptor) };
}

function wordsOf({ base, cells }: Region): number[] {
  return Array.from({ length: cells }, (_, i) => base + i);
}
