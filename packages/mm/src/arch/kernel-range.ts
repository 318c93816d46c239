/**
 * Flushes of kernel mappings, which every CPU may use whatever address space it runs on, and which are global on x86.
 *
 * Mirrors arch/x86/mm/tlb.c, flush_tlb_kernel_range(), and arch/arm64/include/asm/tlbflush.h, v6.18.
 */
import { load, routine, type Address, type Steps, checkValues, is, wordsOf } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { MmuInstructions } from '@shootdown/mmu';
import type { Smp } from '../smp.ts';

/**
 * flush_tlb_kernel_range() of an architecture: when it returns, no CPU uses what was mapped in [start, end) (page
 * numbers).
 */
export type FlushTlbKernelRange = (cpu: Cpu, start: number, end: number) => Steps;

/** Guards of the IPI that can be left out one at a time. */
export type KernelRangeMutant =
  /** Only CPUs that run the current mm are told. */
  | 'only the CPUs of the mm'
  /** The other CPUs write CR3 with the value it has. */
  | 'CR3 is reloaded';

/**
 * x86: every CPU executes INVLPG for pages 0 .. `pages` - 1 of the range. `cpumask`: that of the current mm, for the
 * mutant.
 */
export function x86FlushKernelRange(
  smp: Smp,
  mmus: readonly MmuInstructions[],
  pages: number,
  options: { mutant?: KernelRangeMutant; cpumask: Address; asid?: number },
): FlushTlbKernelRange {
  checkValues(
    'mm: x86FlushKernelRange',
    options,
    {
      mutant: is.oneOf(wordsOf<KernelRangeMutant>()('only the CPUs of the mm', 'CR3 is reloaded')),
      cpumask: is.whole(),
      asid: is.whole(),
    },
    ['cpumask'],
  );
  const { mutant, cpumask, asid = 1 } = options;
  const mmuOf = (cpu: Cpu): MmuInstructions => mmus[cpu.id] as MmuInstructions;
  const do_kernel_range_flush = Array.from({ length: pages }, (_, vpn) =>
    smp.register({
      name: `do_kernel_range_flush(page 0x${vpn.toString(16)})`,
      run: (cpu) => (mutant === 'CR3 is reloaded' ? mmuOf(cpu).reload_cr3(asid) : mmuOf(cpu).invlpg(vpn)),
    }),
  );
  return routine('flush_tlb_kernel_range', function* (cpu: Cpu, start: number, end: number): Steps {
    for (let vpn = start; vpn < end; vpn++) {
      const mask =
        mutant === 'only the CPUs of the mm' ? yield* load(cpumask, { label: 'mm_cpumask(mm)' }) : smp.everyone;
      yield* mmuOf(cpu).invlpg(vpn);
      yield* smp.smp_call_function_many(cpu, mask, do_kernel_range_flush[vpn] as number);
    }
  });
}

/**
 * x86 with INVLPGB, which includes global translations only if it is told to. The MMUs must be connected
 * (connectMmus()).
 */
export function invlpgbFlushKernelRange(
  mmus: readonly MmuInstructions[],
  options: { includesGlobal?: boolean; asid?: number } = {},
): FlushTlbKernelRange {
  checkValues('mm: invlpgbFlushKernelRange', options, { includesGlobal: is.flag, asid: is.whole() });
  const { includesGlobal = true, asid = 1 } = options;
  return routine('invlpgb_kernel_range_flush', function* (cpu: Cpu, start: number, end: number): Steps {
    const mmu = mmus[cpu.id] as MmuInstructions;
    yield* mmu.invlpgb({ asid: includesGlobal ? -1 : asid, pages: { vpn: start, count: end - start } });
    yield* mmu.tlbsync();
  });
}

/** arm64: TLBI VAALE1IS, for all ASIDs. `byAsid`: TLBI ASIDE1IS of one, which leaves global translations (a mutant). */
export function arm64FlushKernelRange(
  mmus: readonly MmuInstructions[],
  options: { byAsid?: number } = {},
): FlushTlbKernelRange {
  checkValues('mm: arm64FlushKernelRange', options, { byAsid: is.whole() });
  const { byAsid } = options;
  return routine('flush_tlb_kernel_range', function* (cpu: Cpu, start: number, end: number): Steps {
    const mmu = mmus[cpu.id] as MmuInstructions;
    yield* mmu.dsb('ishst');
    for (let vpn = start; vpn < end; vpn++)
      yield* mmu.tlbi_is(
        byAsid === undefined
          ? { scope: 'page', vpn, asid: -1, leafOnly: true }
          : { scope: 'asid', vpn: 0, asid: byAsid, leafOnly: false },
      );
    yield* mmu.dsb('ish');
    yield* mmu.isb();
  });
}
