/**
 * TTU_BATCH_FLUSH: who unmaps pages, reclaim and migration, puts the flush off, and does it once for all of them before
 * the pages are written out, copied or freed. Who changes entries of the same address space meanwhile catches up with
 * it (mm->tlb_flush_batched). Mirrors mm/rmap.c, v6.18: should_defer_flush(), set_tlb_ubc_flush_pending(),
 * try_to_unmap_flush(), try_to_unmap_flush_dirty(), flush_tlb_batched_pending().
 */
import {
  atomicAdd,
  cmpxchg,
  count,
  load,
  Local,
  noted,
  point,
  routine,
  type EntryPointer,
  type Region,
  type Steps,
  type SystemBuilder,
  wordsOf,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { pte_dirty, pte_protnone } from '@shootdown/mmu';
import { cpumask_or, type CpuMask } from './cpumask.ts';
import type { Kernel, Mm } from './kernel.ts';
import { WithMutant } from './mutant.ts';

/** How often unmapped pages were flushed: no counter of the kernel's. */
export const TRY_TO_UNMAP_FLUSH = 'try_to_unmap_flush';

/** What can be left out of reclaim (mutants). */
export type ReclaimMutant =
  /** try_to_unmap_flush() is not called before the pages are freed, or moved. */
  | 'no flush before freeing'
  /** try_to_unmap_flush_dirty() is not called before a page is written out. */
  | 'no flush before writing out'
  /** Pages are taken although somebody has pinned them since they were looked at. */
  | 'takes what is pinned'
  /** Who changes entries does not catch up with a flush that was put off. */
  | 'no pending flush'
  /** Flushes that were put off are counted on, however many they are. */
  | 'pending overflows';

/** mm->tlb_flush_batched: flushes that were put off, and shifted by so much those that have been caught up with. */
const TLB_FLUSH_BATCH_FLUSHED_SHIFT = 16;
const TLB_FLUSH_BATCH_PENDING_MASK = 0x7fff;
const TLB_FLUSH_BATCH_PENDING_LARGE = TLB_FLUSH_BATCH_PENDING_MASK >> 1;

/** struct tlbflush_unmap_batch of a task. */
export class UnmapBatch extends Local {
  cpumask: CpuMask = 0;
  flush_required = false;
  /** Something in the batch may be written through a translation that is not flushed yet. */
  writable = false;
  /** Pages that wait for the flush, and go with it. */
  pages: number[] = [];

  override get words(): readonly number[] {
    const mask = typeof this.cpumask === 'number' ? [this.cpumask] : this.cpumask;
    return [Number(this.flush_required), Number(this.writable), this.pages.length, ...this.pages, ...mask];
  }
}

const MUTANTS = wordsOf<ReclaimMutant>()(
  'no flush before freeing',
  'no flush before writing out',
  'takes what is pinned',
  'no pending flush',
  'pending overflows',
);

/** mm->tlb_flush_batched of every address space that pages are unmapped from. */
export class BatchedUnmaps extends WithMutant<ReclaimMutant> {
  readonly #words = new Map<Mm, Region>();

  constructor(builder: SystemBuilder, mms: readonly Mm[]) {
    super('mm: BatchedUnmaps', MUTANTS);
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

/** mm_tlb_flush_pending(): somebody changes entries, and may not have flushed yet. */
export const mm_tlb_flush_pending = noted(function* mm_tlb_flush_pending(mm: Mm): Steps<boolean> {
  return (yield* load(mm.tlb_flush_pending.at(0), { label: 'mm_tlb_flush_pending(mm)' })) > 0;
});

/** `pending` begins anew before it comes round to what `flushed` is: nobody would catch up any more. */
const count_deferred = noted(function* count_deferred(word: Region, overflows: boolean): Steps {
  const name = 'mm->tlb_flush_batched';
  let batch = yield* load(word.at(0), { label: name });
  while ((batch & TLB_FLUSH_BATCH_PENDING_MASK) > TLB_FLUSH_BATCH_PENDING_LARGE && !overflows) {
    yield* point('retry', batch);
    const old = yield* cmpxchg(word.at(0), batch, 1, { label: `${name}: begins anew` });
    if (old === batch) return;
    batch = old;
  }
  yield* atomicAdd(word.at(0), 1, { label: `atomic_inc(&${name})` });
});

/**
 * pte_accessible(): whether a CPU may have a translation of an entry that was just cleared. An entry that is PROT_NONE
 * may have been changed to that by somebody who has not flushed yet (mm->tlb_flush_pending).
 */
const pte_accessible = noted(function* pte_accessible({ numa }: Kernel, mm: Mm, pteval: number): Steps<boolean> {
  if (!pte_protnone(pteval)) return true;
  return (yield* mm_tlb_flush_pending(mm)) && numa?.mutant !== 'pending flush is ignored';
});

/**
 * Clears an entry under the page-table lock, for a page that goes, or is moved, after try_to_unmap_flush(). The flush
 * is put off if the architecture wants that (should_defer_flush()), otherwise it is ptep_clear_flush(). Returns the
 * entry as it was.
 */
export const clear_deferred = noted(function* clear_deferred(
  kernel: Kernel,
  cpu: Cpu,
  mm: Mm,
  vpn: number,
  ptep: EntryPointer,
  tlb_ubc: UnmapBatch,
): Steps<number> {
  const { frames, arch, batched } = kernel;
  const { tlbbatch } = arch;
  if (!tlbbatch || !(yield* tlbbatch.should_defer_flush(cpu, mm))) {
    const pteval = yield* frames.xchg(ptep, 0, { label: 'ptep_clear_flush()' });
    if (yield* pte_accessible(kernel, mm, pteval)) yield* arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
    return pteval;
  }
  const pteval = yield* frames.xchg(ptep, 0, { label: 'get_and_clear_ptes()' });
  if (!(yield* pte_accessible(kernel, mm, pteval))) return pteval;
  // set_tlb_ubc_flush_pending():
  tlb_ubc.cpumask = cpumask_or(tlb_ubc.cpumask, yield* tlbbatch.arch_tlbbatch_add_pending(cpu, mm, vpn, vpn + 1));
  tlb_ubc.flush_required = true;
  const word = batched?.of(mm);
  if (word) yield* count_deferred(word, batched?.mutant === 'pending overflows');
  if (pte_dirty(pteval)) tlb_ubc.writable = true;
  return pteval;
});

/** try_to_unmap_flush(): when it returns, no CPU has a translation of what was unmapped. */
export const try_to_unmap_flush = routine(
  'try_to_unmap_flush',
  function* ({ arch, batched }: Kernel, cpu: Cpu, tlb_ubc: UnmapBatch): Steps {
    if (tlb_ubc.flush_required && batched?.mutant !== 'no flush before freeing') {
      yield* count(TRY_TO_UNMAP_FLUSH);
      if (arch.tlbbatch) yield* arch.tlbbatch.arch_tlbbatch_flush(cpu, tlb_ubc.cpumask);
    }
    tlb_ubc.flush_required = false;
    tlb_ubc.writable = false;
    tlb_ubc.cpumask = 0;
  },
);

/** try_to_unmap_flush_dirty(): when it returns, no CPU writes to what was unmapped. */
export const try_to_unmap_flush_dirty = noted(function* try_to_unmap_flush_dirty(
  kernel: Kernel,
  cpu: Cpu,
  tlb_ubc: UnmapBatch,
): Steps {
  if (tlb_ubc.writable && kernel.batched?.mutant !== 'no flush before writing out')
    yield* try_to_unmap_flush(kernel, cpu, tlb_ubc);
});
