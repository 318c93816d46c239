// A section of my own: the entry is read again after it has been changed. On which architecture is that wrong?
import { routine, type EntryPointer } from '@shootdown/machine';
import { lazy } from '@shootdown/mm';

const { lazy_mmu_mode_disable, lazy_mmu_mode_enable, ptep_get, returns, set_pte } = lazy;
const _PAGE_ACCESSED = 1 << 5;

export const clear_refs_pte_range: lazy.SectionRoutine = routine('clear_refs_pte_range', function* (section) {
  const { lazy: mode, current, ptes } = section;
  const [pte] = ptes as [EntryPointer];
  yield* lazy_mmu_mode_enable(mode, current);
  yield* set_pte(mode, current, pte, (yield* ptep_get(mode, current, pte)) & ~_PAGE_ACCESSED);
  yield* ptep_get(mode, current, pte);
  yield* lazy_mmu_mode_disable(mode, current);
  yield* returns(mode, current);
});
