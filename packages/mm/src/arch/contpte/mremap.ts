/**
 * mremap(). Mirrors mm/mremap.c, move_ptes(), v6.18: batched since v6.17 (f822a9a81a31), one entry at a time before.
 */
import { point, routine, type Steps } from '@shootdown/machine';
import { pte_pfn } from '@shootdown/mmu';
import { FPB_RESPECT_WRITE } from './batch.ts';
import {
  PAGE_SIZE,
  pte_offset_map_lock,
  pte_unmap_unlock,
  ptep_plus,
  type ContpteCpu,
  type ContpteVma,
  type Ptep,
} from './kernel.ts';
import { pte_batch_hint } from './pgtable.ts';
import { pte_none } from './pte.ts';

/**
 * mremap_folio_pte_batch(): a batch only where the architecture says that it helps; all entries as writable as the
 * first (04d1c9d60c6e).
 */
export const mremap_folio_pte_batch = routine(
  'mremap_folio_pte_batch',
  function* (cpu: ContpteCpu, ptep: Ptep, pte: number, max_nr: number): Steps<number> {
    if (max_nr === 1 || pte_batch_hint(cpu, ptep, pte) === 1) return 1;
    const folio = cpu.kernel.folio(cpu.kernel.page_folio(pte_pfn(pte)));
    return yield* cpu.k.folio_pte_batch_flags(cpu, folio, ptep, pte, max_nr, FPB_RESPECT_WRITE);
  },
);

/** Both ranges are in one table here: one lock. */
export const move_ptes = routine(
  'move_ptes',
  function* (cpu: ContpteCpu, vma: ContpteVma, old_addr: number, old_end: number, new_addr: number): Steps {
    const { kernel, k } = cpu;
    const start = old_addr;
    let old_ptep = yield* pte_offset_map_lock(cpu, vma.vm_mm, old_addr);
    let new_ptep = kernel.pte_offset(vma.vm_mm, new_addr);
    let force_flush = false;
    while (old_addr < old_end) {
      yield* point('next', old_addr, force_flush ? 1 : 0);
      let nr = 1;
      const old_pte = yield* k.ptep_get(cpu, old_ptep);
      if (!pte_none(old_pte)) {
        force_flush = true;
        nr = yield* k.mremap_folio_pte_batch(cpu, old_ptep, old_pte, (old_end - old_addr) / PAGE_SIZE);
        const pte = yield* k.get_and_clear_full_ptes(cpu, vma.vm_mm, old_addr, old_ptep, nr);
        yield* k.set_ptes(cpu, vma.vm_mm, new_addr, new_ptep, pte, nr);
      }
      old_ptep = ptep_plus(old_ptep, nr);
      new_ptep = ptep_plus(new_ptep, nr);
      old_addr += nr * PAGE_SIZE;
      new_addr += nr * PAGE_SIZE;
    }
    if (force_flush) yield* k.flush_tlb_range(cpu, vma, start, old_end);
    yield* pte_unmap_unlock(cpu, vma.vm_mm);
  },
);

/** As up to v4.18: whoever takes the lock next finds the pages in their new place, and others use the old one still. */
export const move_ptes_flush_after_unlock = routine(
  'move_ptes',
  function* (cpu: ContpteCpu, vma: ContpteVma, old_addr: number, old_end: number, new_addr: number): Steps {
    const { kernel, k } = cpu;
    const start = old_addr;
    let old_ptep = yield* pte_offset_map_lock(cpu, vma.vm_mm, old_addr);
    let new_ptep = kernel.pte_offset(vma.vm_mm, new_addr);
    while (old_addr < old_end) {
      yield* point('next', old_addr);
      let nr = 1;
      const old_pte = yield* k.ptep_get(cpu, old_ptep);
      if (!pte_none(old_pte)) {
        nr = yield* k.mremap_folio_pte_batch(cpu, old_ptep, old_pte, (old_end - old_addr) / PAGE_SIZE);
        const pte = yield* k.get_and_clear_full_ptes(cpu, vma.vm_mm, old_addr, old_ptep, nr);
        yield* k.set_ptes(cpu, vma.vm_mm, new_addr, new_ptep, pte, nr);
      }
      old_ptep = ptep_plus(old_ptep, nr);
      new_ptep = ptep_plus(new_ptep, nr);
      old_addr += nr * PAGE_SIZE;
      new_addr += nr * PAGE_SIZE;
    }
    yield* pte_unmap_unlock(cpu, vma.vm_mm);
    yield* k.flush_tlb_range(cpu, vma, start, old_end);
  },
);

/** As in v6.17-rc: entries count as alike whether or not they are writable. */
export const mremap_folio_pte_batch_ignoring_write = routine(
  'mremap_folio_pte_batch',
  function* (cpu: ContpteCpu, ptep: Ptep, pte: number, max_nr: number): Steps<number> {
    if (max_nr === 1 || pte_batch_hint(cpu, ptep, pte) === 1) return 1;
    const folio = cpu.kernel.folio(cpu.kernel.page_folio(pte_pfn(pte)));
    return yield* cpu.k.folio_pte_batch_flags(cpu, folio, ptep, pte, max_nr, 0);
  },
);

/** One entry at a time: up to v6.16. */
export const mremap_folio_pte_batch_one = routine(
  'mremap_folio_pte_batch',
  function* (_cpu: ContpteCpu, _ptep: Ptep, _pte: number, _max_nr: number): Steps<number> {
    yield* point('one');
    return 1;
  },
);
