/**
 * What the parts of x86 TLB management share: cpu_tlbstate, flush_tlb_info, and the choices of a machine. Mirrors
 * arch/x86/mm/tlb.c, v6.18.
 */
import { load, type Address, type Region, type Steps, noted, is, wordsOf, type OptionValues } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_PRESENT, _PAGE_RW, _PAGE_USER, type MmuInstructions } from '@shootdown/mmu';
import type { CpuMask } from '../cpumask.ts';
import type { Mm } from '../kernel.ts';
import type { Smp } from '../smp.ts';
import type { InvlpgbOptions } from './invlpgb.ts';

/** Flushes of more pages than this become full flushes (debugfs x86/tlb_single_page_flush_ceiling). */
export const TLB_SINGLE_PAGE_FLUSH_CEILING = 33;
/** Address spaces a CPU keeps in its TLB at once. */
export const TLB_NR_DYN_ASIDS = 6;

/** cpu_tlbstate.loaded_mm of a CPU that runs on init_mm. */
export const INIT_MM = 0;
/** cpu_tlbstate.loaded_mm of a CPU in the middle of switch_mm(). */
export const LOADED_MM_SWITCHING = -1;
/** info->mm of a flush that is for whatever a CPU has loaded (arch_tlbbatch_flush()), */
export const ANY_MM = 0;
/** and its generation. */
export const TLB_GENERATION_INVALID = 0;
/** Page numbers have more bits than a word. */
export const LOW_WORD = 0x1_0000_0000;

/** Words of one CPU's flush_tlb_info. `pages` 0 means the whole address space (TLB_FLUSH_ALL). */
export const Info = { mm: 0, startLow: 1, startHigh: 2, pages: 3, newTlbGen: 4, words: 5 } as const;

/** Guards of the real code that can be left out one at a time, to see what each is for. */
export type X86TlbMutant =
  /** should_flush_tlb() is asked even when page tables are about to be freed. */
  | 'lazy CPUs keep freed tables'
  /** flush_tlb_func() flushes a range although it has missed a generation. */
  | 'partial flush skips generations'
  /** A CPU that stops being lazy goes on without looking at tlb_gen. */
  | 'lazy mode ends without flush'
  /** Nothing orders the end of lazy mode before the look at tlb_gen. */
  | 'no barrier after lazy mode'
  /** A CPU in the middle of switch_mm is no target. */
  | 'no flush while switching'
  /**
   * All that the fix of 2025 changed: so it was, LOADED_MM_SWITCHING was stored late, and is_lazy was read first,
   * without smp_rmb().
   */
  | 'before fea4e317f9e7'
  /** LOADED_MM_SWITCHING is stored only after tlb_gen has been read. */
  | 'switching is said late'
  /** A CPU whose bit in mm_cpumask is set already leaves it alone, and with it the full barrier that setting it was. */
  | 'no barrier while switching'
  /** switch_mm_irqs_off() leaves is_lazy set. */
  | 'lazy mode is never left'
  /** A CPU that runs an mm for the first time reads tlb_gen when CR3 has been written already. */
  | 'tlb_gen is read after CR3'
  /** flush_tlb_func() notes the tlb_gen of after the flush, not the one it has read before. */
  | 'tlb_gen is read again after the flush'
  /** The CPU that asks for a flush does not flush itself. */
  | 'no local flush';

/** pv_ops.mmu.flush_tlb_multi(): has the CPUs of a mask flush what this CPU's flush_tlb_info says, and waits for it. */
export type FlushTlbMulti = (
  x86: X86TlbState,
  cpu: Cpu,
  mm: Mm | null,
  mask: CpuMask,
  freed_tables: boolean,
  trim_cpumask: boolean,
) => Steps;

/** Choices the kernel has, and mutants of it for tests. */
export interface X86TlbOptions {
  /** Default {@link native_flush_tlb_multi}. */
  readonly flush_tlb_multi?: FlushTlbMulti;
  /** The mm that each CPU has loaded to begin with, by id, in its first ASID slot. Default: init_mm everywhere. */
  readonly loaded?: readonly number[];
  /**
   * Numbers of the CPUs that begin lazy: their mm is loaded, and a kernel thread or the idle loop runs. Default none.
   */
  readonly lazy?: readonly number[];
  readonly ceiling?: number;
  /** jiffies word and HZ, if the machine has a timer: then mm_cpumask is trimmed once a second. */
  readonly jiffies?: { readonly address: Address; readonly hz: number };
  /** The CPUs have INVLPGB; their MMUs must be connected (connectMmus()). Default: they do not. */
  readonly invlpgb?: InvlpgbOptions;
  readonly mutant?: X86TlbMutant;
}

/** What may be said of them; what depends on the machine, x86Tlb() looks at itself. */
export const X86_TLB_VALUES: OptionValues<X86TlbOptions> = {
  flush_tlb_multi: is.callable,
  loaded: is.anything,
  lazy: is.anything,
  ceiling: is.whole(),
  jiffies: is.anything,
  invlpgb: is.anything,
  mutant: is.oneOf(
    wordsOf<X86TlbMutant>()(
      'lazy CPUs keep freed tables',
      'partial flush skips generations',
      'lazy mode ends without flush',
      'no barrier after lazy mode',
      'no flush while switching',
      'before fea4e317f9e7',
      'switching is said late',
      'no barrier while switching',
      'lazy mode is never left',
      'tlb_gen is read after CR3',
      'tlb_gen is read again after the flush',
      'no local flush',
    ),
  ),
};

/** The counters are named as in /proc/vmstat and /proc/interrupts. */
export const X86Counter = {
  remoteFlush: 'nr_tlb_remote_flush',
  received: 'nr_tlb_remote_flush_received',
  localAll: 'nr_tlb_local_flush_all',
  localOne: 'nr_tlb_local_flush_one',
  interrupts: 'irq_tlb_count',
} as const;

/** The per-CPU and shared words of x86 TLB management. */
export interface X86TlbState {
  readonly smp: Smp;
  readonly mmus: readonly MmuInstructions[];
  /** All address spaces, by id - 1. */
  readonly mms: () => readonly Mm[];
  readonly options: X86TlbOptions;
  /** Number of flush_tlb_func() for cross-CPU calls. */
  readonly flushFunction: number;
  /** cpu_tlbstate, per CPU. */
  readonly loaded_mm: Region;
  readonly loaded_mm_asid: Region;
  readonly is_lazy: Region;
  readonly next_asid: Region;
  /** cpu_tlbstate.ctxs[TLB_NR_DYN_ASIDS], per CPU. */
  readonly ctx_id: Region;
  readonly ctx_tlb_gen: Region;
  readonly global_asid_lock: Region;
  /** Per CPU: the flush it has asked for. */
  readonly info: Region;
}

/** A word of the flush_tlb_info of a CPU. */
export const infoWord = (x86: X86TlbState, source: number, word: number): Address =>
  x86.info.at(source * Info.words + word);

/** info->start of the flush that a CPU has asked for: a page number. */
export const flushStart = noted(function* flushStart(x86: X86TlbState, source: number): Steps<number> {
  const low = yield* load(infoWord(x86, source, Info.startLow), { label: 'info->start' });
  const high = yield* load(infoWord(x86, source, Info.startHigh), { label: 'info->start >> 32' });
  return (low >>> 0) + high * LOW_WORD;
});

/** The pages that a CPU wants flushed; 0 pages: the whole address space. */
export const flushRange = noted(function* flushRange(
  x86: X86TlbState,
  source: number,
): Steps<{ readonly start: number; readonly pages: number }> {
  const pages = yield* load(infoWord(x86, source, Info.pages), { label: 'info->end - info->start' });
  return { start: pages === 0 ? 0 : yield* flushStart(x86, source), pages };
});

/** A CPU's MMU. */
export function mmuOf(x86: X86TlbState, cpu: Cpu): MmuInstructions {
  return x86.mmus[cpu.id] as MmuInstructions;
}

/**
 * pte_needs_flush(), arch/x86/include/asm/tlbflush.h: an entry that was not present for hardware is in no TLB, and one
 * that ceases to be, or changes what it permits, may be.
 */
export function pte_needs_flush(oldpte: number, newpte: number): boolean {
  return (oldpte & _PAGE_PRESENT) !== 0 && ((oldpte ^ newpte) & (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER)) !== 0;
}
