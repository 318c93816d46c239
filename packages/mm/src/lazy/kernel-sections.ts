/**
 * The sections of generic mm that use lazy MMU mode on the kernel's own table, where no page-table lock need be held:
 * vmalloc(), its KASAN shadow, DEBUG_PAGEALLOC and KFENCE.
 *
 * Mirrors mm/memory.c, mm/vmalloc.c, mm/kasan/shadow.c, v6.14 to v7.0. Straight-line, one function per version.
 */
import { each, routine, type EntryPointer, type Steps } from '@shootdown/machine';
import { _PAGE_PRESENT, _PAGE_RW, mk_pte, pte_present } from '@shootdown/mmu';
import { spin_lock, spin_unlock } from '@shootdown/sync';
import type { Current, LazyMmu } from './lazy-mmu.ts';
import {
  lazy_mmu_mode_disable,
  lazy_mmu_mode_enable,
  lazy_mmu_mode_pause,
  lazy_mmu_mode_resume,
  might_sleep,
  returns,
} from './mode.ts';
import { kernel_access, needs_immediate_effect, ptep_get, ptep_get_and_clear, set_pte, unlocks } from './pte.ts';
import type { SectionRoutine } from './sections.ts';

const KERNEL_PAGE = _PAGE_PRESENT | _PAGE_RW;
const SHADOW = 2;

/** An entry of the shadow, for the page that the task has brought along. */
function shadow({ task }: Current, index: number): number {
  return mk_pte(SHADOW + 2 * task + index, KERNEL_PAGE);
}

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

/**
 * kasan_populate_vmalloc_pte() before b6ea95a34cbd: it allocates in the section of its caller, apply_to_pte_range().
 * Two vmalloc() areas may share a page of shadow; who comes first maps it, under init_mm.page_table_lock. The lock is
 * the task's: where the mode lets a task be moved, that it cannot be with a spinlock held is nobody's merit here.
 */
export const kasan_populate_vmalloc_pte_sleeps: SectionRoutine = routine(
  'kasan_populate_vmalloc_pte',
  function* ({ lazy, current, ptes, ptl }): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* each(ptes.length, function* (i) {
      const ptep = ptes[i] as EntryPointer;
      if ((yield* ptep_get(lazy, current, ptep)) !== 0) return undefined;
      yield* might_sleep(lazy, current, '__get_free_page(GFP_KERNEL)');
      yield* spin_lock(ptl, current.task);
      if ((yield* ptep_get(lazy, current, ptep)) === 0)
        yield* set_pte(lazy, current, ptep, shadow(current, i), { label: 'set_pte_at(shadow)' });
      yield* unlocks(lazy, current);
      yield* spin_unlock(ptl, current.task);
      return undefined;
    });
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

/** Since b6ea95a34cbd (v6.16) the pages are there before the walk; an entry may be queued when the lock is dropped. */
export const kasan_populate_vmalloc_pte_unlocks: SectionRoutine = routine(
  'kasan_populate_vmalloc_pte',
  function* ({ lazy, current, ptes, ptl }): Steps {
    yield* might_sleep(lazy, current, 'alloc_pages_bulk(GFP_KERNEL)');
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* each(ptes.length, function* (i) {
      const ptep = ptes[i] as EntryPointer;
      yield* spin_lock(ptl, current.task);
      if ((yield* ptep_get(lazy, current, ptep)) === 0)
        yield* set_pte(lazy, current, ptep, shadow(current, i), { label: 'set_pte_at(shadow)' });
      yield* unlocks(lazy, current);
      yield* spin_unlock(ptl, current.task);
      return undefined;
    });
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

/** Since c519c3c0a113 (v6.17) the mode is paused around each entry; lazy_mmu_mode_pause() and resume() of v7.0. */
export const kasan_populate_vmalloc_pte: SectionRoutine = routine(
  'kasan_populate_vmalloc_pte',
  function* ({ lazy, current, ptes, ptl }): Steps {
    yield* might_sleep(lazy, current, 'alloc_pages_bulk(GFP_KERNEL)');
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* each(ptes.length, function* (i) {
      const ptep = ptes[i] as EntryPointer;
      yield* lazy_mmu_mode_pause(lazy, current);
      yield* spin_lock(ptl, current.task);
      if ((yield* ptep_get(lazy, current, ptep)) === 0)
        yield* set_pte(lazy, current, ptep, shadow(current, i), { label: 'set_pte_at(shadow)' });
      yield* unlocks(lazy, current);
      yield* spin_unlock(ptl, current.task);
      yield* lazy_mmu_mode_resume(lazy, current);
      return undefined;
    });
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* returns(lazy, current);
  },
);

/** kasan_depopulate_vmalloc_pte() since c519c3c0a113: cleared and freed with the mode paused; the flush comes later. */
export const kasan_depopulate_vmalloc_pte: SectionRoutine = routine(
  'kasan_depopulate_vmalloc_pte',
  function* ({ lazy, current, ptes, ptl }): Steps {
    yield* lazy_mmu_mode_enable(lazy, current);
    yield* each(ptes.length, function* (i) {
      const ptep = ptes[i] as EntryPointer;
      yield* lazy_mmu_mode_pause(lazy, current);
      yield* spin_lock(ptl, current.task);
      if ((yield* ptep_get(lazy, current, ptep)) !== 0)
        yield* set_pte(lazy, current, ptep, 0, { label: 'pte_clear()' });
      yield* unlocks(lazy, current);
      yield* spin_unlock(ptl, current.task);
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
    yield* kernel_access(lazy, current, outer, '*(char *)next');
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
