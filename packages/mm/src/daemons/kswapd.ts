/**
 * kswapd in a run: goes through an address space, takes pages that have not been used since it came by last, and
 * flushes once for all of them that need not be written out (`tlb-batched.ts`). A page that was only read is one of
 * those: it stands for what is in the swap cache or in a file already. Mirrors mm/vmscan.c, kswapd_shrink_node() with
 * shrink_folio_list(), and mm/rmap.c, folio_referenced_one(), try_to_unmap_one(), v6.18.
 *
 * The list of pages is the address space itself, in order, and what keeps its tables from being freed meanwhile
 * (anon_vma->rwsem) is mmap_lock, held for reading. A page that comes back comes back as a new one.
 */
import { count, local, noted, point, routine, work, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { pte_dirty, pte_pfn, pte_present, pte_young } from '@shootdown/mmu';
import { pte_lock, pte_unlock, type Kernel, type Mm } from '../kernel.ts';
import { ptep_test_and_clear_young } from '../lazy-ptes.ts';
import { invalidate_range_end, invalidate_range_start } from '../notify.ts';
import { pte_offset } from '../pgtable.ts';
import {
  clear_deferred,
  TRY_TO_UNMAP_FLUSH,
  try_to_unmap_flush,
  try_to_unmap_flush_dirty,
  UnmapBatch,
} from '../tlb-batched.ts';
import type { ScanHand } from './scan.ts';

/** Counters, named as in /proc/vmstat. */
export const ReclaimCounter = {
  scanned: 'pgscan_kswapd',
  stolen: 'pgsteal_kswapd',
  swapped: 'pswpout',
  batches: TRY_TO_UNMAP_FLUSH,
} as const;

/** Entries of a batch before it is flushed: SWAP_CLUSTER_MAX. */
const SWAP_CLUSTER_MAX = 32;

/** kswapd_shrink_node(): looks at so many pages of an address space. */
export const kswapd_shrink_node = routine(
  'kswapd_shrink_node',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, hand: ScanHand, nr_to_scan: number): Steps {
    const batch = yield* local(new UnmapBatch());
    for (let i = 0; i < nr_to_scan; i++) {
      yield* point('folio', i);
      yield* mm.mmap_read_lock();
      const vpn = yield* hand.next(mm);
      if (vpn >= 0 && !(yield* folio_referenced_one(kernel, cpu, mm, vpn)))
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
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number): Steps<boolean> {
    const { frames } = kernel;
    const ptep = yield* pte_offset(kernel, mm, vpn);
    if (!ptep) return true;
    yield* pte_lock(kernel, ptep.frame);
    const entry = yield* frames.read(ptep, { label: 'ptep_get()' });
    const young = pte_present(entry) && pte_young(entry);
    // ptep_clear_flush_young(): the page looks old at worst although it is used, so no CPU is waited for.
    if (young) yield* ptep_test_and_clear_young(kernel, cpu, ptep, entry);
    if (young && kernel.arch.flush_tlb_page_nosync) yield* kernel.arch.flush_tlb_page_nosync(cpu, mm, vpn);
    yield* pte_unlock(kernel, ptep.frame);
    if (pte_present(entry)) yield* count(ReclaimCounter.scanned);
    return young || !pte_present(entry);
  },
);

/**
 * Unmaps a page that nobody else has; the flush is put off if the architecture wants that, and until a page is to be
 * written out. (In the kernel that is for shrink_folio_list(): pageout().)
 */
const try_to_unmap_one = routine(
  'try_to_unmap_one',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, batch: UnmapBatch): Steps {
    const { frames } = kernel;
    const ptep = yield* pte_offset(kernel, mm, vpn);
    if (!ptep) return;
    yield* invalidate_range_start(kernel, mm, vpn, vpn + 1);
    yield* pte_lock(kernel, ptep.frame);
    const seen = yield* frames.read(ptep, { label: 'ptep_get()' });
    const mine = pte_present(seen) && (yield* frames.ref(pte_pfn(seen), 0, { label: 'folio_ref_count()' })) === 1;
    const pteval = mine ? yield* clear_deferred(kernel, cpu, mm, vpn, ptep, batch) : 0;
    // GUP-fast takes a reference, then looks at the entry again; this clears the entry, then counts references again.
    const unmapped = mine && (yield* folio_try_share_anon_rmap_pte(kernel, pte_pfn(pteval)));
    if (unmapped) batch.pages.push(pte_pfn(pteval));
    else if (mine) yield* frames.write(ptep, pteval, { label: 'set_pte_at(as it was)' });
    yield* pte_unlock(kernel, ptep.frame);
    yield* invalidate_range_end(kernel, mm, vpn, vpn + 1);
    if (!unmapped || !pte_dirty(pteval)) return;
    yield* try_to_unmap_flush_dirty(kernel, cpu, batch);
    yield* swap_writeout();
    yield* count(ReclaimCounter.swapped);
  },
);

/** folio_try_share_anon_rmap_pte(): whether nobody has pinned the page. */
function* folio_try_share_anon_rmap_pte({ frames, batched }: Kernel, folio: number): Steps<boolean> {
  const references = yield* frames.ref(folio, 0, { label: 'folio_try_share_anon_rmap_pte()' });
  return references === 1 || batched?.mutant === 'takes what is pinned';
}

const swap_writeout = routine('swap_writeout', function* (): Steps {
  yield* work('swap_writepage', { label: '(write to the disk)' });
});

/** Flushes, and then the pages go. */
const free_unmapped = noted(function* free_unmapped(kernel: Kernel, cpu: Cpu, batch: UnmapBatch): Steps {
  yield* try_to_unmap_flush(kernel, cpu, batch);
  for (const page of batch.pages.splice(0)) {
    yield* kernel.frames.put(page);
    yield* count(ReclaimCounter.stolen);
  }
});
