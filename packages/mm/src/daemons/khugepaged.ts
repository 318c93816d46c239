/**
 * khugepaged in a run: goes through an address space, and replaces tables of small pages by one huge page each. Mirrors
 * mm/khugepaged.c, v6.18: khugepaged_scan_mm_slot(), hpage_collapse_scan_pmd(), collapse_huge_page(), with
 * max_ptes_none as it is by default: one page in use is enough. (`gup/collapse.ts` is the same on a machine of one page
 * and of walkers without locks, which is explored.)
 */
import {
  count,
  NO_FRAME,
  noted,
  point,
  routine,
  smp_wmb,
  work,
  type EntryPointer,
  type Steps,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_PSE, mk_pte, pte_pfn, pte_present, pte_young } from '@shootdown/mmu';
import { copy_user_highpage } from '../contents.ts';
import { folio_expected_ref_count } from '../folio.ts';
import { pmd_offset, pmd_trans_huge, ThpCounter, type HugePages } from '../huge-pages.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm } from '../kernel.ts';
import { mmap_read_trylock } from '../mmap-lock.ts';
import { invalidate_range_end, invalidate_range_start } from '../notify.ts';
import { VM_WRITE } from '../vma.ts';
import { protection } from '../wp-page.ts';
import type { ScanHand } from './scan.ts';

/** References to a page that nobody but its mapping has. */
const EXPECTED_REFERENCES = 1;

/** khugepaged_scan_mm_slot(): looks at so many pages of an address space, a huge page's worth at a time. */
export const khugepaged_scan_mm_slot = routine(
  'khugepaged_scan_mm_slot',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, hand: ScanHand, pages: number): Steps {
    const { thp } = kernel;
    if (!thp) return;
    for (let scanned = 0; scanned < pages; scanned += thp.pages) {
      yield* point('scan', scanned);
      if ((yield* mmap_read_trylock(mm)) === 0) return;
      const vpn = yield* hand.next(mm);
      const start = vpn - (vpn % thp.pages);
      if (vpn >= 0) yield* hand.moveTo(start + thp.pages);
      const collapses = vpn >= 0 && (yield* hpage_collapse_scan_pmd(kernel, mm, start, thp));
      yield* mm.mmap_read_unlock();
      if (collapses) yield* collapse_huge_page(kernel, cpu, mm, start, thp);
      if (vpn < 0) return;
    }
  },
);

/** True if an area covers all of it, and some of it has been used lately. */
const hpage_collapse_scan_pmd = routine(
  'hpage_collapse_scan_pmd',
  function* (kernel: Kernel, mm: Mm, start: number, { pages }: HugePages): Steps<boolean> {
    const { frames } = kernel;
    if (!(yield* mm.vmas.covers(start, start + pages))) return false;
    const table = yield* table_of(kernel, mm, start);
    if (table === NO_FRAME) return false;
    let referenced = false;
    yield* pte_lock(kernel, table);
    for (let i = 0; i < pages; i++) {
      const entry = yield* frames.read(frames.entry(table, i), { label: 'ptep_get()' });
      referenced ||= pte_present(entry) && pte_young(entry);
    }
    yield* pte_unlock(kernel, table);
    return referenced;
  },
);

/** The table of small pages, or NO_FRAME: there is none, or a huge page in its place. */
function* table_of(kernel: Kernel, mm: Mm, start: number): Steps<number> {
  const pmd = yield* pmd_offset(kernel, mm, start);
  const entry = pmd === null ? 0 : yield* kernel.frames.read(pmd, { label: 'pmdp_get_lockless()' });
  return pte_present(entry) && !pmd_trans_huge(entry) ? pte_pfn(entry) : NO_FRAME;
}

/**
 * Replaces the table. It takes the lock twice: what it looks at for reading spares those who fault meanwhile from the
 * lock for writing, and is looked at again under that.
 */
const collapse_huge_page = noted(function* collapse_huge_page(
  kernel: Kernel,
  cpu: Cpu,
  mm: Mm,
  start: number,
  thp: HugePages,
): Steps {
  const { frames } = kernel;
  const huge = yield* frames.allocPages(thp.pages, { label: 'alloc_charge_folio()' });
  yield* count(huge === NO_FRAME ? ThpCounter.failed : ThpCounter.collapsed);
  if (huge === NO_FRAME) return;
  yield* mm.mmap_read_lock();
  const found = yield* hugepage_vma_revalidate(mm, start, thp);
  const valid = found && (yield* table_of(kernel, mm, start)) !== NO_FRAME;
  yield* mm.mmap_read_unlock();
  let done = false;
  if (valid) {
    // Keeps out faults, and everybody else who would change an entry.
    yield* mm.mmap_write_lock();
    done = yield* collapse_table(kernel, cpu, mm, start, huge, thp);
    yield* mm.mmap_write_unlock();
  }
  if (!done) yield* frames.freePages(huge, thp.pages);
});

/** hugepage_vma_revalidate(): the lock was free since, so the area may be another one, or gone. */
function* hugepage_vma_revalidate(mm: Mm, start: number, { pages, mutant }: HugePages): Steps<boolean> {
  return (yield* mm.vmas.covers(start, start + pages)) || mutant === 'no revalidation';
}

/** The part of collapse_huge_page() under the lock for writing; false: the table is as it was. */
function* collapse_table(
  kernel: Kernel,
  cpu: Cpu,
  mm: Mm,
  start: number,
  huge: number,
  thp: HugePages,
): Steps<boolean> {
  const { frames, arch } = kernel;
  const end = start + thp.pages;
  if (!(yield* hugepage_vma_revalidate(mm, start, thp))) return false;
  const flags = yield* mm.vmas.find(start);
  const pmd = yield* pmd_offset(kernel, mm, start);
  // check_pmd_still_valid():
  const table = pmd === null ? NO_FRAME : yield* table_of(kernel, mm, start);
  if (pmd === null || table === NO_FRAME) return false;
  yield* invalidate_range_start(kernel, mm, start, end);
  yield* pte_lock(kernel, pmd.frame);
  const _pmd = yield* frames.xchg(pmd, 0, { label: 'pmdp_collapse_flush()' });
  // flush_tlb_range(): what walk caches hold of the table goes, too.
  if (thp.mutant !== 'no collapse flush') yield* arch.flush_tlb_mm_range(cpu, mm, start, end, true);
  yield* pte_unlock(kernel, pmd.frame);
  yield* invalidate_range_end(kernel, mm, start, end);
  if (thp.mutant !== 'no table sync') yield* thp.tlb_remove_table_sync_one(cpu);
  if (!(yield* __collapse_huge_page_isolate(kernel, table, thp))) {
    yield* pte_lock(kernel, pmd.frame);
    yield* frames.write(pmd, _pmd, { label: 'pmd_populate(mm, pmd, pmd_pgtable(_pmd))' });
    yield* pte_unlock(kernel, pmd.frame);
    return false;
  }
  yield* __collapse_huge_page_copy(kernel, table, huge, thp);
  yield* smp_wmb({ label: '__folio_mark_uptodate(): smp_wmb()' });
  yield* pte_lock(kernel, pmd.frame);
  yield* thp.deposit(huge, table);
  const entry = mk_pte(huge, protection((flags & VM_WRITE) !== 0) | _PAGE_PSE);
  yield* frames.write(pmd, entry, { label: 'set_pmd_at()' });
  yield* pte_unlock(kernel, pmd.frame);
  return true;
}

/** Nobody but the entries has any of the pages. */
const __collapse_huge_page_isolate = routine(
  '__collapse_huge_page_isolate',
  function* (kernel: Kernel, table: number, { pages, mutant }: HugePages): Steps<boolean> {
    const { frames } = kernel;
    let alone = true;
    yield* pte_lock(kernel, table);
    for (let i = 0; i < pages && alone; i++) {
      const entry = yield* frames.read(frames.entry(table, i), { label: 'ptep_get()' });
      if (entry === 0) continue;
      alone =
        pte_present(entry) &&
        ((yield* folio_expected_ref_count(kernel, pte_pfn(entry), EXPECTED_REFERENCES)) || mutant === 'does not count');
    }
    yield* pte_unlock(kernel, table);
    return alone;
  },
);

const __collapse_huge_page_copy = routine(
  '__collapse_huge_page_copy',
  function* (kernel: Kernel, table: number, huge: number, { pages }: HugePages): Steps {
    for (let i = 0; i < pages; i++) yield* copy_page(kernel, kernel.frames.entry(table, i), huge + i);
    for (let i = 0; i < pages; i++) yield* unmap_copied(kernel, kernel.frames.entry(table, i));
  },
);

function* copy_page(kernel: Kernel, ptep: EntryPointer, to: number): Steps {
  const entry = yield* kernel.frames.read(ptep, { label: 'ptep_get()' });
  if (pte_present(entry)) yield* copy_user_highpage(kernel, to, pte_pfn(entry));
  else yield* work('page_zero', { label: 'clear_user_highpage()' });
}

/** __collapse_huge_page_copy_succeeded() of one page. */
function* unmap_copied(kernel: Kernel, ptep: EntryPointer): Steps {
  const { frames } = kernel;
  const entry = yield* frames.read(ptep, { label: 'ptep_get()' });
  if (entry === 0) return;
  yield* pte_lock(kernel, ptep.frame);
  yield* frames.write(ptep, 0, { label: 'ptep_clear()' });
  yield* pte_unlock(kernel, ptep.frame);
  yield* frames.put(pte_pfn(entry), { label: 'free_folio_and_swap_cache()' });
}
