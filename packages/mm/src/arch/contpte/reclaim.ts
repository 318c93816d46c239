/**
 * Reclaim and MADV_FREE. Mirrors mm/rmap.c, try_to_unmap_one() and folio_referenced_one(), and mm/madvise.c,
 * madvise_free_pte_range(), v6.18.
 */
import { point, routine, type Steps } from '@shootdown/machine';
import {
  PAGE_SIZE,
  pte_offset_map_lock,
  pte_unmap_unlock,
  ptep_plus,
  type ContpteCpu,
  type ContpteVma,
  type Folio,
  type Ptep,
} from './kernel.ts';
import { CYDP_CLEAR_DIRTY, CYDP_CLEAR_YOUNG } from './primitives.ts';
import { pte_dirty, pte_none } from './pte.ts';
import { folio_mark_accessed, folio_mark_dirty } from './zap.ts';

/** folio_unmap_pte_batch(): no further than the table and the area reach (ddd05742b45b). */
export const folio_unmap_pte_batch = routine(
  'folio_unmap_pte_batch',
  function* (cpu: ContpteCpu, folio: Folio, vma: ContpteVma, addr: number, ptep: Ptep, pte: number): Steps<number> {
    const { kernel, k } = cpu;
    const pmd_end = kernel.PTRS_PER_PTE * PAGE_SIZE;
    const end_addr = Math.min(pmd_end, vma.vm_end);
    const max_nr = (end_addr - addr) / PAGE_SIZE;
    return yield* k.folio_pte_batch_flags(cpu, folio, ptep, pte, max_nr, 0);
  },
);

/** Unmaps a folio from one area; what its entries say of dirt goes to the folio. */
export const try_to_unmap_one = routine(
  'try_to_unmap_one',
  function* (cpu: ContpteCpu, index: number, vma: ContpteVma, addr: number): Steps {
    const { kernel, k } = cpu;
    const folio = kernel.folio(index);
    const end = Math.min(addr + folio.nr_pages * PAGE_SIZE, vma.vm_end);
    let ptep = yield* pte_offset_map_lock(cpu, vma.vm_mm, addr);
    while (addr < end) {
      yield* point('next', addr);
      let nr = 1;
      const pte = yield* k.ptep_get(cpu, ptep);
      if (!pte_none(pte)) {
        nr = yield* k.folio_unmap_pte_batch(cpu, folio, vma, addr, ptep, pte);
        const pteval = yield* k.get_and_clear_full_ptes(cpu, vma.vm_mm, addr, ptep, nr);
        yield* k.flush_tlb_range(cpu, vma, addr, addr + nr * PAGE_SIZE);
        if (pte_dirty(pteval)) yield* folio_mark_dirty(cpu, index);
      }
      ptep = ptep_plus(ptep, nr);
      addr += nr * PAGE_SIZE;
    }
    yield* pte_unmap_unlock(cpu, vma.vm_mm);
  },
);

/** folio_referenced_one(): was the page used since it was last asked? */
export const folio_referenced_one = routine(
  'folio_referenced_one',
  function* (cpu: ContpteCpu, folio: number, vma: ContpteVma, addr: number): Steps {
    const ptep = yield* pte_offset_map_lock(cpu, vma.vm_mm, addr);
    if ((yield* cpu.k.ptep_clear_flush_young(cpu, vma, addr, ptep)) !== 0) yield* folio_mark_accessed(cpu, folio);
    yield* pte_unmap_unlock(cpu, vma.vm_mm);
  },
);

/** madvise_cold_or_pageout_pte_range(): the pages count as old. */
export const madvise_cold = routine(
  'madvise_cold_or_pageout_pte_range',
  function* (cpu: ContpteCpu, vma: ContpteVma, addr: number, nr: number): Steps {
    const ptep = yield* pte_offset_map_lock(cpu, vma.vm_mm, addr);
    yield* cpu.k.clear_young_dirty_ptes(cpu, vma, addr, ptep, nr, CYDP_CLEAR_YOUNG);
    yield* pte_unmap_unlock(cpu, vma.vm_mm);
  },
);

/** madvise_free_pte_range(): the pages count as old and clean; what is written to them from now on is kept. */
export const madvise_free = routine(
  'madvise_free_pte_range',
  function* (cpu: ContpteCpu, vma: ContpteVma, addr: number, nr: number): Steps {
    const ptep = yield* pte_offset_map_lock(cpu, vma.vm_mm, addr);
    yield* cpu.k.clear_young_dirty_ptes(cpu, vma, addr, ptep, nr, CYDP_CLEAR_YOUNG | CYDP_CLEAR_DIRTY);
    yield* pte_unmap_unlock(cpu, vma.vm_mm);
    yield* cpu.k.flush_tlb_range(cpu, vma, addr, addr + nr * PAGE_SIZE);
  },
);

/** folio_unmap_pte_batch() of v6.15: as long as the folio, wherever the table ends. */
export const folio_unmap_pte_batch_as_long_as_the_folio = routine(
  'folio_unmap_pte_batch',
  function* (cpu: ContpteCpu, folio: Folio, _vma: ContpteVma, _addr: number, ptep: Ptep, pte: number): Steps<number> {
    return yield* cpu.k.folio_pte_batch_flags(cpu, folio, ptep, pte, folio.nr_pages, 0);
  },
);

/** One entry at a time: up to v6.15. */
export const folio_unmap_pte_batch_one = routine(
  'folio_unmap_pte_batch',
  function* (
    _cpu: ContpteCpu,
    _folio: Folio,
    _vma: ContpteVma,
    _addr: number,
    _ptep: Ptep,
    _pte: number,
  ): Steps<number> {
    yield* point('one');
    return 1;
  },
);
