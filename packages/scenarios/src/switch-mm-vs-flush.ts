/**
 * `switch-mm-vs-flush`: does a CPU that is in the middle of switch_mm() miss a flush of the mm it switches to? (x86,
 * 2025)
 *
 * should_flush_tlb() spares a CPU that has another mm loaded. A CPU on its way has read the mm's tlb_gen already, so
 * that it will not flush by itself, and has not said yet that the mm is loaded. See arch/x86/mm/tlb.c, fea4e317f9e7.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import type { Cpu } from '@shootdown/cpu';
import { type Property, type Steps, type System } from '@shootdown/machine';
import type { Mm, X86TlbMutant } from '@shootdown/mm';
import type { MmuInstructions } from '@shootdown/mmu';
import { comes, comesBack, flushMachine, PAGE, startMachine, unmap, type FlushMachine } from './flush-machine.ts';
import { madvises } from './tasks.ts';

interface Design extends Variant {
  readonly mutant?: X86TlbMutant;
  /** CPU 1 has never run the mm, and has nothing of it in its TLB. */
  readonly firstRun?: boolean;
  /** CPUs of which that is true. Default 1. */
  readonly firstRuns?: number;
}

const FIX = 'fea4e317f9e7, CVE-2025-37964; Fixes 6db2526c1d69';
const REPORT = 'reported in CAHDw0oGd0B4=uuv8NGqbUQ_ZVmSheU2bN70e4QhFXWvuAZdt2w@mail.gmail.com';

const designs: readonly Design[] = [
  {
    name: 'loaded-mm-switching',
    expected: 'safe',
    source: FIX,
    summary: 'LOADED_MM_SWITCHING counts as loaded: the CPU gets the IPI',
  },
  {
    name: 'before',
    expected: 'violation',
    source: FIX,
    summary: 'before the fix: a CPU whose loaded_mm is another one, or none yet, gets no IPI',
    mutant: 'before fea4e317f9e7',
  },
  {
    name: 'stable-backport',
    expected: 'violation',
    source: `6.1.y, 6.6.y, 6.12.y of 2025; ${REPORT}`,
    summary: 'the fix, but LOADED_MM_SWITCHING is stored after tlb_gen has been read',
    mutant: 'switching is said late',
  },
  {
    name: 'bit-already-set',
    expected: { sc: 'safe', tso: 'violation' },
    source: `83b0177a6c48, Fixes 209954cbc7d0; ${REPORT}`,
    summary: 'the fix, but no full barrier before tlb_gen is read if the bit in mm_cpumask is set already',
    mutant: 'no barrier while switching',
    memoryModel: 'tso',
  },
  {
    name: 'first-run',
    expected: 'safe',
    source: 'switch_mm_irqs_off(), v6.18',
    summary: 'the CPU runs the mm for the first time: tlb_gen is read before CR3 is written',
    firstRun: true,
  },
  {
    name: 'first-run/tlb-gen-after-cr3',
    expected: 'violation',
    source: 'comment in switch_mm_irqs_off(): start receiving IPIs, then read tlb_gen, then load CR3',
    summary: 'tlb_gen is read after CR3 is written: the flush that came between is taken for done',
    firstRun: true,
    mutant: 'tlb_gen is read after CR3',
  },
  {
    name: 'first-run/before',
    expected: 'violation',
    source: FIX,
    summary: 'the CPU runs the mm for the first time, before the fix',
    firstRun: true,
    mutant: 'before fea4e317f9e7',
  },
  {
    name: 'two-first-runs',
    expected: 'safe',
    source: 'cpumask_set_cpu(), which is atomic, in switch_mm_irqs_off(), v6.18',
    summary: 'two CPUs run the mm for the first time: neither loses the bit of the other in mm_cpumask',
    firstRun: true,
    firstRuns: 2,
  },
];

/** CPU 0, which may be alone on the mm, accesses what it has unmapped. */
const unmapsAndAccesses = madvises(function* (machine: FlushMachine, cpu: Cpu): Steps {
  yield* unmap(machine, cpu);
  yield* (machine.kernel.mmus[cpu.id] as MmuInstructions).access(PAGE, false);
});

/** Builds the machine of a variant. */
function buildSwitchMmVsFlush({ variant, memoryModel }: BuildRequest<Design>): System {
  const { mutant, firstRun, firstRuns = 1 } = variant;
  const loaded = firstRun ? [1, ...Array.from({ length: firstRuns }, () => 2)] : [1, 1];
  const machine = flushMachine({ memoryModel, mms: 2, loaded, ...(mutant && { x86: { mutant } }) });
  machine.builder.property(flushedMeanwhile(machine));
  return startMachine(machine, [
    firstRun && firstRuns === 1 ? unmapsAndAccesses : unmap,
    ...(firstRun ? Array.from({ length: firstRuns }, () => comes) : [comesBack]),
  ]);
}

function flushedMeanwhile({ x86, mms }: FlushMachine): Property {
  const loaded = x86.state.loaded_mm.at(1);
  const gen = (mms[0] as Mm).tlb_gen.at(0);
  return {
    name: 'the mm is flushed while the other CPU is switching',
    kind: 'sometimes',
    why: 'otherwise the window is never open',
    reads: [loaded, gen],
    check: (read) => read(loaded) < 0 && read(gen) > 1,
  };
}

/** x86 switch_mm() against a flush: is a CPU in the middle of a switch spared wrongly? */
export const switchMmVsFlush: Scenario<Design> = {
  name: 'switch-mm-vs-flush',
  title: 'x86 switch_mm() against a flush: is a CPU in the middle of a switch spared wrongly?',
  seed: 'S1',
  variants: designs,
  tracks: ['frame.entry', 'tlb(', 'monitor.flushing', 'mm1.tlb_gen', 'per_cpu(loaded_mm,', 'per_cpu(ctxs[0].tlb_gen'],
  build: buildSwitchMmVsFlush,
};
