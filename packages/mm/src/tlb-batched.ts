/**
 * mm->tlb_flush_batched: reclaim puts flushes off, and who changes entries of the same address space catches up with
 * them. Mirrors mm/rmap.c, flush_tlb_batched_pending(), v6.18.
 */
import { cmpxchg, load, routine, type Region, type Steps, type SystemBuilder } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { Kernel, Mm } from './kernel.ts';

/** What can be left out of reclaim (mutants). */
export type ReclaimMutant =
  /** try_to_unmap_flush() is not called before the pages are freed. */
  | 'no flush before freeing'
  /** Who changes entries does not catch up with a flush that was put off. */
  | 'no pending flush';

/** mm->tlb_flush_batched: flushes that were put off, and shifted by so much those that have been caught up with. */
const TLB_FLUSH_BATCH_FLUSHED_SHIFT = 16;
const TLB_FLUSH_BATCH_PENDING_MASK = 0x7fff;

/** mm->tlb_flush_batched of every address space that is reclaimed from. */
export class BatchedUnmaps {
  readonly #words = new Map<Mm, Region>();
  /** Left out: nothing. */
  mutant?: ReclaimMutant;

  constructor(builder: SystemBuilder, mms: readonly Mm[]) {
    for (const mm of mms) this.#words.set(mm, builder.region(`${mm.name}.tlb_flush_batched`, 1, { lineWords: 1 }));
  }

  /** The word of an address space; undefined: nobody reclaims from it. */
  of(mm: Mm): Region | undefined {
    return this.#words.get(mm);
  }
}

/**
 * flush_tlb_batched_pending(): under the page-table lock, before somebody changes entries: reclaim may have cleared
 * some and not flushed yet, so that an empty entry does not mean that nobody has the page.
 */
export const flush_tlb_batched_pending = routine(
  'flush_tlb_batched_pending',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm): Steps {
    const word = kernel.batched?.of(mm);
    if (!word || kernel.batched?.mutant === 'no pending flush') return;
    const batch = yield* load(word.at(0), { label: 'mm->tlb_flush_batched' });
    const pending = batch & TLB_FLUSH_BATCH_PENDING_MASK;
    if (pending === batch >> TLB_FLUSH_BATCH_FLUSHED_SHIFT) return;
    yield* kernel.arch.flush_tlb_mm_range(cpu, mm, 0, Number.MAX_SAFE_INTEGER, true);
    yield* cmpxchg(word.at(0), batch, pending | (pending << TLB_FLUSH_BATCH_FLUSHED_SHIFT), {
      label: 'mm->tlb_flush_batched: flushed',
    });
  },
);
