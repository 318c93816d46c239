/**
 * mprotect(). Mirrors mm/mprotect.c, change_pte_range(), v6.18: batched since v6.17 (cac1db8c3aad), one entry at a time
 * before.
 */
import { local, point, routine, type Steps } from '@shootdown/machine';
import { pte_pfn } from '@shootdown/mmu';
import { FPB_RESPECT_WRITE } from './batch.ts';
import {
  ContpteGather,
  PAGE_SIZE,
  pte_offset_map_lock,
  pte_unmap_unlock,
  ptep_plus,
  type ContpteCpu,
  type ContpteVma,
  type Folio,
  type Ptep,
} from './kernel.ts';
import { PTE_WRITE, pte_advance_pfn, pte_mkwrite, pte_modify, pte_none, pte_write } from './pte.ts';

/** mprotect_folio_pte_batch(): entries changed at once; v6.16 changed one. */
export const mprotect_folio_pte_batch = routine(
  'mprotect_folio_pte_batch',
  function* (cpu: ContpteCpu, folio: Folio, ptep: Ptep, pte: number, max_nr: number): Steps<number> {
    if (folio.nr_pages === 1 || max_nr === 1) return 1;
    return yield* cpu.k.folio_pte_batch_flags(cpu, folio, ptep, pte, max_nr, FPB_RESPECT_WRITE);
  },
);

/** page_anon_exclusive_sub_batch(): how many pages from `page` on are as exclusive as the first. */
export function page_anon_exclusive_sub_batch(folio: Folio, page: number, max_len: number): number {
  const exclusive = PageAnonExclusive(folio, page);
  let len = 1;
  while (len < max_len && PageAnonExclusive(folio, page + len) === exclusive) len++;
  return len;
}

/** Pages of an anonymous folio that this process alone maps may be written to without a fault. */
export function PageAnonExclusive({ exclusive }: Folio, page: number): boolean {
  return exclusive?.[page] ?? true;
}

/** commit_anon_folio_batch(): each run of pages that are alike is made writable, or not. */
export const commit_anon_folio_batch = routine(
  'commit_anon_folio_batch',
  function* (
    cpu: ContpteCpu,
    vma: ContpteVma,
    folio: Folio,
    addr: number,
    ptep: Ptep,
    ptent: number,
    nr: number,
  ): Steps {
    const first = pte_pfn(ptent) - folio.pfn;
    for (let done = 0; done < nr;) {
      yield* point('sub batch', done);
      const len = page_anon_exclusive_sub_batch(folio, first + done, nr - done);
      const pte = pte_advance_pfn(ptent, done);
      const writable = PageAnonExclusive(folio, first + done) ? pte_mkwrite(pte) : pte;
      yield* cpu.k.modify_prot_commit_ptes(cpu, vma, addr + done * PAGE_SIZE, ptep_plus(ptep, done), writable, len);
      done += len;
    }
  },
);

export const change_pte_range = routine(
  'change_pte_range',
  function* (cpu: ContpteCpu, tlb: ContpteGather, vma: ContpteVma, addr: number, end: number, newprot: number): Steps {
    const { kernel, k } = cpu;
    // MM_CP_TRY_CHANGE_WRITABLE: private pages become writable one by one, those that are this process's own.
    const tryWritable = (newprot & PTE_WRITE) !== 0 && vma.shared !== true;
    let ptep = yield* pte_offset_map_lock(cpu, vma.vm_mm, addr);
    while (addr < end) {
      yield* point('next', addr);
      let nr = 1;
      const pte = yield* k.ptep_get(cpu, ptep);
      if (!pte_none(pte)) {
        const folio = kernel.folio(kernel.page_folio(pte_pfn(pte)));
        nr = yield* k.mprotect_folio_pte_batch(cpu, folio, ptep, pte, (end - addr) / PAGE_SIZE);
        const oldpte = yield* k.modify_prot_start_ptes(cpu, vma, addr, ptep, nr);
        const ptent = pte_modify(oldpte, tryWritable ? newprot & ~PTE_WRITE : newprot);
        if (tryWritable && !pte_write(ptent)) yield* k.commit_anon_folio_batch(cpu, vma, folio, addr, ptep, ptent, nr);
        else yield* k.modify_prot_commit_ptes(cpu, vma, addr, ptep, ptent, nr);
        tlb.tlb_flush_pte_range(addr, nr * PAGE_SIZE);
      }
      ptep = ptep_plus(ptep, nr);
      addr += nr * PAGE_SIZE;
    }
    yield* pte_unmap_unlock(cpu, vma.vm_mm);
  },
);

/** change_protection(): the part of mprotect() that changes entries. */
export const change_protection = routine(
  'change_protection',
  function* (cpu: ContpteCpu, vma: ContpteVma, start: number, end: number, newprot: number): Steps {
    const tlb = yield* local(new ContpteGather(vma.vm_mm));
    yield* cpu.k.change_pte_range(cpu, tlb, vma, start, end, newprot);
    yield* cpu.k.tlb_finish_mmu(cpu, tlb, vma);
  },
);

/** commit_anon_folio_batch() as it was first: it counts from the first page of the folio, wherever the batch begins. */
export const commit_anon_folio_batch_from_the_first = routine(
  'commit_anon_folio_batch',
  function* (
    cpu: ContpteCpu,
    vma: ContpteVma,
    folio: Folio,
    addr: number,
    ptep: Ptep,
    ptent: number,
    nr: number,
  ): Steps {
    for (let done = 0; done < nr;) {
      yield* point('sub batch', done);
      const len = page_anon_exclusive_sub_batch(folio, done, nr - done);
      const pte = pte_advance_pfn(ptent, done);
      const writable = PageAnonExclusive(folio, done) ? pte_mkwrite(pte) : pte;
      const at = ptep_plus(ptep, done);
      yield* cpu.k.modify_prot_commit_ptes(cpu, vma, addr + done * PAGE_SIZE, at, writable, len);
      done += len;
    }
  },
);

/** One entry at a time: up to v6.16. */
export const mprotect_folio_pte_batch_one = routine(
  'mprotect_folio_pte_batch',
  function* (_cpu: ContpteCpu, _folio: Folio, _ptep: Ptep, _pte: number, _max_nr: number): Steps<number> {
    yield* point('one');
    return 1;
  },
);
