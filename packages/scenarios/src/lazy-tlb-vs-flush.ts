/**
 * `lazy-tlb-vs-flush`: which flushes must a CPU be told of that is only lazily in an mm? (x86, 2018 to 2025)
 *
 * A kernel thread, or the idle loop, runs on the address space that happens to be loaded. Its CPU is spared flushes of
 * pages, because it looks at tlb_gen when it stops being lazy; it is told when page tables are freed, because it may
 * walk them without being asked. See arch/x86/mm/tlb.c, v6.18: enter_lazy_tlb(), switch_mm_irqs_off(),
 * native_flush_tlb_multi(), flush_tlb_func(), leave_mm().
 */
import type { BuildRequest, Scenario, Variant } from '@shootdown/explorer';
import { do_idle, local_irq_restore, local_irq_save, type Cpu, schedules } from '@shootdown/cpu';
import { assertThat, load, type Property, type Steps, type System } from '@shootdown/machine';
import {
  gup,
  hypercallTlbFlush,
  type HypercallTlbOptions,
  type InvlpgbOptions,
  type Mm,
  type X86TlbMutant,
} from '@shootdown/mm';
import type { MmuInstructions } from '@shootdown/mmu';
import {
  flushMachine,
  NEIGHBOUR,
  PAGE,
  startMachine,
  unmap,
  type CpuRoutine,
  type FlushMachine,
  getsGlobalAsid,
} from './flush-machine.ts';

interface Design extends Variant {
  /** What CPU 0 takes away: a page, its tables too, or a page while it changes the mm to a global ASID. */
  readonly removes?: 'page' | 'tables' | 'page, with a new ASID';
  /** What becomes of the lazy CPU: it goes on with the mm, idles, or idles so deeply that it leaves the mm. */
  readonly lazyCpu?: 'comes back' | 'idles' | 'leaves';
  readonly mutant?: X86TlbMutant;
  readonly hypercall?: HypercallTlbOptions;
  readonly invlpgb?: InvlpgbOptions;
}

const COMES_BACK = 'switch_mm_irqs_off(), v6.18: 145f573b89a6 (v4.20)';
const FREED_TABLES =
  'comment in native_flush_tlb_multi(): lazy CPUs may load speculatively what used to be page tables';
const BARRIER = 'comment in switch_mm_irqs_off(): smp_mb() after lazy mode';
const FANGORN = '20250520102036.5d61f565@fangorn; Fixes 4afeb0ed1753';
const INVLPGB = 'broadcast_tlb_flush(), v6.18';
/** What the WARN_ON() in leave_mm() says. */
const LEAVE_MM_WARNS = 'leave_mm() finds its CPU in lazy mode';
/** Number of PCIDs, modulo which those of the mm and its global ASID differ. */
const SPACES = 4;

const designs: readonly Design[] = [
  {
    name: 'comes-back',
    expected: 'safe',
    source: COMES_BACK,
    summary: 'a CPU that stops being lazy looks at tlb_gen',
  },
  {
    name: 'comes-back/tlb-gen-not-read',
    expected: 'violation',
    source: COMES_BACK,
    summary: 'it goes on without looking',
    mutant: 'lazy mode ends without flush',
  },
  {
    name: 'comes-back/is-lazy-not-cleared',
    expected: 'violation',
    source: 'derived: whoever is taken for lazy gets no IPI',
    summary: 'is_lazy stays set',
    mutant: 'lazy mode is never left',
  },
  {
    name: 'comes-back/no-barrier',
    expected: { sc: 'safe', tso: 'violation' },
    source: BARRIER,
    summary: 'no barrier between the end of lazy mode and the look at tlb_gen',
    mutant: 'no barrier after lazy mode',
    memoryModel: 'tso',
  },
  {
    name: 'freed-tables',
    expected: 'safe',
    source: FREED_TABLES,
    summary: 'page tables are freed: a lazy CPU is told, and leaves the mm',
    removes: 'tables',
    lazyCpu: 'idles',
  },
  {
    name: 'freed-tables/lazy-skipped',
    expected: 'violation',
    source: FREED_TABLES,
    summary: 'it is not told',
    removes: 'tables',
    lazyCpu: 'idles',
    mutant: 'lazy CPUs keep freed tables',
  },
  {
    name: 'hyper-v/freed-tables',
    expected: 'safe',
    source: 'hyperv_flush_tlb_multi(), v6.18',
    summary: 'the hypervisor flushes a lazy CPU, too, when page tables are freed',
    removes: 'tables',
    lazyCpu: 'idles',
    hypercall: { hypervisor: 'hyper-v' },
  },
  {
    name: 'hyper-v/freed-tables/lazy-skipped',
    expected: 'violation',
    source: 'hyperv_flush_tlb_multi(), v6.18: do_lazy',
    summary: 'it leaves lazy CPUs out then as well',
    removes: 'tables',
    lazyCpu: 'idles',
    hypercall: { hypervisor: 'hyper-v', mutant: 'lazy CPUs keep freed tables' },
  },
  {
    name: 'invlpgb',
    expected: 'safe',
    source: INVLPGB,
    summary: 'the mm has a global ASID: a lazy CPU is reached like any other, and looks at nothing when it comes back',
    invlpgb: {},
  },
  {
    name: 'invlpgb/no-tlbsync',
    expected: 'violation',
    source: INVLPGB,
    summary: 'nobody waits until it has been reached',
    invlpgb: { mutant: 'no TLBSYNC' },
  },
  {
    name: 'invlpgb/freed-tables',
    expected: 'safe',
    source: INVLPGB,
    summary: 'INVLPGB takes the pointers to page tables from a lazy CPU, too',
    removes: 'tables',
    lazyCpu: 'idles',
    invlpgb: {},
  },
  {
    name: 'invlpgb/transition',
    expected: 'violation',
    source: FANGORN,
    summary: 'the mm gets its global ASID while the CPU goes idle: the IPI ends lazy mode, and leave_mm() warns',
    removes: 'page, with a new ASID',
    lazyCpu: 'leaves',
    invlpgb: {},
  },
  {
    name: 'invlpgb/transition-lazy-first',
    expected: 'safe',
    source: FANGORN,
    summary: 'proposed: flush_tlb_func() looks at is_lazy first',
    removes: 'page, with a new ASID',
    lazyCpu: 'leaves',
    invlpgb: { lazyFirst: true },
  },
];

/** CPU 0 gives the page back and the tables that led to it. */
const removesTables = gup.unmap_region_with_tables(PAGE, NEIGHBOUR + 1);

/** A kernel thread runs on CPU 1 for a while; then it is the mm's own again. */
const comesBack = schedules(function* ({ kernel, mms }: FlushMachine, cpu: Cpu): Steps {
  yield* kernel.arch.enter_lazy_tlb(cpu);
  yield* kernel.arch.switch_mm(cpu, mms[0] as Mm);
  yield* (kernel.mmus[cpu.id] as MmuInstructions).access(PAGE, false);
});

const idles = schedules(function* ({ kernel }: FlushMachine, cpu: Cpu): Steps {
  yield* kernel.arch.enter_lazy_tlb(cpu);
  yield* do_idle(cpu);
});

/** cpuidle_enter_state() leaves the mm for a state in which the TLB is flushed. */
const leaves = schedules(function* ({ kernel, x86: { state } }: FlushMachine, cpu: Cpu): Steps {
  yield* kernel.arch.enter_lazy_tlb(cpu);
  const flags = yield* local_irq_save(cpu);
  if ((yield* load(state.loaded_mm.at(cpu.id), { label: 'cpu_tlbstate.loaded_mm' })) !== 0) {
    const is_lazy = yield* load(state.is_lazy.at(cpu.id), { label: 'cpu_tlbstate.is_lazy' });
    yield* assertThat(is_lazy !== 0, LEAVE_MM_WARNS);
  }
  yield* kernel.arch.leave_mm(cpu);
  yield* local_irq_restore(cpu, flags);
  yield* do_idle(cpu);
});

/** Builds the machine of a variant. */
function buildLazyTlbVsFlush({ variant, memoryModel }: BuildRequest<Design>): System {
  const { removes = 'page', lazyCpu = 'comes back', mutant, hypercall, invlpgb } = variant;
  const transition = removes === 'page, with a new ASID';
  const machine = flushMachine({
    memoryModel,
    mms: 1,
    levels: removes === 'tables' ? 2 : 1,
    // A hypercall for all CPUs there are looks at none of them.
    loaded: hypercall ? [1, 1, 0] : [1, 1],
    ...(transition && { spaces: SPACES }),
    ...(invlpgb && !transition && { global: [1] }),
    connected: hypercall !== undefined || invlpgb !== undefined,
    x86: {
      ...(hypercall && { flush_tlb_multi: hypercallTlbFlush(hypercall) }),
      ...(invlpgb && { invlpgb }),
      ...(mutant && { mutant }),
    },
  });
  machine.builder.property(flushedWhileLazy(machine));
  if (removes === 'tables') machine.builder.property(tableIsFree(machine));
  const remover = transition ? getsGlobalAsid : removes === 'tables' ? removesTables : unmap;
  return startMachine(machine, [remover, routineOf(lazyCpu), idles]);
}

function routineOf(lazyCpu: 'comes back' | 'idles' | 'leaves'): CpuRoutine {
  return lazyCpu === 'comes back' ? comesBack : lazyCpu === 'idles' ? idles : leaves;
}

/** The table below the root. */
function tableIsFree({ kernel: { frames } }: FlushMachine): Property {
  const table = frames.state.at(1);
  return {
    name: 'the table is free in the end',
    kind: 'finally',
    why: 'a table that nobody gives back is lost',
    reads: [table],
    check: (read) => read(table) <= 0,
  };
}

function flushedWhileLazy({ x86: { state }, mms }: FlushMachine): Property {
  const [is_lazy, gen] = [state.is_lazy.at(1), (mms[0] as Mm).tlb_gen.at(0)];
  return {
    name: 'the mm is flushed while CPU1 is lazy',
    kind: 'sometimes',
    why: 'otherwise the CPU is like any other',
    reads: [is_lazy, gen],
    check: (read) => read(is_lazy) !== 0 && read(gen) > 1,
  };
}

/** x86 lazy TLB mode against flushes: what must a CPU be told that runs on an mm it does not use? */
export const lazyTlbVsFlush: Scenario<Design> = {
  name: 'lazy-tlb-vs-flush',
  title: 'x86 lazy TLB mode against flushes: what must a CPU be told that runs on an mm it does not use?',
  seed: 'S1',
  variants: designs,
  build: buildLazyTlbVsFlush,
};
