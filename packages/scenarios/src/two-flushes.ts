/**
 * `two-flushes`: what if two CPUs flush one mm at once? (x86)
 *
 * Each flush has a generation. A CPU notes which it has caught up with, so that it can leave out what another flush has
 * covered, and flushes everything if it has missed one. A thread that finds a page gone relies on a flush that another
 * thread still owes. See arch/x86/mm/tlb.c, flush_tlb_func(), and mm/mmu_gather.c, tlb_finish_mmu(), v6.18.
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import type { Cpu } from '@shootdown/cpu';
import { type Property, type Steps, type System } from '@shootdown/machine';
import {
  hypercallTlbFlush,
  zap_page_range_single,
  type HypercallTlbOptions,
  type Mm,
  type X86TlbMutant,
} from '@shootdown/mm';
import { FlushMonitor, type MmuInstructions } from '@shootdown/mmu';
import { flushMachine, NEIGHBOUR, PAGE, startMachine, type CpuRoutine, type FlushMachine } from './flush-machine.ts';
import { madvises } from './tasks.ts';

interface Design extends Variant {
  /** Both threads give the same page back. Default: each gives one back. */
  readonly samePage?: boolean;
  readonly mutant?: X86TlbMutant;
  readonly ignoresNestedGathers?: boolean;
  readonly hypercall?: HypercallTlbOptions;
  readonly invlpgb?: boolean;
}

const GENERATIONS = 'comment in flush_tlb_func(): when may it flush a part, and what it has caught up with then, v6.18';
const NESTED = 'tlb_finish_mmu(), v6.18: 56236a59556c, 99baac21e458 (v4.13)';

const designs: readonly Design[] = [
  {
    name: 'two-pages',
    expected: 'safe',
    source: GENERATIONS,
    summary: 'each of two threads gives a page back, and neither uses either page after its own call',
  },
  {
    name: 'two-pages/partial-flush',
    expected: 'violation',
    source: GENERATIONS,
    summary: 'a CPU that has missed a generation flushes the range of the other',
    mutant: 'partial flush skips generations',
  },
  {
    name: 'two-pages/tlb-gen-read-again',
    expected: 'violation',
    source: GENERATIONS,
    summary: 'what the CPU notes is the generation after its flush: one that came meanwhile is taken for done',
    mutant: 'tlb_gen is read again after the flush',
  },
  {
    name: 'two-pages/no-local-flush',
    expected: 'violation',
    source: 'native_flush_tlb_multi(), v6.18',
    summary: 'who asks for a flush does not flush itself',
    mutant: 'no local flush',
  },
  {
    name: 'two-pages/hyper-v',
    expected: 'safe',
    source: 'hyperv_flush_tlb_multi(), v6.18',
    summary: 'the hypervisor flushes, and no CPU notes a generation',
    hypercall: { hypervisor: 'hyper-v' },
  },
  {
    name: 'two-pages/invlpgb',
    expected: 'safe',
    source: 'broadcast_tlb_flush(), v6.18',
    summary: 'INVLPGB',
    invlpgb: true,
  },
  {
    name: 'same-page',
    expected: 'safe',
    source: NESTED,
    summary: 'both give one page back: who finds it gone flushes as long as the other may not have',
    samePage: true,
  },
  {
    name: 'same-page/nested-gather-ignored',
    expected: 'violation',
    source: NESTED,
    summary: 'who finds it gone goes on',
    samePage: true,
    ignoresNestedGathers: true,
  },
];

/**
 * madvise(MADV_DONTNEED) of a page, and what the caller may rely on: from here on nobody uses what the page was, even
 * if it was somebody else who took it away.
 */
function givesBack(promise: FlushMonitor, page: number, touches: readonly number[]): CpuRoutine {
  return madvises(function* ({ kernel, mms }: FlushMachine, cpu: Cpu): Steps {
    yield* zap_page_range_single(kernel, cpu, mms[0] as Mm, page, page + 1);
    yield* promise.begin(cpu.id, page, page + 1);
    yield* promise.end(cpu.id, page, page + 1);
    for (const vpn of touches) yield* (kernel.mmus[cpu.id] as MmuInstructions).access(vpn, false);
  });
}

/** Builds the machine of a variant. */
function buildTwoFlushes({ variant, memoryModel }: BuildRequest<Design>): System {
  const { samePage = false, mutant, ignoresNestedGathers = false, hypercall, invlpgb } = variant;
  const machine = flushMachine({
    memoryModel,
    mms: 1,
    pages: samePage ? 1 : 2,
    loaded: [1, 1],
    ignoresNestedGathers,
    connected: hypercall !== undefined || invlpgb !== undefined,
    ...(invlpgb && { global: [1] }),
    x86: {
      ...(hypercall && { flush_tlb_multi: hypercallTlbFlush(hypercall) }),
      ...(invlpgb && { invlpgb: {} }),
      ...(mutant && { mutant }),
    },
  });
  const { builder, kernel, mms, tlb, monitor } = machine;
  const pages = samePage ? [PAGE] : [PAGE, NEIGHBOUR];
  const options = { name: 'madvise', root: (mms[0] as Mm).pgd.at(0), cpus: 2, pages };
  const promise = new FlushMonitor(builder, kernel.frames, kernel.shape, options);
  tlb.monitors = [monitor, promise];
  builder.property(bothFlush(machine));
  return startMachine(machine, [
    givesBack(promise, PAGE, pages),
    givesBack(promise, samePage ? PAGE : NEIGHBOUR, pages),
  ]);
}

function bothFlush({ mms }: FlushMachine): Property {
  const pending = (mms[0] as Mm).tlb_flush_pending.at(0);
  return {
    name: 'both threads are at it',
    kind: 'sometimes',
    why: 'otherwise one flush is over before the other begins',
    reads: [pending],
    check: (read) => read(pending) > 1,
  };
}

/** x86: two CPUs flush one mm at once: does either use what it has given back? */
export const twoFlushes: Scenario<Design> = {
  name: 'two-flushes',
  title: 'x86: two CPUs flush one mm at once: does either use what it has given back?',
  seed: 'S1',
  variants: designs,
  build: buildTwoFlushes,
};
