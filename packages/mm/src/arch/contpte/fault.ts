/** A fault on an entry that is there. Mirrors mm/memory.c, handle_pte_fault(), v7.0. */
import { retry, routine, type Steps, noted } from '@shootdown/machine';
import { Fault, pte_pfn, type ContiguousMmu } from '@shootdown/mmu';
import { spin_lock, spin_unlock } from '@shootdown/sync';
import { PAGE_SIZE, type ContpteCpu, type ContpteVma } from './kernel.ts';
import { PageAnonExclusive } from './mprotect.ts';
import { pte_mkdirty, pte_mkwrite, pte_mkyoung, pte_none, pte_write } from './pte.ts';

/** What a fault comes to. */
export const VM_FAULT = { retry: 0, sigsegv: 1 } as const;

/**
 * Returns VM_FAULT.retry if the access may be tried again.
 */
export const handle_pte_fault = routine(
  'handle_pte_fault',
  function* (cpu: ContpteCpu, vma: ContpteVma, addr: number, write: number): Steps<number> {
    const { kernel, k } = cpu;
    const ptep = kernel.pte_offset(vma.vm_mm, addr);
    const orig_pte = yield* k.ptep_get_lockless(cpu, ptep);
    if (pte_none(orig_pte)) return VM_FAULT.sigsegv;
    yield* spin_lock(kernel.lockOf(vma.vm_mm));
    const result = yield* k.do_present_fault(cpu, vma, addr, orig_pte, write);
    yield* spin_unlock(kernel.lockOf(vma.vm_mm));
    return result;
  },
);

/** The part under the lock. */
export const do_present_fault = routine(
  'do_present_fault',
  function* (cpu: ContpteCpu, vma: ContpteVma, addr: number, orig_pte: number, write: number): Steps<number> {
    const { kernel, k } = cpu;
    const ptep = kernel.pte_offset(vma.vm_mm, addr);
    let entry = yield* k.ptep_get(cpu, ptep);
    // Somebody has changed it since: look again.
    if (entry !== orig_pte) return VM_FAULT.retry;
    if (write !== 0 && !pte_write(entry)) return yield* k.do_wp_page(cpu, vma, addr, entry);
    if (write !== 0) entry = pte_mkdirty(entry);
    entry = pte_mkyoung(entry);
    if ((yield* k.ptep_set_access_flags(cpu, vma, addr, ptep, entry, write)) === 0 && write !== 0)
      yield* k.flush_tlb_fix_spurious_fault(cpu, vma, addr);
    return VM_FAULT.retry;
  },
);

/** do_wp_page(). A page that another process has too would be copied, which is not modelled: the store is refused. */
export const do_wp_page = routine(
  'do_wp_page',
  function* (cpu: ContpteCpu, vma: ContpteVma, addr: number, orig_pte: number): Steps<number> {
    const { kernel, k } = cpu;
    const folio = kernel.folio(kernel.page_folio(pte_pfn(orig_pte)));
    if (vma.writable !== true || !PageAnonExclusive(folio, pte_pfn(orig_pte) - folio.pfn)) return VM_FAULT.sigsegv;
    yield* k.wp_page_reuse(cpu, vma, addr, orig_pte);
    return VM_FAULT.retry;
  },
);

/** wp_page_reuse(): the page is this process's own, and becomes writable. */
export const wp_page_reuse = routine(
  'wp_page_reuse',
  function* (cpu: ContpteCpu, vma: ContpteVma, addr: number, orig_pte: number): Steps {
    const entry = pte_mkwrite(pte_mkdirty(pte_mkyoung(orig_pte)));
    yield* cpu.k.ptep_set_access_flags(cpu, vma, addr, cpu.kernel.pte_offset(vma.vm_mm, addr), entry, 1);
  },
);

/**
 * A load or store that is tried again after each fault until it goes through. Returns the fault that nothing could be
 * done about.
 */
export const access_until_done = noted(function* access_until_done(
  cpu: ContpteCpu,
  mmu: ContiguousMmu,
  vma: ContpteVma,
  page: number,
  write: boolean,
): Steps<number> {
  return yield* retry(function* (): Steps<number | undefined> {
    const fault = yield* mmu.access(page, write);
    if (fault === Fault.none) return fault;
    const result = yield* cpu.k.handle_pte_fault(cpu, vma, page * PAGE_SIZE, write ? 1 : 0);
    return result === VM_FAULT.sigsegv ? fault : undefined;
  });
});
