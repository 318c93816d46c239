/**
 * The sections of generic mm that use lazy MMU mode, in the orders that they had and have. Straight-line, one function
 * per version.
 *
 * Mirrors mm/memory.c, mm/vmalloc.c, mm/migrate_device.c, mm/madvise.c, mm/kasan/shadow.c and fs/proc/task_mmu.c, v6.14
 * to v7.0. Each works on the entries of one table; what surrounds a section (walks, VMAs, notifiers) is no part of it.
 */
import { each, routine, type EntryPointer, type Routine, type Steps } from '@shootdown/machine';
import { _PAGE_RW, mk_pte, pte_pfn, pte_present } from '@shootdown/mmu';
import { spin_lock, type Spinlock } from '@shootdown/sync';
import type { Kernel, Mm } from '../kernel.ts';
import type { Current, LazyMmu } from './lazy-mmu.ts';
import {
  lazy_mmu_mode_disable,
  lazy_mmu_mode_enable,
  lazy_mmu_mode_pause,
  lazy_mmu_mode_resume,
  might_sleep,
  returns,
} from './mode.ts';
import {
  flush_tlb_range,
  kernel_access,
  needs_immediate_effect,
  ptep_get,
  ptep_get_and_clear,
  ptep_modify_prot_start,
  pte_unmap_unlock,
  set_pte,
} from './pte.ts';

/** What a section works on. */
export interface Section {
  readonly lazy: LazyMmu;
  readonly current: Current;
  /** The entries, in order of their pages; they begin at page `start`. */
  readonly ptes: readonly EntryPointer[];
  readonly start: number;
  readonly ptl: Spinlock;
  /** The lock of a second table, where a section needs one. */
  readonly otherPtl?: Spinlock;
  /** The kernel of the runs on the same machine, for routines that are the same there. */
  readonly kernel?: { readonly runs: Kernel; readonly mm: Mm };
}

/** One version of a section. */
export type SectionRoutine = Routine<[section: Section], void>;

/** The bit of a swap-style entry that gives a device the page to itself, and where its frame number stands. */
const DEVICE_EXCLUSIVE = 1 << 10;
const SWP_OFFSET_SHIFT = 13;

/** make_device_exclusive_entry(): not present; the frame number stands elsewhere than in a present entry. */
export function make_device_exclusive_entry(pfn: number): number {
  return (pfn << SWP_OFFSET_SHIFT) | DEVICE_EXCLUSIVE;
}

export function is_device_exclusive_entry(entry: number): boolean {
  return !pte_present(entry) && (entry & DEVICE_EXCLUSIVE) !== 0;
}

/** The frame of a device-exclusive entry. */
export function device_exclusive_pfn(entry: number): number {
  return entry >>> SWP_OFFSET_SHIFT;
}

const MIGRATION = 1 << 9;

/** make_readable_migration_entry(): not present, and a fault waits for it. */
export function make_migration_entry(pfn: number): number {
  return (pfn << SWP_OFFSET_SHIFT) | MIGRATION;
}

function protect(old: number): number {
  return old & ~_PAGE_RW;
}

/** fs/proc/task_mmu.c of v6.14: the write protection is flushed while it may still be queued. */
export const pagemap_scan_pmd_entry_flush_before_leave: SectionRoutine = routine(
  'pagemap_scan_pmd_entry',
  function* ({ lazy, current, ptes, start, ptl }): Steps {
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const ptep of ptes) {
      const old = yield* ptep_modify_prot_start(lazy, current, ptep);
      yield* set_pte(lazy, current, ptep, protect(old), { label: 'ptep_modify_prot_commit()' });
    }
    yield* flush_tlb_range(lazy, current, start, ptes.length);
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);

/** The same before ad449d856bd7 (v6.15): the lock is dropped before the mode is left. */
export const pagemap_scan_pmd_entry_unlock_before_leave: SectionRoutine = routine(
  'pagemap_scan_pmd_entry',
  function* ({ lazy, current, ptes, start, ptl }): Steps {
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const ptep of ptes) {
      const old = yield* ptep_modify_prot_start(lazy, current, ptep);
      yield* set_pte(lazy, current, ptep, protect(old), { label: 'ptep_modify_prot_commit()' });
    }
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* flush_tlb_range(lazy, current, start, ptes.length);
    yield* returns(lazy, current);
  },
);

/** As it should be: leave, flush, unlock. */
export const pagemap_scan_pmd_entry: SectionRoutine = routine(
  'pagemap_scan_pmd_entry',
  function* ({ lazy, current, ptes, start, ptl }): Steps {
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const ptep of ptes) {
      const old = yield* ptep_modify_prot_start(lazy, current, ptep);
      yield* set_pte(lazy, current, ptep, protect(old), { label: 'ptep_modify_prot_commit()' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* flush_tlb_range(lazy, current, start, ptes.length);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);

/** mm/migrate_device.c of v6.14: the flush comes while the migration entries may still be queued. */
export const migrate_vma_collect_pmd_flush_before_leave: SectionRoutine = routine(
  'migrate_vma_collect_pmd',
  function* ({ lazy, current, ptes, start, ptl }): Steps {
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const ptep of ptes) {
      const pte = yield* ptep_get_and_clear(lazy, current, ptep);
      if (!pte_present(pte)) continue;
      yield* set_pte(lazy, current, ptep, make_migration_entry(pte_pfn(pte)), { label: 'set_pte_at(swp_pte)' });
    }
    yield* flush_tlb_range(lazy, current, start, ptes.length);
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);

/** As it should be. */
export const migrate_vma_collect_pmd: SectionRoutine = routine(
  'migrate_vma_collect_pmd',
  function* ({ lazy, current, ptes, start, ptl }): Steps {
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const ptep of ptes) {
      const pte = yield* ptep_get_and_clear(lazy, current, ptep);
      if (!pte_present(pte)) continue;
      yield* set_pte(lazy, current, ptep, make_migration_entry(pte_pfn(pte)), { label: 'set_pte_at(swp_pte)' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* flush_tlb_range(lazy, current, start, ptes.length);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);

/** mm/mremap.c: the flush of the old range comes when the mode has been left, and before the locks are dropped. */
export const move_ptes: SectionRoutine = routine(
  'move_ptes',
  function* ({ lazy, current, ptes, start, ptl, otherPtl = ptl }): Steps {
    yield* spin_lock(ptl);
    if (otherPtl !== ptl) yield* spin_lock(otherPtl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const old_ptep of ptes) {
      if (!pte_present(yield* ptep_get(lazy, current, old_ptep))) continue;
      const pte = yield* ptep_get_and_clear(lazy, current, old_ptep);
      const new_ptep = lazy.frames.entry(1 - old_ptep.frame, old_ptep.index);
      yield* set_pte(lazy, current, new_ptep, pte, { label: 'set_ptes(new_ptep)' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* flush_tlb_range(lazy, current, start, ptes.length);
    if (otherPtl !== ptl) yield* pte_unmap_unlock(lazy, current, otherPtl);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);

/** mm/memory.c: callers pass a function that sets an entry; of the kernel's table no lock is held. */
export const apply_to_pte_range: SectionRoutine = routine(
  'apply_to_pte_range',
  function* ({ lazy, current, ptes }): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const [i, ptep] of ptes.entries())
      yield* set_pte(lazy, current, ptep, mk_pte(1 + i, KERNEL_PAGE), { label: 'fn(pte)' });
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

/** vmap_pages_pte_range() before fea18c686320: an entry that is taken ends it, with the mode on. */
export const vmap_pages_pte_range_buggy: SectionRoutine = routine(
  'vmap_pages_pte_range',
  function* ({ lazy, current, ptes }): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const [i, ptep] of ptes.entries()) {
      if (pte_present(yield* ptep_get(lazy, current, ptep))) return yield* returns(lazy, current);
      yield* set_pte(lazy, current, ptep, mk_pte(1 + i, KERNEL_PAGE), { label: 'set_pte_at(page)' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    return yield* returns(lazy, current);
  },
);

/** Since fea18c686320: the error leaves the loop, not the function. */
export const vmap_pages_pte_range: SectionRoutine = routine(
  'vmap_pages_pte_range',
  function* ({ lazy, current, ptes }): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const [i, ptep] of ptes.entries()) {
      if (pte_present(yield* ptep_get(lazy, current, ptep))) break;
      yield* set_pte(lazy, current, ptep, mk_pte(1 + i, KERNEL_PAGE), { label: 'set_pte_at(page)' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

const KERNEL_PAGE = 1 | _PAGE_RW;

/** kasan_populate_vmalloc_pte() before b6ea95a34cbd: it allocates in the section of its caller. */
export const kasan_populate_vmalloc_pte_sleeps: SectionRoutine = routine(
  'kasan_populate_vmalloc_pte',
  function* ({ lazy, current, ptes }): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* each(ptes.length, function* (i) {
      const ptep = ptes[i] as EntryPointer;
      yield* might_sleep(lazy, current, '__get_free_page(GFP_KERNEL)');
      yield* set_pte(lazy, current, ptep, mk_pte(1 + i, KERNEL_PAGE), { label: 'set_pte_at(shadow)' });
      return undefined;
    });
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

/** Since b6ea95a34cbd and the generic layer: paused while it allocates and writes. */
export const kasan_populate_vmalloc_pte: SectionRoutine = routine(
  'kasan_populate_vmalloc_pte',
  function* ({ lazy, current, ptes }): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* each(ptes.length, function* (i) {
      const ptep = ptes[i] as EntryPointer;
      yield* lazy_mmu_mode_pause(lazy, current);
      yield* might_sleep(lazy, current, '__get_free_page(GFP_KERNEL)');
      yield* set_pte(lazy, current, ptep, mk_pte(1 + i, KERNEL_PAGE), { label: 'set_pte_at(shadow)' });
      yield* lazy_mmu_mode_resume(lazy, current);
      return undefined;
    });
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

/** __kernel_map_pages() of DEBUG_PAGEALLOC under a section of its caller: the page must be gone at once. */
export const kernel_map_pages_nested: SectionRoutine = routine(
  'zap_pte_range (allocates)',
  function* ({ lazy, current, ptes }): Steps {
    const [outer, page] = ptes as [EntryPointer, EntryPointer];
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* ptep_get_and_clear(lazy, current, outer, { label: 'ptep_get_and_clear_full()' });
    yield* apply_to_page_range(lazy, current, page);
    // The rest of the section: batched, unless the inner one has ended the mode.
    yield* set_pte(lazy, current, outer, mk_pte(2, KERNEL_PAGE), { label: 'set_pte(next)' });
    yield* set_pte(lazy, current, outer, mk_pte(3, KERNEL_PAGE), { label: 'set_pte(next)' });
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

const apply_to_page_range = routine(
  'apply_to_page_range',
  function* (lazy: LazyMmu, current: Current, ptep: EntryPointer): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* set_pte(lazy, current, ptep, mk_pte(1, KERNEL_PAGE), { label: 'set_pte(debug_pagealloc)' });
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* needs_immediate_effect(lazy, current, ptep, '__kernel_map_pages() is done');
  },
);

/** The same without a section of its own: nothing but the outer one's end would make it effective. */
export const kernel_map_pages_deferred: SectionRoutine = routine(
  'zap_pte_range (allocates)',
  function* ({ lazy, current, ptes }): Steps {
    const [outer, page] = ptes as [EntryPointer, EntryPointer];
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* ptep_get_and_clear(lazy, current, outer, { label: 'ptep_get_and_clear_full()' });
    yield* set_pte(lazy, current, page, mk_pte(1, KERNEL_PAGE), { label: 'set_pte(debug_pagealloc)' });
    yield* needs_immediate_effect(lazy, current, page, '__kernel_map_pages() is done');
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

/** kfence_unprotect() in a softirq: a kernel entry is stored, and the page is touched at once. */
export const kfence_unprotect: SectionRoutine = routine('kfence_unprotect', function* ({ lazy, current, ptes }): Steps {
  const [ptep] = ptes as [EntryPointer];
  yield* set_pte(lazy, current, ptep, mk_pte(1, KERNEL_PAGE), { label: 'set_pte(kfence)' });
  yield* kernel_access(lazy, current, ptep, '*(char *)object');
});

/** vunmap_pte_range(): entries are cleared; the flush comes later (purge_vmap_area_lazy()). */
export const vunmap_pte_range: SectionRoutine = routine('vunmap_pte_range', function* ({ lazy, current, ptes }): Steps {
  yield* lazy_mmu_mode_enable(lazy, current);
  yield* each(ptes.length, function* (i) {
    yield* ptep_get_and_clear(lazy, current, ptes[i] as EntryPointer);
    return undefined;
  });
  yield* lazy_mmu_mode_disable(lazy, current);
  yield* returns(lazy, current);
});

/** madvise_cold_or_pageout_pte_range(): the mode is left around split_folio(), which sleeps. */
export const madvise_cold_or_pageout_pte_range: SectionRoutine = routine(
  'madvise_cold_or_pageout_pte_range',
  function* ({ lazy, current, ptes, ptl }): Steps {
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* ptep_get(lazy, current, ptes[0] as EntryPointer);
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* might_sleep(lazy, current, 'split_folio()');
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const ptep of ptes) {
      const old = yield* ptep_get_and_clear(lazy, current, ptep);
      yield* set_pte(lazy, current, ptep, old, { label: 'set_pte_at(pte_mkold(ptent))' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);
