/**
 * Broadcast TLB invalidation on AMD: INVLPGB, which reaches every CPU by itself, and TLBSYNC, which waits for it.
 *
 * Mirrors arch/x86/mm/tlb.c and arch/x86/include/asm/tlbflush.h, v6.18: broadcast_tlb_flush(),
 * finish_asid_transition(), consider_global_asid(), use_global_asid(), invlpgb_flush_all_nonglobals(). It needs the
 * same PCID for an mm on every CPU, a global ASID. An mm gets one while it runs; until all its CPUs have changed to it,
 * they are sent IPIs as well.
 */
import {
  acquireWord,
  count,
  is,
  load,
  noted,
  routine,
  store,
  waitFor,
  wordsOf,
  type OptionValues,
  type Steps,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { cpumask_test_cpu, load_cpumask, type CpuMask } from '../cpumask.ts';
import type { Mm } from '../kernel.ts';
import { flushRange, LOADED_MM_SWITCHING, mmuOf, TLB_NR_DYN_ASIDS, type X86TlbState } from './x86-state.ts';

/** Guards that can be left out one at a time. */
export type InvlpgbMutant =
  /** broadcast_tlb_flush() returns without TLBSYNC. */
  | 'no TLBSYNC'
  /** finish_asid_transition() is left out: CPUs that do not use the global ASID yet get no IPI. */
  | 'no IPI in a transition'
  /** finish_asid_transition() does not wait for CPUs in the middle of switch_mm(). */
  | 'switching CPUs are not waited for';

/** Choices of a machine with INVLPGB. */
export interface InvlpgbOptions {
  /** Pages one INVLPGB covers at most (CPUID 8000_0008, EDX, plus one). Default 8. */
  readonly countMax?: number;
  /**
   * flush_tlb_func() looks at is_lazy before it changes to a global ASID (proposed in 20250520102036.5d61f565@fangorn).
   * Default false.
   */
  readonly lazyFirst?: boolean;
  readonly mutant?: InvlpgbMutant;
}

export const INVLPGB_VALUES: OptionValues<InvlpgbOptions> = {
  countMax: is.whole(1),
  lazyFirst: is.flag,
  mutant: is.oneOf(
    wordsOf<InvlpgbMutant>()('no TLBSYNC', 'no IPI in a transition', 'switching CPUs are not waited for'),
  ),
};

const INVLPGB_COUNT_MAX = 8;
/** An mm that is active on more CPUs than this gets a global ASID. */
const GLOBAL_ASID_CPUS = 3;
/** consider_global_asid() looks once in so many jiffies. */
const CONSIDER_JIFFIES = 0x20;
/** Set in LOADED_MM_SWITCHING and in no mm's id. */
const SWITCHING_BIT = LOADED_MM_SWITCHING & ~0x7fff_ffff;

/** Counters of the broadcast flush: instructions issued. The kernel has none of its own. */
export const InvlpgbCounter = { invlpgb: 'invlpgb', tlbsync: 'tlbsync' } as const;

/** The global ASID set aside for an mm. */
export function globalAsidOf(id: number): number {
  return TLB_NR_DYN_ASIDS + id;
}

/** is_global_asid(). */
export function is_global_asid(asid: number): boolean {
  return asid >= TLB_NR_DYN_ASIDS;
}

/** mm_global_asid(): 0 if the mm has none, or the machine no INVLPGB. */
export const mm_global_asid = noted(function* mm_global_asid(x86: X86TlbState, mm: Mm): Steps<number> {
  if (!x86.options.invlpgb) return 0;
  return yield* load(mm.global_asid.at(0), { label: 'mm_global_asid(mm)' });
});

/** mm_needs_global_asid(): the mm has a global ASID, and this CPU uses another. */
export const mm_needs_global_asid = noted(function* mm_needs_global_asid(
  x86: X86TlbState,
  mm: Mm,
  asid: number,
): Steps<boolean> {
  const global = yield* mm_global_asid(x86, mm);
  return global !== 0 && asid !== global;
});

/** mm_in_asid_transition(): CPUs may use other ASIDs than the mm's global one. */
export const mm_in_asid_transition = noted(function* mm_in_asid_transition(
  x86: X86TlbState,
  mm: Mm | null,
): Steps<boolean> {
  if (!x86.options.invlpgb || mm === null) return false;
  return (yield* load(mm.asid_transition.at(0), { label: 'mm_in_asid_transition(mm)' })) !== 0;
});

/** Gives a running mm a global ASID. Whoever sees it also sees that the transition is under way. */
export const use_global_asid = routine('use_global_asid', function* (x86: X86TlbState, mm: Mm): Steps {
  yield* acquireWord(x86.global_asid_lock.at(0), -1, 1, { label: 'raw_spin_lock(global_asid_lock)' });
  if ((yield* mm_global_asid(x86, mm)) === 0) {
    yield* store(mm.asid_transition.at(0), 1, { label: 'asid_transition = true' });
    yield* store(mm.global_asid.at(0), globalAsidOf(mm.id), { label: `global_asid = ${globalAsidOf(mm.id)}` });
  }
  yield* store(x86.global_asid_lock.at(0), 0, { label: 'raw_spin_unlock(global_asid_lock)' });
});

/**
 * After a flush by IPI: is the mm busy on enough CPUs for a global ASID? Needs a timer; without one, nobody ever looks.
 */
export const consider_global_asid = noted(function* consider_global_asid(x86: X86TlbState, mm: Mm): Steps {
  const { invlpgb, jiffies } = x86.options;
  if (!invlpgb || !jiffies) return;
  const now = yield* load(jiffies.address, { label: 'jiffies' });
  if ((now - mm.id) % CONSIDER_JIFFIES !== 0) return;
  if (yield* mm_active_cpus_exceeds(x86, mm, GLOBAL_ASID_CPUS)) yield* use_global_asid(x86, mm);
});

function* mm_active_cpus_exceeds(x86: X86TlbState, mm: Mm, threshold: number): Steps<boolean> {
  const mask = yield* load_cpumask(mm.cpumask, { label: 'mm_cpumask(mm)' });
  let active = 0;
  for (const { id } of x86.smp.cpus) {
    if (!cpumask_test_cpu(id, mask)) continue;
    if ((yield* load(x86.loaded_mm.at(id), { label: `per_cpu(loaded_mm, ${id})` })) !== mm.id) continue;
    if ((yield* load(x86.is_lazy.at(id), { label: `per_cpu(is_lazy, ${id})` })) === 0) active++;
  }
  return active > threshold;
}

/** The flush of an mm with a global ASID. inc_mm_tlb_gen() has been the barrier: INVLPGB itself waits for no store. */
export const broadcast_tlb_flush = routine(
  'broadcast_tlb_flush',
  function* (x86: X86TlbState, cpu: Cpu, mm: Mm, asid: number, flush_tlb_multi: (mask: CpuMask) => Steps): Steps {
    const { countMax = INVLPGB_COUNT_MAX, mutant } = x86.options.invlpgb ?? {};
    const mmu = mmuOf(x86, cpu);
    const { start, pages } = yield* flushRange(x86, cpu.id);
    const pcid = asid + 1;
    if (pages === 0) yield* mmu.invlpgb({ asid: pcid });
    for (let done = 0; done < pages; done += countMax)
      yield* mmu.invlpgb({ asid: pcid, pages: { vpn: start + done, count: Math.min(countMax, pages - done) } });
    yield* count(InvlpgbCounter.invlpgb, Math.max(1, Math.ceil(pages / countMax)));
    if (mutant !== 'no IPI in a transition') yield* finish_asid_transition(x86, mm, asid, flush_tlb_multi);
    if (mutant === 'no TLBSYNC') return;
    yield* mmu.tlbsync();
    yield* count(InvlpgbCounter.tlbsync);
  },
);

/** Everything that is not global, on every CPU: for arch_tlbbatch_flush(), which knows of no mm. */
export const invlpgb_flush_all_nonglobals = noted(function* invlpgb_flush_all_nonglobals(
  x86: X86TlbState,
  cpu: Cpu,
): Steps {
  const mmu = mmuOf(x86, cpu);
  yield* mmu.invlpgb({ asid: -1 });
  yield* count(InvlpgbCounter.invlpgb);
  yield* mmu.tlbsync();
  yield* count(InvlpgbCounter.tlbsync);
});

/** The IPI makes whoever gets it change to the global ASID; when all CPUs have, the transition is over. */
const finish_asid_transition = routine(
  'finish_asid_transition',
  function* (x86: X86TlbState, mm: Mm, asid: number, flush_tlb_multi: (mask: CpuMask) => Steps): Steps {
    if (!(yield* mm_in_asid_transition(x86, mm))) return;
    const mask = yield* load_cpumask(mm.cpumask, { label: 'mm_cpumask(mm)' });
    for (const { id } of x86.smp.cpus) {
      if (!cpumask_test_cpu(id, mask)) continue;
      const loaded_mm = x86.loaded_mm.at(id);
      if (x86.options.invlpgb?.mutant !== 'switching CPUs are not waited for') {
        yield* waitFor(loaded_mm, SWITCHING_BIT, 0, { label: `per_cpu(loaded_mm, ${id}) != LOADED_MM_SWITCHING` });
      }
      if ((yield* load(loaded_mm, { label: `per_cpu(loaded_mm, ${id})` })) !== mm.id) continue;
      if ((yield* load(x86.loaded_mm_asid.at(id), { label: `per_cpu(loaded_mm_asid, ${id})` })) === asid) continue;
      yield* flush_tlb_multi(yield* load_cpumask(mm.cpumask, { label: 'mm_cpumask(mm)' }));
      return;
    }
    yield* store(mm.asid_transition.at(0), 0, { label: 'asid_transition = false' });
  },
);
