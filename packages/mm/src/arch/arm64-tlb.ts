/**
 * TLB flushing and address-space switching on arm64: by broadcast TLBI, never by IPI.
 *
 * Mirrors arch/arm64/include/asm/tlbflush.h, __flush_tlb_range(), and arch/arm64/mm/context.c, v6.18. Every mm keeps
 * one ASID; rollover is not modelled.
 */
import {
  notedMethods,
  count,
  load,
  nop,
  noted,
  routine,
  store,
  type Region,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { MmuInstructions } from '@shootdown/mmu';
import type { Mm, TlbArch, TlbBatching } from '../kernel.ts';

/** Without FEAT_TLBIRANGE, spans of more pages than a table has entries become a whole-ASID flush (MAX_DVM_OPS). */
export const MAX_DVM_OPS = 512;

/** Counters of the arm64 flushes: instructions issued. */
export const Arm64Counter = { tlbiPage: 'tlbi_va', tlbiAsid: 'tlbi_aside1is', dsb: 'dsb_ish' } as const;

/**
 * arm64 with broadcast TLB maintenance, without FEAT_TLBIRANGE.
 * @param loaded the mm that each CPU runs to begin with, by id. Default: init_mm everywhere
 */
export function arm64Tlb(
  builder: SystemBuilder,
  cpus: readonly Cpu[],
  mmus: readonly MmuInstructions[],
  loaded: readonly number[] = [],
): TlbArch {
  builder.round('__flush_tlb_range');
  const current: Region = builder.region('cpu.active_mm', cpus.length, { initial: loaded });
  return notedMethods({
    name: 'arm64',
    flush_tlb_mm_range: (cpu, mm, start, end, freed_tables) =>
      __flush_tlb_range(mmus[cpu.id] as MmuInstructions, mm, start, end, !freed_tables),
    switch_mm: (cpu, next) => cpu_switch_mm(mmus[cpu.id] as MmuInstructions, current, cpu, next),
    // check_and_switch_context() of a kernel thread leaves TTBR0 alone: broadcast TLBIs reach the CPU all the same.
    *enter_lazy_tlb() {},
    leave_mm: (cpu) => cpu_set_reserved_ttbr0(mmus[cpu.id] as MmuInstructions, current, cpu),
    *init_new_context() {},
    // include/asm-generic/tlb.h: every changed entry is flushed.
    pte_needs_flush: () => true,
    // __ptep_set_access_flags(), v6.18: flush_tlb_page() after a write fault, in the whole inner shareable domain.
    flushesUpgrades: true,
    flush_tlb_page_nosync: (cpu, mm, vpn) => flush_tlb_page_nosync(mmus[cpu.id] as MmuInstructions, mm, vpn),
    tlbbatch: arm64TlbBatch(mmus),
  });
}

const flush_tlb_page_nosync = noted(function* flush_tlb_page_nosync(mmu: MmuInstructions, mm: Mm, vpn: number): Steps {
  yield* mmu.dsb('ishst');
  yield* mmu.tlbi_is({ scope: 'page', vpn, asid: mm.id, leafOnly: true });
  yield* count(Arm64Counter.tlbiPage, 1);
});

/** arch_tlbbatch_add_pending(): the TLBI without its DSB, which comes once for all. */
function arm64TlbBatch(mmus: readonly MmuInstructions[]): TlbBatching {
  return notedMethods({
    // arch_tlbbatch_should_defer(): always, but for an erratum.
    *should_defer_flush() {
      yield* nop({ label: 'arch_tlbbatch_should_defer()' });
      return true;
    },
    *arch_tlbbatch_add_pending(cpu, mm, start, end) {
      const mmu = mmus[cpu.id] as MmuInstructions;
      yield* mmu.dsb('ishst');
      for (let vpn = start; vpn < end; vpn++) yield* mmu.tlbi_is({ scope: 'page', vpn, asid: mm.id, leafOnly: true });
      yield* count(Arm64Counter.tlbiPage, end - start);
      return 0;
    },
    *arch_tlbbatch_flush(cpu) {
      yield* (mmus[cpu.id] as MmuInstructions).dsb('ish');
      yield* count(Arm64Counter.dsb);
    },
  });
}

const __flush_tlb_range = routine(
  '__flush_tlb_range',
  function* (mmu: MmuInstructions, mm: Mm, start: number, end: number, leafOnly: boolean): Steps {
    yield* mmu.dsb('ishst');
    if (end - start >= MAX_DVM_OPS) {
      yield* mmu.tlbi_is({ scope: 'asid', vpn: 0, asid: mm.id, leafOnly: false });
      yield* count(Arm64Counter.tlbiAsid);
    } else {
      for (let vpn = start; vpn < end; vpn++) yield* mmu.tlbi_is({ scope: 'page', vpn, asid: mm.id, leafOnly });
      yield* count(Arm64Counter.tlbiPage, end - start);
    }
    yield* mmu.dsb('ish');
    yield* count(Arm64Counter.dsb);
  },
);

const cpu_switch_mm = routine(
  'cpu_switch_mm',
  function* (mmu: MmuInstructions, current: Region, cpu: Cpu, next: Mm): Steps {
    if ((yield* load(current.at(cpu.id), { label: 'this_cpu(active_mm)' })) === next.id) return;
    yield* store(current.at(cpu.id), next.id);
    yield* mmu.msr_ttbr0_el1((yield* load(next.pgd.at(0))) - 1, next.id);
    yield* mmu.isb();
  },
);

/** TTBR0 points at the reserved, empty table: no user tree is walked. */
const cpu_set_reserved_ttbr0 = routine(
  'cpu_set_reserved_ttbr0',
  function* (mmu: MmuInstructions, current: Region, cpu: Cpu): Steps {
    yield* store(current.at(cpu.id), 0, { label: 'this_cpu(active_mm) = &init_mm' });
    yield* mmu.msr_ttbr0_el1(-1, 0);
    yield* mmu.isb();
  },
);
