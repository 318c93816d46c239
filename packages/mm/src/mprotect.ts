/**
 * Changes of protection: mprotect(), and what the scan of NUMA balancing does (MM_CP_PROT_NUMA). Mirrors
 * mm/mprotect.c, v6.18.
 */
import { noted, routine, work, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import {
  _PAGE_PRESENT,
  _PAGE_PROTNONE,
  _PAGE_RW,
  _PAGE_USER,
  pte_dirty,
  pte_pfn,
  pte_present,
  pte_protnone,
} from '@shootdown/mmu';
import { folio_pte_batch, modify_prot_start_ptes, set_ptes } from './arch/arm64-contpte.ts';
import { FPB_RESPECT_WRITE } from './arch/contpte/batch.ts';
import { split_huge_pmds } from './huge-pages.ts';
import { pte_lock, type Kernel, type Mm } from './kernel.ts';
import { lazy_mmu_mode_disable, lazy_mmu_mode_enable, pte_unmap_unlock, ptep_get } from './lazy-ptes.ts';
import { each_table } from './mmap.ts';
import { tlb_finish_mmu, tlb_gather_mmu, type MmuGather } from './mmu-gather.ts';
import { invalidate_range_end, invalidate_range_start } from './notify.ts';
import { flush_tlb_batched_pending } from './tlb-batched.ts';
import { VM_WRITE } from './vma.ts';

/** vma->vm_page_prot of a private area: whoever writes faults first, for the page may have to be copied. */
export const PAGE_COPY = _PAGE_PRESENT | _PAGE_USER;
/** Nobody may access the page, which is there all the same. */
const PAGE_NONE = _PAGE_PROTNONE;

/** What change_protection() is to do. */
export type ChangeProtection =
  /** Nothing but the new protection. */
  | 0
  /** Where a fault would make an entry writable, it is made so at once. */
  | 'MM_CP_TRY_CHANGE_WRITABLE'
  /** Every access is to fault once, whatever the area permits. */
  | 'MM_CP_PROT_NUMA';

/**
 * mprotect(): changes the areas' flags, then every entry whose write permission changes. Flags as they were: nothing to
 * do.
 */
export const mprotect = routine(
  'mprotect',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, start: number, end: number, flags: number): Steps {
    yield* work('syscall', { label: '(system call)' });
    yield* mm.mmap_write_lock();
    const changed = yield* mm.vmas.protect(start, end, flags, { label: `vma_modify_flags(${end - start} pages)` });
    if (changed) {
      const tlb = yield* tlb_gather_mmu(mm);
      yield* change_protection(
        kernel,
        cpu,
        tlb,
        start,
        end,
        (flags & VM_WRITE) !== 0 ? 'MM_CP_TRY_CHANGE_WRITABLE' : 0,
      );
      yield* tlb_finish_mmu(kernel, cpu, tlb);
    }
    yield* mm.mmap_write_unlock();
  },
);

/** change_protection(): what of [start, end) is mapped gets another protection. Returns the number of entries. */
export const change_protection = noted(function* change_protection(
  kernel: Kernel,
  cpu: Cpu,
  tlb: MmuGather,
  start: number,
  end: number,
  cp_flags: ChangeProtection,
): Steps<number> {
  const { mm } = tlb;
  let pages = 0;
  yield* invalidate_range_start(kernel, mm, start, end);
  // change_huge_pmd() is not modelled: mprotect() splits, and the scan leaves huge pages alone.
  if (kernel.thp && cp_flags !== 'MM_CP_PROT_NUMA') yield* split_huge_pmds(kernel, cpu, mm, start, end);
  yield* each_table(kernel, mm, start, end, function* (first, from, to): Steps {
    pages += yield* change_pte_range(kernel, cpu, tlb, first, from, to, cp_flags);
  });
  yield* invalidate_range_end(kernel, mm, start, end);
  return pages;
});

/** The entries of one table. Returns how many it has changed. */
const change_pte_range = routine(
  'change_pte_range',
  function* (
    kernel: Kernel,
    cpu: Cpu,
    tlb: MmuGather,
    first: EntryPointer,
    from: number,
    to: number,
    cp_flags: ChangeProtection,
  ): Steps<number> {
    const { frames } = kernel;
    const prot_numa = cp_flags === 'MM_CP_PROT_NUMA';
    let pages = 0;
    yield* pte_lock(kernel, first.frame);
    if (kernel.batched) yield* flush_tlb_batched_pending(kernel, cpu, tlb.mm);
    yield* lazy_mmu_mode_enable(kernel, cpu);
    for (let vpn = from, nr = 1; vpn < to; vpn += nr) {
      nr = 1;
      const ptep = frames.entry(first.frame, first.index + (vpn - from));
      const seen = yield* ptep_get(kernel, cpu, ptep, { label: 'ptep_get()' });
      if (!pte_present(seen)) continue;
      const skips = prot_numa && (yield* prot_numa_skip(kernel, seen));
      nr = yield* folio_pte_batch(kernel, cpu, ptep, seen, to - vpn, skips ? 0 : FPB_RESPECT_WRITE);
      if (skips) continue;
      const oldpte = yield* modify_prot_start_ptes(kernel, cpu, tlb.mm, vpn, ptep, nr);
      let ptent = pte_modify(oldpte, prot_numa ? PAGE_NONE : PAGE_COPY);
      const tries = cp_flags === 'MM_CP_TRY_CHANGE_WRITABLE';
      if (tries && (yield* can_change_pte_writable(kernel, ptent, nr))) ptent |= _PAGE_RW;
      yield* set_ptes(kernel, cpu, tlb.mm, vpn, ptep, ptent, nr, 'ptep_modify_prot_commit()');
      for (let i = 0; i < nr; i++) if (kernel.arch.pte_needs_flush(oldpte, ptent)) tlb.removeEntry(vpn + i);
      pages += nr;
    }
    yield* lazy_mmu_mode_disable(kernel, cpu);
    yield* pte_unmap_unlock(kernel, cpu, first.frame);
    return pages;
  },
);

/** pte_modify(): another protection for the same page. */
export function pte_modify(entry: number, newprot: number): number {
  return (entry & ~(_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_PROTNONE)) | newprot;
}

/**
 * prot_numa_skip(): an entry that will not be moved need not fault: one that faults already, the zero page, and pages
 * that somebody else has, by fork(), KSM or a pin.
 */
function* prot_numa_skip({ frames }: Kernel, oldpte: number): Steps<boolean> {
  if (pte_protnone(oldpte) || isZeroPage(oldpte)) return true;
  const frame = pte_pfn(oldpte);
  return (yield* frames.ref(frame, 0, { label: `folio_maybe_mapped_shared(0x${frame.toString(16)})` })) !== 1;
}

/** A clean page stands for the zero page, which a read fault maps and nobody owns. */
function isZeroPage(pte: number): boolean {
  return !pte_dirty(pte);
}

/**
 * can_change_pte_writable(): whether a write fault would come to nothing but a writable entry. Of a batch of `nr` all,
 * or none of it: a store to a page that could have been writable faults once more (commit_anon_folio_batch() takes the
 * batch apart).
 */
export function* can_change_pte_writable(kernel: Kernel, pte: number, nr = 1): Steps<boolean> {
  if (pte_protnone(pte) || isZeroPage(pte)) return false;
  for (let i = 0; i < nr; i++) if (!(yield* PageAnonExclusive(kernel, pte_pfn(pte) + i))) return false;
  return true;
}

/** PageAnonExclusive(): nobody else maps or pins the page. */
function* PageAnonExclusive({ frames }: Kernel, frame: number): Steps<boolean> {
  return (yield* frames.ref(frame, 0, { label: `PageAnonExclusive(0x${frame.toString(16)})` })) === 1;
}
