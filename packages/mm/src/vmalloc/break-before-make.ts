/**
 * The break-before-make rule for the kernel's own table, which has no TLB in these machines: per entry, what some
 * walker may still hold. That is what was there until __flush_tlb_kernel_pgtable() has been complete while the entry
 * was clear.
 */
import type { Footprint, Frames, OperationContext, Region, SystemBuilder } from '@shootdown/machine';
import { BBML0, BREAK_BEFORE_MAKE, changeThatNeedsBreak, mk_pte } from '@shootdown/mmu';
import { formatDescriptor, pxd_leaf, pxd_none, pxd_pgtable } from './descriptor.ts';

/** Watches the entries of a tree. */
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
