/**
 * MADV_DONTNEED, munmap and exit. Mirrors mm/memory.c, zap_pte_range() and zap_present_ptes(), and mm/mmu_gather.c,
 * v6.18.
 */
import { local, point, routine, setBits, type Steps, noted } from '@shootdown/machine';
import { pte_pfn } from '@shootdown/mmu';
import {
  ContpteGather,
  PAGE_SIZE,
  pte_offset_map_lock,
  pte_unmap_unlock,
  ptep_plus,
  type ContpteCpu,
  type ContpteVma,
  type Ptep,
} from './kernel.ts';
import { pte_dirty, pte_none, pte_young } from './pte.ts';

/** folio_mark_dirty(). */
export const folio_mark_dirty = noted(function* folio_mark_dirty({ kernel }: ContpteCpu, folio: number): Steps {
  yield* setBits(kernel.dirty.at(folio), 1, { label: 'folio_mark_dirty(folio)' });
});

/** folio_mark_accessed(). */
export const folio_mark_accessed = noted(function* folio_mark_accessed({ kernel }: ContpteCpu, folio: number): Steps {
  yield* setBits(kernel.referenced.at(folio), 1, { label: 'folio_mark_accessed(folio)' });
});

/** zap_present_ptes(): as many entries as map the same folio in the same way. Returns their number. */
export const zap_present_ptes = routine(
  'zap_present_ptes',
  function* (cpu: ContpteCpu, tlb: ContpteGather, addr: number, end: number, ptep: Ptep, ptent: number): Steps<number> {
    const { kernel, k } = cpu;
    const index = kernel.page_folio(pte_pfn(ptent));
    const folio = kernel.folio(index);
    const max_nr = (end - addr) / PAGE_SIZE;
    const nr =
      max_nr > 1 && folio.nr_pages > 1 ? yield* k.folio_pte_batch_flags(cpu, folio, ptep, ptent, max_nr, 0) : 1;
    if (folio.file) {
      const pte = yield* k.get_and_clear_full_ptes(cpu, tlb.mm, addr, ptep, nr);
      if (pte_dirty(pte)) yield* folio_mark_dirty(cpu, index);
      if (pte_young(pte)) yield* folio_mark_accessed(cpu, index);
    } else yield* k.clear_full_ptes(cpu, tlb.mm, addr, ptep, nr);
    tlb.tlb_flush_pte_range(addr, nr * PAGE_SIZE);
    for (let i = 0; i < nr; i++) tlb.pages.push(pte_pfn(ptent) + i);
    return nr;
  },
);

export const zap_pte_range = routine(
  'zap_pte_range',
  function* (cpu: ContpteCpu, tlb: ContpteGather, vma: ContpteVma, addr: number, end: number): Steps {
    let ptep = yield* pte_offset_map_lock(cpu, vma.vm_mm, addr);
    while (addr < end) {
      yield* point('next', addr);
      const ptent = yield* cpu.k.ptep_get(cpu, ptep);
      const nr = pte_none(ptent) ? 1 : yield* cpu.k.zap_present_ptes(cpu, tlb, addr, end, ptep, ptent);
      ptep = ptep_plus(ptep, nr);
      addr += nr * PAGE_SIZE;
    }
    yield* pte_unmap_unlock(cpu, vma.vm_mm);
  },
);

/** tlb_finish_mmu(): flushes, then frees. */
export const tlb_finish_mmu = routine(
  'tlb_finish_mmu',
  function* (cpu: ContpteCpu, tlb: ContpteGather, vma: ContpteVma): Steps {
    if (tlb.end > 0) yield* cpu.k.flush_tlb_range(cpu, vma, tlb.start, tlb.end);
    for (const pfn of tlb.pages) yield* cpu.kernel.frames.put(pfn);
  },
);

/**
 * zap_page_range_single(): what MADV_DONTNEED does, and munmap() and exit_mmap() to what a table maps (arm64 ignores
 * `full`).
 */
export const zap_page_range_single = routine(
  'zap_page_range_single',
  function* (cpu: ContpteCpu, vma: ContpteVma, addr: number, end: number): Steps {
    const tlb = yield* local(new ContpteGather(vma.vm_mm));
    yield* cpu.k.zap_pte_range(cpu, tlb, vma, addr, end);
    yield* cpu.k.tlb_finish_mmu(cpu, tlb, vma);
  },
);

/** A folio is given back once, whatever it consists of: what a measurement of whole folios needs. */
export const tlb_finish_mmu_put_once = routine(
  'tlb_finish_mmu',
  function* (cpu: ContpteCpu, tlb: ContpteGather, vma: ContpteVma): Steps {
    yield* cpu.k.flush_tlb_range(cpu, vma, tlb.start, tlb.end);
    if (tlb.pages.length > 0) yield* cpu.kernel.frames.put(tlb.pages[0] as number);
  },
);
