/** fork(). Mirrors mm/memory.c, copy_pte_range() and copy_present_ptes(), and dup_mmap(), v6.18. */
import { point, routine, type Steps } from '@shootdown/machine';
import { pte_pfn } from '@shootdown/mmu';
import { ANY_WRITABLE, FPB_MERGE_WRITE, FPB_RESPECT_DIRTY } from './batch.ts';
import { PAGE_SIZE, ptep_plus, type ContpteCpu, type ContpteVma, type Ptep } from './kernel.ts';
import { pte_mkclean, pte_mkold, pte_none, pte_write, pte_wrprotect } from './pte.ts';
import { spin_lock, spin_unlock } from '@shootdown/sync';

/**
 * Copies the entries of one batch: the parent's become read-only first if the pages are private. Returns their number.
 */
export const copy_present_ptes = routine(
  'copy_present_ptes',
  function* (
    cpu: ContpteCpu,
    dst: ContpteVma,
    src: ContpteVma,
    addr: number,
    dst_pte: Ptep,
    src_pte: Ptep,
    pte: number,
    max_nr: number,
  ): Steps<number> {
    const { kernel, k } = cpu;
    const folio = kernel.folio(kernel.page_folio(pte_pfn(pte)));
    // The child's entries of a shared area are clean in any case; of a private one they are as dirty as the parent's.
    const flags = FPB_MERGE_WRITE | (src.shared === true ? 0 : FPB_RESPECT_DIRTY);
    const batch =
      folio.nr_pages > 1 && max_nr > 1 ? yield* k.folio_pte_batch_flags(cpu, folio, src_pte, pte, max_nr, flags) : 1;
    const nr = batch & ~ANY_WRITABLE;
    // The batch ignores the write bit: if any entry has it, all are protected.
    if (src.shared !== true && (pte_write(pte) || nr !== batch)) {
      yield* k.wrprotect_ptes(cpu, src.vm_mm, addr, src_pte, nr);
      pte = pte_wrprotect(pte);
    }
    if (src.shared === true) pte = pte_mkclean(pte);
    yield* k.set_ptes(cpu, dst.vm_mm, addr, dst_pte, pte_mkold(pte), nr);
    return nr;
  },
);

export const copy_pte_range = routine(
  'copy_pte_range',
  function* (cpu: ContpteCpu, dst: ContpteVma, src: ContpteVma, addr: number, end: number): Steps {
    const { kernel, k } = cpu;
    yield* spin_lock(kernel.lockOf(dst.vm_mm));
    yield* spin_lock(kernel.lockOf(src.vm_mm));
    let src_pte = kernel.pte_offset(src.vm_mm, addr);
    let dst_pte = kernel.pte_offset(dst.vm_mm, addr);
    while (addr < end) {
      yield* point('next', addr);
      const ptent = yield* k.ptep_get(cpu, src_pte);
      const max_nr = (end - addr) / PAGE_SIZE;
      const nr = pte_none(ptent) ? 1 : yield* k.copy_present_ptes(cpu, dst, src, addr, dst_pte, src_pte, ptent, max_nr);
      src_pte = ptep_plus(src_pte, nr);
      dst_pte = ptep_plus(dst_pte, nr);
      addr += nr * PAGE_SIZE;
    }
    yield* spin_unlock(kernel.lockOf(src.vm_mm));
    yield* spin_unlock(kernel.lockOf(dst.vm_mm));
  },
);

/** dup_mmap(): the copy, then the flush of the parent, whose translations may still be writable. */
export const dup_mmap = routine(
  'dup_mmap',
  function* (cpu: ContpteCpu, dst: ContpteVma, src: ContpteVma, addr: number, end: number): Steps {
    yield* cpu.k.copy_pte_range(cpu, dst, src, addr, end);
    yield* cpu.k.flush_tlb_range(cpu, src, addr, end);
  },
);

/** Without the flush of the parent: nobody's kernel. */
export const dup_mmap_without_flush = routine(
  'dup_mmap',
  function* (cpu: ContpteCpu, dst: ContpteVma, src: ContpteVma, addr: number, end: number): Steps {
    yield* cpu.k.copy_pte_range(cpu, dst, src, addr, end);
  },
);
