/**
 * The sections of generic mm that use lazy MMU mode to make pages old: madvise() with MADV_COLD and MADV_FREE, and the
 * walks of the multi-generational LRU.
 *
 * Mirrors mm/madvise.c and mm/vmscan.c, v6.14 to v7.0. Flushes, if any, come when everything has been left and unlocked
 * (tlb_finish_mmu()).
 */
import { routine, type EntryPointer, type Steps } from '@shootdown/machine';
import { _PAGE_ACCESSED, _PAGE_DIRTY, pte_present } from '@shootdown/mmu';
import { spin_lock } from '@shootdown/sync';
import { lazy_mmu_mode_disable, lazy_mmu_mode_enable, might_sleep, returns } from './mode.ts';
import { ptep_get, ptep_get_and_clear, ptep_test_and_clear_young, pte_unmap_unlock, set_pte } from './pte.ts';
import type { SectionRoutine } from './sections.ts';

/**
 * The pages belong to one large folio that reaches beyond the range, so that it is split: the mode is left, the lock is
 * dropped, and the loop goes on with the same entry, of a small folio now.
 */
export const madvise_cold_or_pageout_pte_range: SectionRoutine = routine(
  'madvise_cold_or_pageout_pte_range',
  function* ({ lazy, current, ptes, ptl }): Steps {
    let large = true;
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (let i = 0, nr = 1; i < ptes.length; i += nr) {
      const pte = ptes[i] as EntryPointer;
      nr = 1;
      const ptent = yield* ptep_get(lazy, current, pte);
      if (!pte_present(ptent)) continue;
      if (large) {
        yield* lazy_mmu_mode_disable(lazy, current);
        yield* pte_unmap_unlock(lazy, current, ptl);
        yield* might_sleep(lazy, current, 'split_folio()');
        large = false;
        yield* spin_lock(ptl);
        yield* lazy_mmu_mode_enable(lazy, current);
        nr = 0;
        continue;
      }
      // clear_young_dirty_ptes(CYDP_CLEAR_YOUNG)
      if ((ptent & _PAGE_ACCESSED) !== 0) yield* ptep_test_and_clear_young(lazy, current, pte);
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);

/** MADV_FREE, in the same way: but the dirty bit goes, too, so that the entry is taken out and set again. */
export const madvise_free_pte_range: SectionRoutine = routine(
  'madvise_free_pte_range',
  function* ({ lazy, current, ptes, ptl }): Steps {
    let large = true;
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (let i = 0, nr = 1; i < ptes.length; i += nr) {
      const pte = ptes[i] as EntryPointer;
      nr = 1;
      const ptent = yield* ptep_get(lazy, current, pte);
      if (!pte_present(ptent)) continue;
      if (large) {
        yield* lazy_mmu_mode_disable(lazy, current);
        yield* pte_unmap_unlock(lazy, current, ptl);
        yield* might_sleep(lazy, current, 'split_folio()');
        large = false;
        yield* spin_lock(ptl);
        yield* lazy_mmu_mode_enable(lazy, current);
        nr = 0;
        continue;
      }
      if ((ptent & (_PAGE_ACCESSED | _PAGE_DIRTY)) === 0) continue;
      // clear_young_dirty_ptes(CYDP_CLEAR_YOUNG | CYDP_CLEAR_DIRTY)
      const old = yield* ptep_get_and_clear(lazy, current, pte);
      const clean = old & ~(_PAGE_ACCESSED | _PAGE_DIRTY);
      yield* set_pte(lazy, current, pte, clean, { label: 'set_pte_at(pte_mkclean(pte_mkold(pte)))' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);

/**
 * walk_pte_range() and lru_gen_look_around(): accessed bits of a table are looked for and cleared; nothing is flushed.
 */
export const walk_pte_range: SectionRoutine = routine(
  'walk_pte_range',
  function* ({ lazy, current, ptes, ptl }): Steps {
    // pte_offset_map_rw_nolock(), then a trylock; here nobody else holds it.
    yield* spin_lock(ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const pte of ptes) {
      const ptent = yield* ptep_get(lazy, current, pte);
      if (!pte_present(ptent) || (ptent & _PAGE_ACCESSED) === 0) continue;
      yield* ptep_test_and_clear_young(lazy, current, pte);
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, ptl);
    yield* returns(lazy, current);
  },
);
