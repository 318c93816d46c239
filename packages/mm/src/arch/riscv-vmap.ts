/**
 * New kernel mappings on RISC-V, whose harts may cache that an entry was not there.
 *
 * Mirrors arch/riscv/include/asm/cacheflush.h, flush_cache_vmap(), and arch/riscv/kernel/entry.S, new_vmalloc_check,
 * v6.12 and later; before, v6.5: an SFENCE.VMA on every hart for every mapping. A hart that caches no such entries says
 * so by Svvptc.
 */
import {
  notedMethods,
  clearBits,
  load,
  routine,
  setBits,
  store,
  type Region,
  type Steps,
  checkValues,
  is,
  wordsOf,
  type OptionValues,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { MmuInstructions } from '@shootdown/mmu';
import type { Smp } from '../smp.ts';

/** Who fences when something has been mapped. */
export type VmapFence =
  /** Nobody. */
  | 'nobody'
  /** The hart that maps. */
  | 'own hart'
  /** Every hart, before the mapping is used (v6.5 to v6.11). */
  | 'every hart'
  /** A hart that faults, if something has been mapped since its last fence (v6.12). */
  | 'in the fault';

/** What can be wrong with the fence in the fault. */
export type VmapMutant =
  /** new_vmalloc is set before the entry is. */
  | 'marked before the entry'
  /** A hart clears its bit by load, AND and store, as in the first version: bits that were set in between are lost. */
  | 'bit cleared by load and store'
  /** It fences before it clears its bit. */
  | 'fence before the bit is cleared';

/** Who fences, and what is wrong with it. */
export interface RiscvVmapOptions {
  readonly fence: VmapFence;
  readonly mutant?: VmapMutant;
}

const RISCV_VMAP_VALUES: OptionValues<RiscvVmapOptions> = {
  fence: is.oneOf(wordsOf<VmapFence>()('nobody', 'own hart', 'every hart', 'in the fault')),
  mutant: is.oneOf(
    wordsOf<VmapMutant>()(
      'marked before the entry',
      'bit cleared by load and store',
      'fence before the bit is cleared',
    ),
  ),
};

/** Kernel mappings of a machine's harts. */
export interface RiscvVmap {
  /** set_pte() and flush_cache_vmap(). */
  map(cpu: Cpu, set_pte: () => Steps): Steps;
  /** new_vmalloc_check on the way into the kernel: true if the access may be tried again. */
  fault(cpu: Cpu): Steps<boolean>;
}

/**
 * vmap() of RISC-V, and an access through the new mapping, with the fences that a variant has.
 * @param new_vmalloc a bit per hart
 */
export function riscvVmap(
  smp: Smp,
  mmus: readonly MmuInstructions[],
  new_vmalloc: Region,
  options: RiscvVmapOptions,
): RiscvVmap {
  checkValues('mm: riscvVmap', options, RISCV_VMAP_VALUES, ['fence']);
  const { fence, mutant } = options;
  const mmuOf = (cpu: Cpu): MmuInstructions => mmus[cpu.id] as MmuInstructions;
  const word = new_vmalloc.at(0);
  const local_flush_tlb_all = smp.register({ name: 'local_flush_tlb_all', run: (cpu) => mmuOf(cpu).sfence_vma() });
  const mark_new_vmalloc = (): Steps<number> =>
    setBits(word, (1 << smp.cpus.length) - 1, { label: 'new_vmalloc = every hart' });

  const flush_cache_vmap = routine('flush_cache_vmap', function* (cpu: Cpu): Steps {
    if (fence === 'in the fault' && mutant !== 'marked before the entry') yield* mark_new_vmalloc();
    if (fence === 'own hart' || fence === 'every hart') yield* mmuOf(cpu).sfence_vma();
    if (fence === 'every hart') yield* smp.smp_call_function_many(cpu, -1, local_flush_tlb_all);
  });

  const new_vmalloc_check = routine('new_vmalloc_check', function* (cpu: Cpu): Steps<boolean> {
    if (fence !== 'in the fault') return false;
    const bit = 1 << cpu.id;
    const seen = yield* load(word, { label: 'new_vmalloc' });
    if ((seen & bit) === 0) return false;
    if (mutant === 'fence before the bit is cleared') yield* mmuOf(cpu).sfence_vma();
    if (mutant === 'bit cleared by load and store') yield* store(word, seen & ~bit, { label: 'new_vmalloc &= ~self' });
    else yield* clearBits(word, bit, { label: 'amoxor: new_vmalloc ^= self' });
    if (mutant !== 'fence before the bit is cleared') yield* mmuOf(cpu).sfence_vma();
    return true;
  });

  return notedMethods({
    *map(cpu, set_pte) {
      if (fence === 'in the fault' && mutant === 'marked before the entry') yield* mark_new_vmalloc();
      yield* set_pte();
      yield* flush_cache_vmap(cpu);
    },
    fault: (cpu) => new_vmalloc_check(cpu),
  });
}
