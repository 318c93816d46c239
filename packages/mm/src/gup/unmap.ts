/**
 * The removers: munmap() and madvise(MADV_DONTNEED) of one page, and the freeing of its table in every era.
 *
 * Mirrors mm/memory.c (zap_pte_range, free_pte_range) and mm/mmu_gather.c, v5.16 to v7.1. Locks that nobody else here takes
 * (mmap_lock, the page-table lock) are left out.
 */
import { FrameKind, point, routine, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { pte_pfn } from '@shootdown/mmu';
import { entryFact, PMD_TABLE, PTE_TABLE, type GupKernel } from './kernel.ts';

/**
 * What tlb_remove_table() does with a table.
 *
 * `page-batch`: it joins the data pages and is freed with them, after the flush (no MMU_GATHER_RCU_TABLE_FREE). `call-rcu`: the
 * batch is freed after a grace period. The other two are the allocation of a batch page having failed: `sync-ipi` waits for
 * tlb_remove_table_sync_one() and frees at once; `sync-rcu` for synchronize_rcu() (1fb3d8c20bfa, v7.1).
 */
export type TableFreeing = 'page-batch' | 'call-rcu' | 'sync-ipi' | 'sync-rcu';

/** What is unmapped. `munmap` also frees the table; `dontneed` leaves it. */
export type Unmap = 'munmap' | 'dontneed';

/** What a remover is built from. */
export interface UnmapDesign {
  readonly tableFreeing: TableFreeing;
  readonly unmap: Unmap;
}

/** Unmaps the page; then its frame comes into other hands at once, as the allocator may do. */
export const unmap_region = routine('unmap_region', function* (kernel: GupKernel, cpu: Cpu, { tableFreeing, unmap }: UnmapDesign): Steps {
  const page = yield* zap_pte_range(kernel);
  if (unmap === 'munmap') yield* free_pgtables(kernel, cpu, tableFreeing);
  yield* point('tlb_finish_mmu', page);
  // The failed allocation has flushed already, and __tlb_reset_range() forgot the range.
  const flushed = unmap === 'munmap' && (tableFreeing === 'sync-ipi' || tableFreeing === 'sync-rcu');
  if (!flushed) yield* kernel.flush.flush_tlb_mm_range(cpu);
  if (unmap === 'munmap') yield* tlb_table_flush(kernel, tableFreeing);
  yield* point('tlb_batch_pages_flush', page);
  yield* kernel.frames.put(page);
  yield* point('reuse');
  yield* kernel.frames.alloc(FrameKind.page, { label: 'alloc_page()' });
});

/** The entry goes; the page is only queued: the gather puts it after the flush. */
const zap_pte_range = routine('zap_pte_range', function* (kernel: GupKernel): Steps<number> {
  const pte = kernel.frames.entry(PTE_TABLE, 0);
  return pte_pfn(yield* kernel.frames.xchg(pte, 0, { label: 'ptep_get_and_clear_full()', fact: entryFact }));
});

const free_pgtables = routine('free_pgtables', function* (kernel: GupKernel, cpu: Cpu, tableFreeing: TableFreeing): Steps {
  yield* kernel.frames.write(kernel.frames.entry(PMD_TABLE, 0), 0, { label: 'pmd_clear(pmd)' });
  if (tableFreeing !== 'sync-ipi' && tableFreeing !== 'sync-rcu') return;
  // tlb_remove_table() without memory for a batch: tlb_table_invalidate(), then tlb_remove_table_one().
  yield* kernel.flush.flush_tlb_mm_range(cpu);
  if (tableFreeing === 'sync-ipi') yield* kernel.tlb_remove_table_sync_one(cpu);
  else yield* kernel.synchronize_rcu(cpu);
  yield* kernel.freeTable(PTE_TABLE);
});

function* tlb_table_flush(kernel: GupKernel, tableFreeing: TableFreeing): Steps {
  if (tableFreeing === 'page-batch') yield* kernel.freeTable(PTE_TABLE);
  if (tableFreeing === 'call-rcu' && kernel.rcu) yield* kernel.rcu.call_rcu(kernel.tlb_remove_table_rcu, PTE_TABLE);
}
