/**
 * The sections of generic mm that use lazy MMU mode, in the orders that they had and have. Straight-line, one function
 * per version. Here are those of a process's table that move, protect and take away; see `kernel-sections.ts` and
 * `young-sections.ts` for the others.
 *
 * Mirrors mm/migrate_device.c, mm/mremap.c, mm/userfaultfd.c, mm/memory.c and fs/proc/task_mmu.c, v6.14 to v7.0. Each
 * works on the entries of one table; what surrounds a section (walks, VMAs, notifiers) is no part of it.
 */
import { routine, type EntryPointer, type Routine, type Steps } from '@shootdown/machine';
import { _PAGE_PRESENT, _PAGE_RW, mk_pte, pte_pfn, pte_present } from '@shootdown/mmu';
import { spin_lock, type Spinlock } from '@shootdown/sync';
import type { Kernel, Mm } from '../kernel.ts';
import type { Current, LazyMmu } from './lazy-mmu.ts';
import { lazy_mmu_mode_disable, lazy_mmu_mode_enable, returns } from './mode.ts';
import { make_migration_entry } from './swap-entries.ts';
import {
  flush_tlb_range,
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
      if (!pte_present(yield* ptep_get(lazy, current, ptep))) continue;
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
      if (!pte_present(yield* ptep_get(lazy, current, ptep))) continue;
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
      if (!pte_present(yield* ptep_get(lazy, current, ptep))) continue;
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

/**
 * mm/userfaultfd.c, UFFDIO_MOVE: entries are taken from one place and set in another, and what they were is flushed
 * when the mode has been left and before the locks are dropped.
 */
export const move_present_ptes: SectionRoutine = routine(
  'move_present_ptes',
  function* ({ lazy, current, ptes, start, ptl, otherPtl = ptl }): Steps {
    yield* spin_lock(ptl);
    if (otherPtl !== ptl) yield* spin_lock(otherPtl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const src_pte of ptes) {
      const dst_pte = lazy.frames.entry(1 - src_pte.frame, src_pte.index);
      // check_ptes_for_batched_move()
      if ((yield* ptep_get(lazy, current, dst_pte, { label: 'ptep_get(dst_pte)' })) !== 0) break;
      if (!pte_present(yield* ptep_get(lazy, current, src_pte, { label: 'ptep_get(src_pte)' }))) break;
      const pte = yield* ptep_get_and_clear(lazy, current, src_pte);
      yield* set_pte(lazy, current, dst_pte, pte, { label: 'set_pte_at(dst_pte)' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* flush_tlb_range(lazy, current, start, ptes.length);
    if (otherPtl !== ptl) yield* pte_unmap_unlock(lazy, current, otherPtl);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);

/** mm/memory.c: what a device maps into a process; nothing was there, so nothing is flushed. */
export const remap_pte_range: SectionRoutine = routine(
  'remap_pte_range',
  function* ({ lazy, current, ptes, ptl }): Steps {
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const [i, pte] of ptes.entries()) {
      // BUG_ON(!pte_none(ptep_get(pte)))
      if ((yield* ptep_get(lazy, current, pte)) !== 0) break;
      yield* set_pte(lazy, current, pte, mk_pte(2 + i, _PAGE_PRESENT | _PAGE_RW), { label: 'set_pte_at(pfn)' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);
