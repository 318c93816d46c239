/**
 * The simplest way of flushing by IPI: every other CPU of the mm executes INVLPG, and is waited for. For explorations
 * in which what an architecture does to send fewer of them is beside the point.
 */
import {
  notedMethods,
  load,
  ModelError,
  routine,
  setBits,
  type Steps,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { MmuInstructions } from '@shootdown/mmu';
import { cpuBit, cpumask_test_cpu, load_cpumask, wordOfCpu } from '../cpumask.ts';
import type { Mm, TlbArch } from '../kernel.ts';
import type { Smp } from '../smp.ts';
import { pte_needs_flush } from './x86-state.ts';

/** Variations. */
export interface IpiTlbOptions {
  /** See {@link TlbArch.flushesUpgrades}. */
  readonly flushesUpgrades?: boolean;
  /** False: a CPU flushes itself and leaves the others alone (a mutant). Default true. */
  readonly sendsIpis?: boolean;
}

const IPI_TLB_VALUES: OptionValues<IpiTlbOptions> = {
  flushesUpgrades: is.flag,
  sendsIpis: is.flag,
};

/** Flushes of pages 0 .. `pages` - 1; a wider range invalidates all of them. */
export function ipiTlb(
  smp: Smp,
  mmus: readonly MmuInstructions[],
  pages: number,
  options: IpiTlbOptions = {},
): TlbArch {
  checkValues('mm: ipiTlb', options, IPI_TLB_VALUES);
  const { flushesUpgrades = false, sendsIpis = true } = options;
  const invalidates = Array.from({ length: pages }, (_, vpn) =>
    smp.register({ name: `flush_tlb_func(page ${vpn})`, run: (cpu) => invlpg(cpu, vpn) }),
  );
  function* invlpg(cpu: Cpu, vpn: number): Steps {
    yield* (mmus[cpu.id] as MmuInstructions).invlpg(vpn);
  }
  const flush = routine('flush_tlb_mm_range', function* (cpu: Cpu, mm: Mm, start: number, end: number): Steps {
    for (let vpn = start; vpn < Math.min(end, pages); vpn++) {
      const mask = yield* load_cpumask(mm.cpumask, { label: 'mm_cpumask(mm)' });
      if (cpumask_test_cpu(cpu.id, mask)) yield* invlpg(cpu, vpn);
      if (sendsIpis) yield* smp.smp_call_function_many(cpu, mask, invalidates[vpn] as number);
    }
  });
  return notedMethods({
    name: 'ipi',
    flushesUpgrades,
    flush_tlb_mm_range: (cpu, mm, start, end) => flush(cpu, mm, start, end),
    *switch_mm(cpu, next) {
      yield* setBits(wordOfCpu(next.cpumask, cpu.id), cpuBit(cpu.id), {
        label: 'cpumask_set_cpu(self, mm_cpumask(next))',
      });
      yield* (mmus[cpu.id] as MmuInstructions).load_root((yield* load(next.pgd.at(0))) - 1, next.id, false);
    },
    enter_lazy_tlb: () => unsupported('enter_lazy_tlb'),
    leave_mm: () => unsupported('leave_mm'),
    *init_new_context() {},
    pte_needs_flush,
  });
}

function unsupported(what: string): never {
  throw new ModelError(`ipi-tlb: ${what}: this way of flushing has no lazy CPUs: use x86Tlb`);
}
