/**
 * The raw operations on entries: they know nothing of contiguous blocks. Mirrors arch/arm64/include/asm/pgtable.h and
 * arch/arm64/mm/fault.c, v6.18; each line that says `yield` is one atomic step.
 */
import { inlined, noted, point, routine, type Steps } from '@shootdown/machine';
import { ptep_plus, type ContpteLayerCpu, type ContpteVma, type Ptep } from './kernel.ts';
import {
  formatPte,
  PTE_AF,
  PTE_DIRTY,
  PTE_RDONLY,
  PTE_WRITE,
  pte_advance_pfn,
  pte_dirty,
  pte_mkclean,
  pte_mkdirty,
  pte_mkold,
  pte_mkyoung,
  pte_wrprotect,
  pte_young,
} from './pte.ts';
import { storeOver } from './store-over.ts';

/** cydp_t: what clear_young_dirty_ptes() clears. */
export const CYDP_CLEAR_YOUNG = 1;
export const CYDP_CLEAR_DIRTY = 2;

const at = (call: string, { index }: Ptep, rest = ''): { label: string; fact: typeof formatPte } => ({
  label: `${call}(pte[${index}]${rest})`,
  fact: formatPte,
});

/** READ_ONCE() of one entry. */
export const __ptep_get = noted(function* __ptep_get(cpu: ContpteLayerCpu, ptep: Ptep): Steps<number> {
  const entry = yield* cpu.kernel.entryOf(ptep, '__ptep_get');
  return entry ? yield* cpu.kernel.frames.read(entry, at('__ptep_get', ptep)) : 0;
});

/** WRITE_ONCE() of one entry. User entries need no barrier: a walk that comes too early faults, and comes again. */
export const __set_pte = noted(function* __set_pte(cpu: ContpteLayerCpu, ptep: Ptep, pte: number): Steps {
  const entry = yield* cpu.kernel.entryOf(ptep, '__set_pte');
  if (entry) yield* cpu.kernel.frames.write(entry, pte, { label: at('__set_pte', ptep, `, ${formatPte(pte)}`).label });
});

/** xchg() with 0: what hardware has set until then is in the result. */
export const __ptep_get_and_clear = noted(function* __ptep_get_and_clear(
  cpu: ContpteLayerCpu,
  ptep: Ptep,
): Steps<number> {
  const entry = yield* cpu.kernel.entryOf(ptep, '__ptep_get_and_clear');
  return entry ? yield* cpu.kernel.frames.xchg(entry, 0, at('__ptep_get_and_clear', ptep)) : 0;
});

/**
 * The loop around cmpxchg_relaxed(): reads, and changes the entry if it is still what was read. Returns the value
 * that was replaced.
 */
export const cmpxchg_loop = inlined(function* (
  cpu: ContpteLayerCpu,
  ptep: Ptep,
  call: string,
  change: (pte: number) => number,
): Steps<number> {
  const entry = yield* cpu.kernel.entryOf(ptep, call);
  if (!entry) return 0;
  for (;;) {
    yield* point('again');
    const old = yield* __ptep_get(cpu, ptep);
    const now = change(old);
    const found = yield* cpu.kernel.frames.cmpxchg(entry, old, now, at('cmpxchg', ptep, `, ${formatPte(now)}`));
    if (found === old) return old;
  }
});

/** Consecutive entries, one store each, ascending. */
export const __set_ptes = routine(
  '__set_ptes',
  function* (cpu: ContpteLayerCpu, ptep: Ptep, pte: number, nr: number): Steps {
    for (let i = 0; i < nr; i++) {
      yield* point('set', i);
      yield* __set_pte(cpu, ptep_plus(ptep, i), pte_advance_pfn(pte, i));
    }
  },
);

export const __clear_full_ptes = routine(
  '__clear_full_ptes',
  function* (cpu: ContpteLayerCpu, ptep: Ptep, nr: number): Steps {
    for (let i = 0; i < nr; i++) {
      yield* point('clear', i);
      yield* __ptep_get_and_clear(cpu, ptep_plus(ptep, i));
    }
  },
);

/** Returns the first entry with the dirty and young bits of all. */
export const __get_and_clear_full_ptes = routine(
  '__get_and_clear_full_ptes',
  function* (cpu: ContpteLayerCpu, ptep: Ptep, nr: number): Steps<number> {
    let pte = yield* __ptep_get_and_clear(cpu, ptep);
    for (let i = 1; i < nr; i++) {
      yield* point('clear', i, pte);
      const tmp_pte = yield* __ptep_get_and_clear(cpu, ptep_plus(ptep, i));
      if (pte_dirty(tmp_pte)) pte = pte_mkdirty(pte);
      if (pte_young(tmp_pte)) pte = pte_mkyoung(pte);
    }
    return pte;
  },
);

export const __wrprotect_ptes = routine(
  '__wrprotect_ptes',
  function* (cpu: ContpteLayerCpu, ptep: Ptep, nr: number): Steps {
    for (let i = 0; i < nr; i++) {
      yield* point('wrprotect', i);
      yield* cmpxchg_loop(cpu, ptep_plus(ptep, i), '__ptep_set_wrprotect', pte_wrprotect);
    }
  },
);

/** Returns 1 if the entry was young. */
export const __ptep_test_and_clear_young = routine(
  '__ptep_test_and_clear_young',
  function* (cpu: ContpteLayerCpu, ptep: Ptep): Steps<number> {
    const old = yield* cmpxchg_loop(cpu, ptep, '__ptep_test_and_clear_young', pte_mkold);
    return pte_young(old) ? 1 : 0;
  },
);

/** With both flags it reads and stores: what hardware sets in between is overwritten. */
export const __clear_young_dirty_ptes = routine(
  '__clear_young_dirty_ptes',
  function* (cpu: ContpteLayerCpu, _vma: ContpteVma, ptep: Ptep, nr: number, flags: number): Steps {
    for (let i = 0; i < nr; i++) {
      yield* point('clear', i);
      if (flags === (CYDP_CLEAR_YOUNG | CYDP_CLEAR_DIRTY)) {
        const old = yield* __ptep_get(cpu, ptep_plus(ptep, i));
        yield* storeOver(cpu, ptep_plus(ptep, i), old, pte_mkclean(pte_mkold(old)));
      } else {
        const change = flags === CYDP_CLEAR_YOUNG ? pte_mkold : pte_mkclean;
        yield* cmpxchg_loop(cpu, ptep_plus(ptep, i), '__clear_young_dirty_pte', change);
      }
    }
  },
);

const ACCESS_FLAGS = PTE_RDONLY | PTE_AF | PTE_WRITE | PTE_DIRTY;

/**
 * Sets access flags, and nothing else; the most permissive of old and new wins. Returns 1 if the entry was not so
 * already.
 */
export const __ptep_set_access_flags = routine(
  '__ptep_set_access_flags',
  function* (
    cpu: ContpteLayerCpu,
    vma: ContpteVma,
    addr: number,
    ptep: Ptep,
    entry: number,
    dirty: number,
  ): Steps<number> {
    if ((yield* __ptep_get(cpu, ptep)) === entry) return 0;
    const wanted = entry & ACCESS_FLAGS;
    yield* cmpxchg_loop(cpu, ptep, '__ptep_set_access_flags', (old) => {
      const both = old | (wanted & ~PTE_RDONLY);
      return (wanted & PTE_RDONLY) === 0 ? both & ~PTE_RDONLY : both;
    });
    if (dirty !== 0) yield* cpu.k.local_flush_tlb_page(cpu, vma, addr);
    return 1;
  },
);

/** The fix that was asked for in review: a cmpxchg for both bits. */
export const __clear_young_dirty_ptes_atomic = routine(
  '__clear_young_dirty_ptes',
  function* (cpu: ContpteLayerCpu, _vma: ContpteVma, ptep: Ptep, nr: number, _flags: number): Steps {
    for (let i = 0; i < nr; i++)
      yield* cmpxchg_loop(cpu, ptep_plus(ptep, i), '__clear_young_dirty_pte', (pte) => pte_mkclean(pte_mkold(pte)));
  },
);
