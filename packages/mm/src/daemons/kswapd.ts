/**
 * kswapd in a run: goes through an address space, takes pages that have not been used since it came by last, and
 * flushes once for all of them. Mirrors mm/vmscan.c, kswapd_shrink_node() with shrink_folio_list(), and mm/rmap.c,
 * folio_referenced_one(), try_to_unmap_one(), set_tlb_ubc_flush_pending(), try_to_unmap_flush(), v6.18.
 * Who changes entries meanwhile calls flush_tlb_batched_pending() of tlb-batched.ts.
 *
 * The list of pages is the address space itself, in order, and what keeps its tables from being freed meanwhile
 * (anon_vma->rwsem) is mmap_lock, held for reading. A page that comes back comes back as a new one.
 */
import { atomicAdd, count, Local, local, point, routine, work, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_ACCESSED, pte_dirty, pte_pfn, pte_present, pte_young } from '@shootdown/mmu';
import { cpumask_or, type CpuMask } from '../cpumask.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm, type TlbBatching } from '../kernel.ts';
import { invalidate_range_end, invalidate_range_start } from '../notify.ts';
import { pte_offset } from '../pgtable.ts';
import type { ScanHand } from './scan.ts';

/** Counters, named as in /proc/vmstat. */
export const ReclaimCounter = {
  scanned: 'pgscan_kswapd',
  stolen: 'pgsteal_kswapd',
  swapped: 'pswpout',
  batches: 'try_to_unmap_flush',
} as const;

/** Entries of a batch before it is flushed: SWAP_CLUSTER_MAX. */
const SWAP_CLUSTER_MAX = 32;
/** struct tlbflush_unmap_batch of a task, and the pages that wait for its flush. */
class UnmapBatch extends Local {
  cpumask: CpuMask = 0;
  flush_required = false;
  pages: number[] = [];

  override get words(): readonly number[] {
    const mask = typeof this.cpumask === 'number' ? [this.cpumask] : this.cpumask;
    return [Number(this.flush_required), this.pages.length, ...this.pages, ...mask];
  }
}

/** kswapd_shrink_node(): looks at so many pages of an address space. */
export const kswapd_shrink_node = routine(
  'kswapd_shrink_node',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, hand: ScanHand, nr_to_scan: number): Steps {
    const batch = yield* local(new UnmapBatch());
    for (let i = 0; i < nr_to_scan; i++) {
      yield* point('folio', i);
      yield* mm.mmap_read_lock();
      const vpn = yield* hand.next(mm);
      if (vpn >= 0 && !(yield* folio_referenced_one(kernel, mm, vpn)))
        yield* try_to_unmap_one(kernel, cpu, mm, vpn, batch);
      yield* mm.mmap_read_unlock();
      if (vpn < 0 || batch.pages.length >= SWAP_CLUSTER_MAX) yield* free_unmapped(kernel, cpu, batch);
      if (vpn < 0) return;
    }
    yield* free_unmapped(kernel, cpu, batch);
  },
);

/** True if a page has been used since the last time, or there is none that could be taken away. */
const folio_referenced_one = routine(
  'folio_referenced_one',
  function* (kernel: Kernel, mm: Mm, vpn: number): Steps<boolean> {
    const { frames } = kernel;
    const ptep = yield* pte_offset(kernel, mm, vpn);
    if (!ptep) return true;
    yield* pte_lock(kernel, ptep.frame);
    const entry = yield* frames.read(ptep, { label: 'ptep_get()' });
    const young = pte_present(entry) && pte_young(entry);
    // ptep_clear_flush_young() of x86 does not flush: at worst the page looks old although it is used.
    if (young) yield* frames.xchg(ptep, entry & ~_PAGE_ACCESSED, { label: 'ptep_clear_young()' });
    yield* pte_unlock(kernel, ptep.frame);
    if (pte_present(entry)) yield* count(ReclaimCounter.scanned);
    return young || !pte_present(entry);
  },
);

/** Unmaps a page that nobody else has; the flush is put off if other CPUs must hear of it. */
const try_to_unmap_one = routine(
  'try_to_unmap_one',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, batch: UnmapBatch): Steps {
    const { frames, arch } = kernel;
    const ptep = yield* pte_offset(kernel, mm, vpn);
    if (!ptep) return;
    yield* invalidate_range_start(kernel, mm, vpn, vpn + 1);
    yield* pte_lock(kernel, ptep.frame);
    const pteval = yield* frames.read(ptep, { label: 'ptep_get()' });
    const mine = pte_present(pteval) && (yield* frames.ref(pte_pfn(pteval), 0, { label: 'folio_ref_count()' })) === 1;
    const cleared = mine ? yield* frames.xchg(ptep, 0, { label: 'get_and_clear_ptes()' }) : 0;
    if (mine) {
      const { tlbbatch } = arch;
      if (tlbbatch && (yield* tlbbatch.should_defer_flush(cpu, mm)))
        yield* set_tlb_ubc_flush_pending(kernel, tlbbatch, cpu, mm, vpn, batch);
      else yield* arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
      batch.pages.push(pte_pfn(pteval));
    }
    yield* pte_unlock(kernel, ptep.frame);
    yield* invalidate_range_end(kernel, mm, vpn, vpn + 1);
    if (!pte_dirty(cleared)) return;
    yield* work('swap_writepage', { label: 'swap_writeout()' });
    yield* count(ReclaimCounter.swapped);
  },
);

function* set_tlb_ubc_flush_pending(
  { batched }: Kernel,
  tlbbatch: TlbBatching,
  cpu: Cpu,
  mm: Mm,
  vpn: number,
  batch: UnmapBatch,
): Steps {
  batch.cpumask = cpumask_or(batch.cpumask, yield* tlbbatch.arch_tlbbatch_add_pending(cpu, mm, vpn, vpn + 1));
  batch.flush_required = true;
  const word = batched?.of(mm);
  if (word) yield* atomicAdd(word.at(0), 1, { label: 'atomic_inc(&mm->tlb_flush_batched)' });
}

/** try_to_unmap_flush(), and then the pages go. */
const free_unmapped = routine('try_to_unmap_flush', function* (kernel: Kernel, cpu: Cpu, batch: UnmapBatch): Steps {
  const { arch, frames, batched } = kernel;
  if (batch.flush_required && batched?.mutant !== 'no flush before freeing') {
    yield* count(ReclaimCounter.batches);
    if (arch.tlbbatch) yield* arch.tlbbatch.arch_tlbbatch_flush(cpu, batch.cpumask);
  }
  batch.flush_required = false;
  batch.cpumask = 0;
  for (const page of batch.pages.splice(0)) {
    yield* frames.put(page);
    yield* count(ReclaimCounter.stolen);
  }
});
