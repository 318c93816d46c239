/**
 * How many consecutive entries map consecutive pages of one folio in the same way. Mirrors mm/internal.h,
 * folio_pte_batch_flags(), v6.18.
 */
import { point, routine, type Steps } from '@shootdown/machine';
import { pte_pfn } from '@shootdown/mmu';
import { ptep_plus, type ContpteLayerCpu, type Folio, type Ptep } from './kernel.ts';
import { pte_batch_hint } from './pgtable.ts';
import { pte_advance_pfn, pte_mkclean, pte_mkold, pte_write, pte_wrprotect } from './pte.ts';

/** fpb_t. Without it the dirty bit does not tell entries apart. */
export const FPB_RESPECT_DIRTY = 1;
/** Without it the write bit does not tell entries apart. */
export const FPB_RESPECT_WRITE = 2;
/** The result says as well whether an entry of the batch is writable: the C makes *ptentp writable then. */
export const FPB_MERGE_WRITE = 4;
/** In the result, with FPB_MERGE_WRITE: some entry after the first is writable. */
export const ANY_WRITABLE = 1 << 16;

/** __pte_batch_clear_ignored(). */
function clear_ignored(pte: number, flags: number): number {
  if ((flags & FPB_RESPECT_DIRTY) === 0) pte = pte_mkclean(pte);
  if ((flags & FPB_RESPECT_WRITE) === 0) pte = pte_wrprotect(pte);
  return pte_mkold(pte);
}

export const folio_pte_batch_flags = routine(
  'folio_pte_batch_flags',
  function* (
    cpu: ContpteLayerCpu,
    folio: Folio,
    ptep: Ptep,
    pte: number,
    max_nr: number,
    flags: number,
  ): Steps<number> {
    const limit = Math.min(max_nr, folio.pfn + folio.nr_pages - pte_pfn(pte));
    let nr = pte_batch_hint(cpu, ptep, pte);
    const merges = (flags & FPB_MERGE_WRITE) !== 0;
    let any_writable = 0;
    let expected_pte = clear_ignored(pte_advance_pfn(pte, nr), flags);
    while (nr < limit) {
      yield* point('next', nr, expected_pte, any_writable);
      const next = yield* cpu.k.ptep_get(cpu, ptep_plus(ptep, nr));
      if (clear_ignored(next, flags) !== expected_pte) break;
      if (merges && pte_write(next)) any_writable = ANY_WRITABLE;
      const nr_batch = pte_batch_hint(cpu, ptep_plus(ptep, nr), next);
      expected_pte = pte_advance_pfn(expected_pte, nr_batch);
      nr += nr_batch;
    }
    return Math.min(nr, limit) | any_writable;
  },
);
