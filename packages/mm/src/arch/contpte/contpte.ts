/**
 * The contiguous-entry layer. Mirrors arch/arm64/mm/contpte.c, v7.0 (with 97c5550b7631): a block is CONT_PTES
 * entries, naturally aligned.
 *
 * Everything but contpte_ptep_get_lockless() runs under the page-table lock.
 */
import { count, inlined, point, routine, type Steps, noted } from '@shootdown/machine';
import {
  PAGE_SHIFT,
  PAGE_SIZE,
  page_folio,
  ptep_plus,
  type ContpteLayerCpu,
  type ContpteMm,
  type ContpteVma,
  type Ptep,
} from './kernel.ts';
import { __ptep_get, __ptep_get_and_clear } from './primitives.ts';
import {
  PTE_AF,
  PTE_DIRTY,
  PTE_RDONLY,
  PTE_WRITE,
  pfn_pte,
  pte_advance_pfn,
  pte_cont,
  pte_dirty,
  pte_mkclean,
  pte_mkcont,
  pte_mkdirty,
  pte_mknoncont,
  pte_mkold,
  pte_mkyoung,
  pte_pgprot,
  pte_special,
  pte_valid,
  pte_valid_cont,
  pte_write,
  pte_young,
} from './pte.ts';
import { pte_pfn } from '@shootdown/mmu';
import { TLBF_NOSYNC, TLBF_NOWALKCACHE } from './tlbflush.ts';

const ACCESS_FLAGS = PTE_RDONLY | PTE_AF | PTE_WRITE | PTE_DIRTY;

/** Counters of a run: blocks set with the contiguous bit at once, folded when their last entry was set, unfolded. */
export const ContpteCounter = { sets: 'contpte_set', folds: 'contpte_fold', unfolds: 'contpte_unfold' } as const;

/** contpte_align_down(). */
export function contpte_align_down({ kernel }: ContpteLayerCpu, ptep: Ptep): Ptep {
  return ptep_plus(ptep, -(ptep.index % kernel.CONT_PTES));
}

const align_down = (value: number, size: number): number => value - (value % size);

/**
 * Turns a block into one with or without the contiguous bit, by break-before-make: all entries are cleared, the block
 * is invalidated unless the CPUs can do without, and all entries are written. Hardware that comes in between faults
 * and waits for the lock.
 */
export const contpte_convert = routine(
  'contpte_convert',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, pte: number): Steps {
    const { CONT_PTES, CONT_PTE_SIZE } = cpu.kernel;
    const start_ptep = contpte_align_down(cpu, ptep);
    const start_addr = align_down(addr, CONT_PTE_SIZE);
    pte = pfn_pte(align_down(pte_pfn(pte), CONT_PTES), pte_pgprot(pte));
    for (let i = 0; i < CONT_PTES; i++) {
      yield* point('convert', i, pte);
      const ptent = yield* __ptep_get_and_clear(cpu, ptep_plus(start_ptep, i));
      if (pte_dirty(ptent)) pte = pte_mkdirty(pte);
      if (pte_young(ptent)) pte = pte_mkyoung(pte);
    }
    if (!cpu.kernel.system_supports_bbml2_noabort)
      yield* cpu.k.__flush_tlb_range(cpu, mm, start_addr, start_addr + CONT_PTE_SIZE, TLBF_NOWALKCACHE);
    yield* cpu.k.__set_ptes(cpu, start_ptep, pte, CONT_PTES);
  },
);

/**
 * Folds the block that ends with the entry just set, if one folio covers it and all of its entries continue one
 * another.
 */
export const __contpte_try_fold = routine(
  '__contpte_try_fold',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, pte: number): Steps {
    const { kernel } = cpu;
    const { CONT_PTES, CONT_PTE_SIZE } = kernel;
    if (mm.user === false) return;
    const folio = yield* page_folio(cpu, pte_pfn(pte));
    const folio_start = addr - (pte_pfn(pte) - folio.pfn) * PAGE_SIZE;
    const folio_end = folio_start + folio.nr_pages * PAGE_SIZE;
    const cont_start = align_down(addr, CONT_PTE_SIZE);
    const cont_end = cont_start + CONT_PTE_SIZE;
    if (folio_start > cont_start || folio_end < cont_end) return;
    let expected_pte = pfn_pte(align_down(pte_pfn(pte), CONT_PTES), pte_pgprot(pte_mkold(pte_mkclean(pte))));
    const first = contpte_align_down(cpu, ptep);
    for (let i = 0; i < CONT_PTES; i++) {
      yield* point('compare', i);
      const subpte = pte_mkold(pte_mkclean(yield* __ptep_get(cpu, ptep_plus(first, i))));
      if (subpte !== expected_pte) return;
      expected_pte = pte_advance_pfn(expected_pte, 1);
    }
    yield* count(ContpteCounter.folds);
    yield* cpu.k.contpte_convert(cpu, mm, addr, ptep, pte_mkcont(pte));
  },
);

/** A block is worth a look when its last entry has been set: most are filled in order. */
export const contpte_try_fold = noted(function* contpte_try_fold(
  cpu: ContpteLayerCpu,
  mm: ContpteMm,
  addr: number,
  ptep: Ptep,
  pte: number,
): Steps {
  const contmask = cpu.kernel.CONT_PTES - 1;
  const valign = ((addr >>> PAGE_SHIFT) & contmask) === contmask;
  const palign = (pte_pfn(pte) & contmask) === contmask;
  if (valign && palign && pte_valid(pte) && !pte_cont(pte) && !pte_special(pte))
    yield* cpu.k.__contpte_try_fold(cpu, mm, addr, ptep, pte);
});

export const __contpte_try_unfold = routine(
  '__contpte_try_unfold',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, pte: number): Steps {
    if (mm.user === false) return;
    yield* count(ContpteCounter.unfolds);
    yield* cpu.k.contpte_convert(cpu, mm, addr, ptep, pte_mknoncont(pte));
  },
);

export const contpte_try_unfold = noted(function* contpte_try_unfold(
  cpu: ContpteLayerCpu,
  mm: ContpteMm,
  addr: number,
  ptep: Ptep,
  pte: number,
): Steps {
  if (pte_valid_cont(pte)) yield* cpu.k.__contpte_try_unfold(cpu, mm, addr, ptep, pte);
});

/** Unfolds the blocks that [ptep, ptep + nr) begins or ends in the middle of. Those it covers stay as they are. */
export const contpte_try_unfold_partial = routine(
  'contpte_try_unfold_partial',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps {
    const { CONT_PTES } = cpu.kernel;
    if (contpte_align_down(cpu, ptep).index !== ptep.index || nr < CONT_PTES)
      yield* contpte_try_unfold(cpu, mm, addr, ptep, yield* __ptep_get(cpu, ptep));
    const end = ptep_plus(ptep, nr);
    if (contpte_align_down(cpu, end).index !== end.index) {
      const last = ptep_plus(end, -1);
      const last_addr = addr + PAGE_SIZE * (nr - 1);
      yield* contpte_try_unfold(cpu, mm, last_addr, last, yield* __ptep_get(cpu, last));
    }
  },
);

/**
 * The entry with the accessed and dirty bits of its block. Since 093ae7a033cf (v6.17) it reads no more than it takes
 * to find both.
 */
export const contpte_ptep_get = routine(
  'contpte_ptep_get',
  function* (cpu: ContpteLayerCpu, ptep: Ptep, orig_pte: number): Steps<number> {
    const { CONT_PTES } = cpu.kernel;
    const first = contpte_align_down(cpu, ptep);
    for (let i = 0; i < CONT_PTES; i++) {
      yield* point('gather', i);
      const pte = yield* __ptep_get(cpu, ptep_plus(first, i));
      if (pte_dirty(pte)) {
        for (; i < CONT_PTES; i++) {
          yield* point('dirty', i);
          if (pte_young(yield* __ptep_get(cpu, ptep_plus(first, i)))) return pte_mkyoung(pte_mkdirty(orig_pte));
        }
        return pte_mkdirty(orig_pte);
      }
      if (pte_young(pte)) {
        for (i++; i < CONT_PTES; i++) {
          yield* point('young', i);
          if (pte_dirty(yield* __ptep_get(cpu, ptep_plus(first, i)))) return pte_mkdirty(pte_mkyoung(orig_pte));
        }
        return pte_mkyoung(orig_pte);
      }
    }
    return orig_pte;
  },
);

/** contpte_is_consistent(). */
export function contpte_is_consistent(pte: number, pfn: number, orig_prot: number): boolean {
  return pte_valid_cont(pte) && pte_pfn(pte) === pfn && pte_pgprot(pte_mkold(pte_mkclean(pte))) === orig_prot;
}

/**
 * The same without the lock: begins again when the block changes under it. What comes after the entry in which the
 * second of the two bits is found is not looked at any more (093ae7a033cf, v6.17).
 */
export const contpte_ptep_get_lockless = routine(
  'contpte_ptep_get_lockless',
  function* (cpu: ContpteLayerCpu, orig_ptep: Ptep): Steps<number> {
    for (;;) {
      yield* point('retry');
      const pte = yield* gather_lockless(cpu, orig_ptep);
      if (pte !== RETRY) return pte;
    }
  },
);

/** No entry: nothing has all of these bits but not VALID. */
const RETRY = -1;

/** One attempt. */
const gather_lockless = inlined(function* (cpu: ContpteLayerCpu, orig_ptep: Ptep): Steps<number> {
  const { CONT_PTES } = cpu.kernel;
  const orig_pte = yield* __ptep_get(cpu, orig_ptep);
  if (!pte_valid_cont(orig_pte)) return orig_pte;
  const orig_prot = pte_pgprot(pte_mkold(pte_mkclean(orig_pte)));
  const ptep = contpte_align_down(cpu, orig_ptep);
  const pfn = pte_pfn(orig_pte) - (orig_ptep.index - ptep.index);
  for (let i = 0; i < CONT_PTES; i++) {
    yield* point('gather', i, orig_pte);
    const pte = yield* __ptep_get(cpu, ptep_plus(ptep, i));
    if (!contpte_is_consistent(pte, pfn + i, orig_prot)) return RETRY;
    if (pte_dirty(pte)) {
      for (; i < CONT_PTES; i++) {
        yield* point('dirty', i, orig_pte);
        const young = yield* __ptep_get(cpu, ptep_plus(ptep, i));
        if (!contpte_is_consistent(young, pfn + i, orig_prot)) return RETRY;
        if (pte_young(young)) return pte_mkyoung(pte_mkdirty(orig_pte));
      }
      return pte_mkdirty(orig_pte);
    }
    if (pte_young(pte)) {
      for (i++; i < CONT_PTES; i++) {
        yield* point('young', i, orig_pte);
        const dirty = yield* __ptep_get(cpu, ptep_plus(ptep, i));
        if (!contpte_is_consistent(dirty, pfn + i, orig_prot)) return RETRY;
        if (pte_dirty(dirty)) return pte_mkdirty(pte_mkyoung(orig_pte));
      }
      return pte_mkyoung(orig_pte);
    }
  }
  return orig_pte;
});

/**
 * Sets entries that were not there before: whole blocks with the contiguous bit, at once and without TLBI. Never
 * looks at neighbours.
 */
export const contpte_set_ptes = routine(
  'contpte_set_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, pte: number, nr: number): Steps {
    const { CONT_PTE_SIZE } = cpu.kernel;
    if (mm.user === false) return yield* cpu.k.__set_ptes(cpu, ptep, pte, nr);
    const end = addr + nr * PAGE_SIZE;
    for (let pfn = pte_pfn(pte); addr < end;) {
      yield* point('next', addr, end);
      const next = Math.min(align_down(addr, CONT_PTE_SIZE) + CONT_PTE_SIZE, end);
      const entries = (next - addr) / PAGE_SIZE;
      const aligned = (addr | next | (pfn << PAGE_SHIFT)) % CONT_PTE_SIZE === 0;
      const block = pfn_pte(pfn, pte_pgprot(pte));
      if (aligned) yield* count(ContpteCounter.sets);
      yield* cpu.k.__set_ptes(cpu, ptep, aligned ? pte_mkcont(block) : pte_mknoncont(block), entries);
      addr = next;
      ptep = ptep_plus(ptep, entries);
      pfn += entries;
    }
  },
);

export const contpte_clear_full_ptes = routine(
  'contpte_clear_full_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps {
    yield* cpu.k.contpte_try_unfold_partial(cpu, mm, addr, ptep, nr);
    yield* cpu.k.__clear_full_ptes(cpu, ptep, nr);
  },
);

export const contpte_get_and_clear_full_ptes = routine(
  'contpte_get_and_clear_full_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps<number> {
    yield* cpu.k.contpte_try_unfold_partial(cpu, mm, addr, ptep, nr);
    return yield* cpu.k.__get_and_clear_full_ptes(cpu, ptep, nr);
  },
);

/** Whole blocks stay folded, read-only entry by entry: until the caller's flush hardware may use either. */
export const contpte_wrprotect_ptes = routine(
  'contpte_wrprotect_ptes',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, nr: number): Steps {
    yield* cpu.k.contpte_try_unfold_partial(cpu, mm, addr, ptep, nr);
    yield* cpu.k.__wrprotect_ptes(cpu, ptep, nr);
  },
);

/** Never unfolds: the access flag of the block is that of all of its entries. */
export const contpte_ptep_test_and_clear_young = routine(
  'contpte_ptep_test_and_clear_young',
  function* (cpu: ContpteLayerCpu, ptep: Ptep): Steps<number> {
    const first = contpte_align_down(cpu, ptep);
    let young = 0;
    for (let i = 0; i < cpu.kernel.CONT_PTES; i++) {
      yield* point('clear', i, young);
      young |= yield* cpu.k.__ptep_test_and_clear_young(cpu, ptep_plus(first, i));
    }
    return young;
  },
);

/** Nobody waits for the invalidation: at worst a page looks younger or older than it is. */
export const contpte_ptep_clear_flush_young = routine(
  'contpte_ptep_clear_flush_young',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep): Steps<number> {
    const young = yield* cpu.k.contpte_ptep_test_and_clear_young(cpu, ptep);
    if (young !== 0) {
      const start = align_down(addr, cpu.kernel.CONT_PTE_SIZE);
      const end = start + cpu.kernel.CONT_PTE_SIZE;
      yield* cpu.k.__flush_tlb_range(cpu, vma.vm_mm, start, end, TLBF_NOWALKCACHE | TLBF_NOSYNC);
    }
    return young;
  },
);

/** Widens the range to whole blocks where it begins or ends in a folded one. */
export const contpte_clear_young_dirty_ptes = routine(
  'contpte_clear_young_dirty_ptes',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep, nr: number, flags: number): Steps {
    const { CONT_PTE_SIZE } = cpu.kernel;
    let start = addr;
    let end = start + nr * PAGE_SIZE;
    if (pte_cont(yield* __ptep_get(cpu, ptep_plus(ptep, nr - 1))))
      end = align_down(end + CONT_PTE_SIZE - 1, CONT_PTE_SIZE);
    if (pte_cont(yield* __ptep_get(cpu, ptep))) {
      start = align_down(start, CONT_PTE_SIZE);
      ptep = contpte_align_down(cpu, ptep);
    }
    yield* cpu.k.__clear_young_dirty_ptes(cpu, vma, ptep, (end - start) / PAGE_SIZE, flags);
  },
);

/** Whether hardware that looks at this entry alone would find the access flags that are wanted. */
const contpte_all_subptes_match_access_flags = inlined(function* (
  cpu: ContpteLayerCpu,
  ptep: Ptep,
  entry: number,
): Steps<boolean> {
  const first = contpte_align_down(cpu, ptep);
  for (let i = 0; i < cpu.kernel.CONT_PTES; i++) {
    yield* point('match', i);
    const subpte = yield* __ptep_get(cpu, ptep_plus(first, i));
    if (((subpte ^ entry) & ACCESS_FLAGS) !== 0) return false;
  }
  return true;
});

/**
 * Returns 1 if something was changed. A change of the write bit unfolds the block, all others apply to every entry of
 * it.
 */
export const contpte_ptep_set_access_flags = routine(
  'contpte_ptep_set_access_flags',
  function* (
    cpu: ContpteLayerCpu,
    vma: ContpteVma,
    addr: number,
    ptep: Ptep,
    entry: number,
    dirty: number,
  ): Steps<number> {
    if (yield* contpte_all_subptes_match_access_flags(cpu, ptep, entry)) return 0;
    const orig_pte = yield* __ptep_get(cpu, ptep);
    if (pte_write(orig_pte) === pte_write(entry)) {
      const first = contpte_align_down(cpu, ptep);
      for (let i = 0; i < cpu.kernel.CONT_PTES; i++) {
        yield* point('set', i);
        yield* cpu.k.__ptep_set_access_flags(cpu, vma, addr, ptep_plus(first, i), entry, 0);
      }
      if (dirty !== 0) yield* cpu.k.local_flush_tlb_contpte(cpu, vma, addr);
    } else {
      yield* cpu.k.__contpte_try_unfold(cpu, vma.vm_mm, addr, ptep, orig_pte);
      yield* cpu.k.__ptep_set_access_flags(cpu, vma, addr, ptep, entry, dirty);
    }
    return 1;
  },
);

/** contpte_ptep_set_access_flags() that takes a change of the write bit for one of the block. */
export const contpte_ptep_set_access_flags_without_unfold = routine(
  'contpte_ptep_set_access_flags',
  function* (
    cpu: ContpteLayerCpu,
    vma: ContpteVma,
    addr: number,
    ptep: Ptep,
    entry: number,
    dirty: number,
  ): Steps<number> {
    if (yield* contpte_all_subptes_match_access_flags(cpu, ptep, entry)) return 0;
    const first = contpte_align_down(cpu, ptep);
    for (let i = 0; i < cpu.kernel.CONT_PTES; i++) {
      yield* point('set', i);
      yield* cpu.k.__ptep_set_access_flags(cpu, vma, addr, ptep_plus(first, i), entry, 0);
    }
    if (dirty !== 0) yield* cpu.k.local_flush_tlb_contpte(cpu, vma, addr);
    return 1;
  },
);

/** contpte_ptep_set_access_flags() up to v7.0: nothing to do if the block as a whole is what is wanted. */
export const contpte_ptep_set_access_flags_gathered = routine(
  'contpte_ptep_set_access_flags',
  function* (
    cpu: ContpteLayerCpu,
    vma: ContpteVma,
    addr: number,
    ptep: Ptep,
    entry: number,
    dirty: number,
  ): Steps<number> {
    const orig_pte = pte_mknoncont(yield* cpu.k.ptep_get(cpu, ptep));
    if (orig_pte === entry) return 0;
    if (pte_write(orig_pte) === pte_write(entry)) {
      const first = contpte_align_down(cpu, ptep);
      for (let i = 0; i < cpu.kernel.CONT_PTES; i++) {
        yield* point('set', i);
        yield* cpu.k.__ptep_set_access_flags(cpu, vma, addr, ptep_plus(first, i), entry, 0);
      }
      if (dirty !== 0) yield* cpu.k.local_flush_tlb_contpte(cpu, vma, addr);
    } else {
      yield* cpu.k.__contpte_try_unfold(cpu, vma.vm_mm, addr, ptep, orig_pte);
      yield* cpu.k.__ptep_set_access_flags(cpu, vma, addr, ptep, entry, dirty);
    }
    return 1;
  },
);

/** __contpte_try_fold() that does not ask which folio a page belongs to. */
export const __contpte_try_fold_across_folios = routine(
  '__contpte_try_fold',
  function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, pte: number): Steps {
    const { CONT_PTES } = cpu.kernel;
    const plain = pte_mkold(pte_mkclean(pte));
    let expected_pte = pte_advance_pfn(plain, -(pte_pfn(pte) % CONT_PTES));
    const first = contpte_align_down(cpu, ptep);
    for (let i = 0; i < CONT_PTES; i++) {
      yield* point('compare', i);
      const subpte = yield* __ptep_get(cpu, ptep_plus(first, i));
      if (pte_mkold(pte_mkclean(subpte)) !== expected_pte) return;
      expected_pte = pte_advance_pfn(expected_pte, 1);
    }
    yield* cpu.k.contpte_convert(cpu, mm, addr, ptep, pte_mkcont(pte));
  },
);

/** contpte_convert(), with the TLBI in the middle or without, whatever the CPUs can do. */
export const contpte_convert_on_any_cpu = (invalidates: boolean) =>
  routine(
    'contpte_convert',
    function* (cpu: ContpteLayerCpu, mm: ContpteMm, addr: number, ptep: Ptep, pte: number): Steps {
      const { CONT_PTES, CONT_PTE_SIZE } = cpu.kernel;
      const start_ptep = contpte_align_down(cpu, ptep);
      const start_addr = addr - (addr % CONT_PTE_SIZE);
      pte = pfn_pte(pte_pfn(pte) - (pte_pfn(pte) % CONT_PTES), pte_pgprot(pte));
      for (let i = 0; i < CONT_PTES; i++) {
        yield* point('convert', i, pte);
        const ptent = yield* __ptep_get_and_clear(cpu, ptep_plus(start_ptep, i));
        if (pte_dirty(ptent)) pte = pte_mkdirty(pte);
        if (pte_young(ptent)) pte = pte_mkyoung(pte);
      }
      if (invalidates)
        yield* cpu.k.__flush_tlb_range(cpu, mm, start_addr, start_addr + CONT_PTE_SIZE, TLBF_NOWALKCACHE);
      yield* cpu.k.__set_ptes(cpu, start_ptep, pte, CONT_PTES);
    },
  );

/** contpte_clear_young_dirty_ptes() as in v6.10-rc1: the end is in bytes where pages are meant, and so is the count. */
export const contpte_clear_young_dirty_ptes_by_bytes = routine(
  'contpte_clear_young_dirty_ptes',
  function* (cpu: ContpteLayerCpu, vma: ContpteVma, addr: number, ptep: Ptep, nr: number, flags: number): Steps {
    const { CONT_PTE_SIZE } = cpu.kernel;
    let start = addr;
    let end = start + nr;
    if (pte_cont(yield* __ptep_get(cpu, ptep_plus(ptep, nr - 1)))) end = Math.ceil(end / CONT_PTE_SIZE) * CONT_PTE_SIZE;
    if (pte_cont(yield* __ptep_get(cpu, ptep))) {
      start -= start % CONT_PTE_SIZE;
      ptep = contpte_align_down(cpu, ptep);
    }
    // It goes on through thousands of entries. The first one past the table shows all that the others would.
    const left = cpu.kernel.PTRS_PER_PTE - ptep.index + 1;
    yield* cpu.k.__clear_young_dirty_ptes(cpu, vma, ptep, Math.min(end - start, left), flags);
  },
);

/**
 * contpte_ptep_get_lockless() up to v6.16: the whole block is looked at. `consistent`: what is, ends the attempt where
 * it is not.
 */
export const contpte_ptep_get_lockless_scanning = (restarts: boolean) =>
  routine('contpte_ptep_get_lockless', function* (cpu: ContpteLayerCpu, orig_ptep: Ptep): Steps<number> {
    const { CONT_PTES } = cpu.kernel;
    const ptep = contpte_align_down(cpu, orig_ptep);
    retry: for (;;) {
      yield* point('retry');
      let orig_pte = yield* __ptep_get(cpu, orig_ptep);
      if (!pte_valid_cont(orig_pte)) return orig_pte;
      const orig_prot = pte_pgprot(pte_mkold(pte_mkclean(orig_pte)));
      const pfn = pte_pfn(orig_pte) - (orig_ptep.index - ptep.index);
      for (let i = 0; i < CONT_PTES; i++) {
        yield* point('gather', i, orig_pte);
        const pte = yield* __ptep_get(cpu, ptep_plus(ptep, i));
        if (restarts && !contpte_is_consistent(pte, pfn + i, orig_prot)) continue retry;
        if (pte_dirty(pte)) orig_pte = pte_mkdirty(orig_pte);
        if (pte_young(pte)) orig_pte = pte_mkyoung(orig_pte);
      }
      return orig_pte;
    }
  });
