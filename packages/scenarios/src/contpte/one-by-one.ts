/** Batches of one entry: kernels from before each of these was batched. */
import { point, routine, type Steps } from '@shootdown/machine';
import type { contpte } from '@shootdown/mm';

/** Up to v6.16. */
export const mprotect_folio_pte_batch = routine(
  'mprotect_folio_pte_batch',
  function* (
    _cpu: contpte.ContpteCpu,
    _folio: contpte.Folio,
    _ptep: contpte.Ptep,
    _pte: number,
    _max_nr: number,
  ): Steps<number> {
    yield* point('one');
    return 1;
  },
);

/** Up to v6.16. */
export const mremap_folio_pte_batch = routine(
  'mremap_folio_pte_batch',
  function* (_cpu: contpte.ContpteCpu, _ptep: contpte.Ptep, _pte: number, _max_nr: number): Steps<number> {
    yield* point('one');
    return 1;
  },
);

/** Up to v6.15. */
export const folio_unmap_pte_batch = routine(
  'folio_unmap_pte_batch',
  function* (
    _cpu: contpte.ContpteCpu,
    _folio: contpte.Folio,
    _vma: contpte.ContpteVma,
    _addr: number,
    _ptep: contpte.Ptep,
    _pte: number,
  ): Steps<number> {
    yield* point('one');
    return 1;
  },
);
