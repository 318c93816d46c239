/**
 * A flush that is one step: every CPU of mm_cpumask() is without the old translations when it is over. For machines on
 * which the steps of IPIs only cost states, because what is put to the test is when the kernel flushes, not how.
 */
import { notedMethods, ModelError, setBits, load, type Steps } from '@shootdown/machine';
import type { MmuInstructions } from '@shootdown/mmu';
import { cpuBit, wordOfCpu } from '../cpumask.ts';
import type { TlbArch } from '../kernel.ts';

/** Flushes of more pages than this become full flushes: tlb_single_page_flush_ceiling. */
const FLUSH_CEILING = 33;

/**
 * The architecture of a machine that flushes in one step. Each mm has its id as its ASID, on every CPU.
 *
 * It waits for nobody: an IPI would wait for CPUs that have interrupts off. A patch that relies on that waiting needs a
 * flush that sends them.
 */
export function atomicTlb(mmus: readonly MmuInstructions[]): TlbArch {
  return notedMethods({
    name: 'atomic',
    *flush_tlb_mm_range(cpu, mm, start, end): Steps {
      const pages = end - start > FLUSH_CEILING ? undefined : { vpn: start, count: end - start };
      yield* (mmus[cpu.id] as MmuInstructions).flush_at_once(
        (cx) => mmus.filter((_, id) => (cx.read(wordOfCpu(mm.cpumask, id)) & cpuBit(id)) !== 0),
        { asid: mm.id, ...(pages && { pages }) },
        { label: `flush_tlb_mm_range(${pages ? `0x${start.toString(16)}, ${pages.count} pages` : 'all'})` },
      );
    },
    *switch_mm(cpu, next): Steps {
      yield* setBits(wordOfCpu(next.cpumask, cpu.id), cpuBit(cpu.id), {
        label: 'cpumask_set_cpu(self, mm_cpumask(next))',
      });
      yield* (mmus[cpu.id] as MmuInstructions).load_root((yield* load(next.pgd.at(0))) - 1, next.id, true);
    },
    enter_lazy_tlb: () => unsupported('enter_lazy_tlb'),
    leave_mm: () => unsupported('leave_mm'),
    *init_new_context() {},
    pte_needs_flush: () => true,
  });
}

function unsupported(what: string): never {
  throw new ModelError(`atomic-tlb: ${what}: this way of flushing has no lazy CPUs: use x86Tlb`);
}
