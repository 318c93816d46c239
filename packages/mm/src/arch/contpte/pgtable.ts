/**
 * The operations on entries that core mm calls. Mirrors arch/arm64/include/asm/pgtable.h, v7.0, with
 * CONFIG_ARM64_CONTPTE: the contiguous bit is nobody's business outside.
 */
import { point, routine, type Steps } from '@shootdown/machine';
import { contpte_try_fold, contpte_try_unfold } from './contpte.ts';
import { PAGE_SIZE, ptep_plus, type ContpteLayerCpu, type ContpteMm, type ContpteVma, type Ptep } from './kernel.ts';
import { __ptep_get, __ptep_get_and_clear, __set_pte } from './primitives.ts';
import { pte_cont, pte_mknoncont, pte_user_exec, pte_valid, pte_valid_cont } from './pte.ts';
import { TLBF_NOSYNC, TLBF_NOWALKCACHE } from './tlbflush.ts';

export const set_ptes = routine(
  'set_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, pte: number, nr: number): Steps {
    pte = pte_mknoncont(pte);
    if (nr === 1) {
      yield* contpte_try_unfold(cpu, mm, addr, ptep, yield* __ptep_get(cpu, ptep));
      yield* cpu.k.__set_ptes(cpu, ptep, pte, 1);
      yield* contpte_try_fold(cpu, mm, addr, ptep, pte);
    } else yield* cpu.k.contpte_set_ptes(cpu, mm, addr, ptep, pte, nr);
  },
);

/** Under the lock. */
export const ptep_get = routine('ptep_get', function* (cpu: ContpteLayerCpu, ptep: Ptep): Steps<number> {
  const pte = yield* __ptep_get(cpu, ptep);
  return pte_valid_cont(pte) ? yield* cpu.k.contpte_ptep_get(cpu, ptep, pte) : pte;
});

export const ptep_get_lockless = routine(
  'ptep_get_lockless',
  function* (cpu: ContpteLayerCpu, ptep: Ptep): Steps<number> {
    const pte = yield* __ptep_get(cpu, ptep);
    return pte_valid_cont(pte) ? yield* cpu.k.contpte_ptep_get_lockless(cpu, ptep) : pte;
  },
);

export const ptep_get_and_clear = routine(
  'ptep_get_and_clear',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep): Steps<number> {
    yield* contpte_try_unfold(cpu, mm, addr, ptep, yield* __ptep_get(cpu, ptep));
    return yield* __ptep_get_and_clear(cpu, ptep);
  },
);

export const clear_full_ptes = routine(
  'clear_full_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps {
    if (nr === 1) {
      yield* contpte_try_unfold(cpu, mm, addr, ptep, yield* __ptep_get(cpu, ptep));
      yield* cpu.k.__clear_full_ptes(cpu, ptep, 1);
    } else yield* cpu.k.contpte_clear_full_ptes(cpu, mm, addr, ptep, nr);
  },
);

export const get_and_clear_full_ptes = routine(
  'get_and_clear_full_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps<number> {
    if (nr !== 1) return yield* cpu.k.contpte_get_and_clear_full_ptes(cpu, mm, addr, ptep, nr);
    yield* contpte_try_unfold(cpu, mm, addr, ptep, yield* __ptep_get(cpu, ptep));
    return yield* cpu.k.__get_and_clear_full_ptes(cpu, ptep, 1);
  },
);

export const wrprotect_ptes = routine(
  'wrprotect_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps {
    if (nr === 1) {
      yield* contpte_try_unfold(cpu, mm, addr, ptep, yield* __ptep_get(cpu, ptep));
      yield* cpu.k.__wrprotect_ptes(cpu, ptep, 1);
    } else yield* cpu.k.contpte_wrprotect_ptes(cpu, mm, addr, ptep, nr);
  },
);

export const ptep_set_access_flags = routine(
  'ptep_set_access_flags',
  function* (
    cpu: ContpteLayerCpu,
    vma: ContpteVma,
    addr: number,
    ptep: Ptep,
    entry: number,
    dirty: number,
  ): Steps<number> {
    entry = pte_mknoncont(entry);
    if (!pte_valid_cont(yield* __ptep_get(cpu, ptep)))
      return yield* cpu.k.__ptep_set_access_flags(cpu, vma, addr, ptep, entry, dirty);
    return yield* cpu.k.contpte_ptep_set_access_flags(cpu, vma, addr, ptep, entry, dirty);
  },
);

/** Nobody waits for the invalidation, as in contpte_ptep_clear_flush_young(). */
export const __ptep_clear_flush_young = routine(
  '__ptep_clear_flush_young',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep): Steps<number> {
    const young = yield* cpu.k.__ptep_test_and_clear_young(cpu, ptep);
    if (young !== 0)
      yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, addr, addr + PAGE_SIZE, TLBF_NOWALKCACHE | TLBF_NOSYNC);
    return young;
  },
);

export const ptep_clear_flush_young = routine(
  'ptep_clear_flush_young',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep): Steps<number> {
    if (pte_valid_cont(yield* __ptep_get(cpu, ptep)))
      return yield* cpu.k.contpte_ptep_clear_flush_young(cpu, vma, addr, ptep);
    return yield* cpu.k.__ptep_clear_flush_young(cpu, vma, addr, ptep);
  },
);

export const clear_young_dirty_ptes = routine(
  'clear_young_dirty_ptes',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep, nr: number, flags: number): Steps {
    if (nr === 1 && !pte_cont(yield* __ptep_get(cpu, ptep)))
      yield* cpu.k.__clear_young_dirty_ptes(cpu, vma, ptep, nr, flags);
    else yield* cpu.k.contpte_clear_young_dirty_ptes(cpu, vma, addr, ptep, nr, flags);
  },
);

/** 1, or the entries from here to the end of the folded block. */
export function pte_batch_hint({ kernel }: ContpteLayerCpu, ptep: Ptep, pte: number): number {
  return pte_valid_cont(pte) ? kernel.CONT_PTES - (ptep.index % kernel.CONT_PTES) : 1;
}

/** The flush is for erratum 2645198 alone. Its end is a length, since batches came (v6.17). */
export const modify_prot_start_ptes = routine(
  'modify_prot_start_ptes',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep, nr: number): Steps<number> {
    const pte = yield* cpu.k.get_and_clear_full_ptes(cpu, vma.vm_mm, addr, ptep, nr);
    if (cpu.kernel.workaround_2645198 && pte_valid(pte) && pte_user_exec(pte))
      yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, addr, nr * PAGE_SIZE, TLBF_NOWALKCACHE);
    return pte;
  },
);

/** The same with an end. */
export const modify_prot_start_ptes_to_the_end = routine(
  'modify_prot_start_ptes',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep, nr: number): Steps<number> {
    const pte = yield* cpu.k.get_and_clear_full_ptes(cpu, vma.vm_mm, addr, ptep, nr);
    if (cpu.kernel.workaround_2645198 && pte_valid(pte) && pte_user_exec(pte))
      yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, addr, addr + nr * PAGE_SIZE, TLBF_NOWALKCACHE);
    return pte;
  },
);

/** The same without the workaround. */
export const modify_prot_start_ptes_without_flush = routine(
  'modify_prot_start_ptes',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep, nr: number): Steps<number> {
    return yield* cpu.k.get_and_clear_full_ptes(cpu, vma.vm_mm, addr, ptep, nr);
  },
);

export const modify_prot_commit_ptes = routine(
  'modify_prot_commit_ptes',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep, pte: number, nr: number): Steps {
    yield* cpu.k.set_ptes(cpu, vma.vm_mm, addr, ptep, pte, nr);
  },
);

/** One entry is cleared, and the others keep the contiguous bit. */
export const clear_full_ptes_without_unfold = routine(
  'clear_full_ptes',
  function* (cpu: ContpteLayerCpu, _mm: ContpteMm, _addr: number, ptep: Ptep, nr: number): Steps {
    yield* cpu.k.__clear_full_ptes(cpu, ptep, nr);
  },
);

/**
 * What is cleared is cleared as it is; what is left of the block is unfolded then, and gathers from what is left
 * only.
 */
export const clear_full_ptes_unfolded_after = routine(
  'clear_full_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps {
    yield* cpu.k.__clear_full_ptes(cpu, ptep, nr);
    const next = ptep_plus(ptep, nr);
    const pte = yield* cpu.k.ptep_get(cpu, next);
    for (let i = 0; next.index + i < cpu.kernel.CONT_PTES; i++) yield* __set_pte(cpu, ptep_plus(next, i), 0);
    yield* cpu.k.__flush_tlb_range(cpu, mm, addr, addr + cpu.kernel.CONT_PTE_SIZE, TLBF_NOWALKCACHE);
    yield* cpu.k.__set_ptes(cpu, next, pte_mknoncont(pte), cpu.kernel.CONT_PTES - next.index);
  },
);

/** Before the contpte series: the raw operation. */
export const set_ptes_raw = routine(
  'set_ptes',
  function* (cpu: ContpteLayerCpu, _mm: ContpteMm, _addr: number, ptep: Ptep, pte: number, nr: number): Steps {
    yield* cpu.k.__set_ptes(cpu, ptep, pte, nr);
  },
);

/** Calls an operation for one page at a time. */
function* eachPage(nr: number, body: (i: number) => Steps): Steps {
  for (let i = 0; i < nr; i++) {
    yield* point('page', i);
    yield* body(i);
  }
}

/** The first step of the series: no operation on a range of entries. */
export const wrprotect_ptes_each_page = routine(
  'wrprotect_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps {
    yield* eachPage(nr, (i) => wrprotect_ptes(cpu, mm, addr + i * PAGE_SIZE, ptep_plus(ptep, i), 1));
  },
);

/** The same. */
export const clear_full_ptes_each_page = routine(
  'clear_full_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps {
    yield* eachPage(nr, (i) => clear_full_ptes(cpu, mm, addr + i * PAGE_SIZE, ptep_plus(ptep, i), 1));
  },
);
