/**
 * What the routines of a lockless walk and of those who take tables and pages away share: one mapping in one address
 * space.
 */
import {
  Frames,
  type Program,
  type Steps,
  type SystemBuilder,
  checkValues,
  is,
  type OptionValues,
  wordsOf,
} from '@shootdown/machine';
import {
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RW,
  _PAGE_TABLE,
  _PAGE_USER,
  formatEntry,
  mk_pte,
  pte_pfn,
  pte_present,
  tinyShape,
  type MmuInstructions,
  type WalkShape,
} from '@shootdown/mmu';
import { send_IPI, type Cpu } from '@shootdown/cpu';
import { Rcu } from '@shootdown/sync';
import { CALL_FUNCTION_VECTOR, type Smp } from '../smp.ts';
import type { Reachable } from '../arch/held-translations.ts';
import { interruptsOnly, type FlushBackEnd } from '../arch/interrupts-only.ts';
import { Mm, type Kernel, type TlbArch } from '../kernel.ts';
import { LocklessWalkers } from '../lockless-walkers.ts';
import { Tracepoints } from '../tracepoint.ts';
import { WalkMonitor } from './invariants.ts';

/** The vector by which a CPU is asked for a quiescent state. */
const RCU_VECTOR = 'RCU_VECTOR';

/**
 * Frame numbers of the mapping everything is about: pmd table, pte tables one after the other, then their pages, one
 * each, and as many spare ones.
 */
export const PMD_TABLE = 0;
export const PTE_TABLE = 1;

/** The CPU whose hardware is looked at: it runs the user's code when it does not walk. */
export const WALKER = 0;

/** A page that a user may read and write. */
export const PAGE_SHARED = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;

/** How RCU sees readers that only have interrupts off; `blind` is a mutant in which it does not. */
export type RcuKind = 'asks by interrupt' | 'blind';

/** What a kernel may have. */
export interface GupKernelOptions {
  /** Left out: no RCU. */
  readonly rcu?: RcuKind | undefined;
  /** pte tables, of one page each. Default 1. */
  readonly tables?: number | undefined;
}

const GUP_KERNEL_VALUES: OptionValues<GupKernelOptions> = {
  rcu: is.oneOf(wordsOf<RcuKind>()('asks by interrupt', 'blind')),
  tables: is.whole(1),
};

/** One kernel with one mapping. */
export class GupKernel implements Kernel {
  readonly builder: SystemBuilder;
  readonly cpus: readonly Cpu[];
  readonly mmus: readonly MmuInstructions[] = [];
  readonly smp: Smp;
  readonly flush: FlushBackEnd;
  readonly arch: TlbArch;
  readonly shape: WalkShape;
  /** The address space. */
  readonly mm: Mm;
  /** pte tables that are mapped, one per entry of the pmd table. */
  readonly tables: number;
  readonly frames: Frames;
  readonly monitor: WalkMonitor;
  readonly tracepoints = new Tracepoints();
  readonly walkers: LocklessWalkers;
  /** Null if the machine has no RCU. */
  readonly rcu: Rcu | null;
  readonly tlb_remove_table_rcu: number;
  readonly tlb_remove_table_one_rcu: number;
  readonly pte_free_now: number;
  readonly tlb_remove_table_sync_one: LocklessWalkers['tlb_remove_table_sync_one'];

  constructor(
    builder: SystemBuilder,
    cpus: readonly Cpu[],
    smp: Smp,
    flush: FlushBackEnd,
    options: GupKernelOptions = {},
  ) {
    checkValues('gup: kernel: new', options, GUP_KERNEL_VALUES);
    const { rcu, tables = 1 } = options;
    this.builder = builder;
    this.cpus = cpus;
    this.smp = smp;
    this.flush = flush;
    this.arch = interruptsOnly(flush);
    this.tables = tables;
    this.shape = {
      ...tinyShape(2, tables),
      levels: [
        { name: 'pmd', entries: tables, spanPages: 1 },
        { name: 'pte', entries: 1, spanPages: 1 },
      ],
    };
    const page = PTE_TABLE + tables;
    const each = (entry: (i: number) => number): number[] => Array.from({ length: tables }, (_, i) => entry(i));
    const initialTables = [
      each((i) => mk_pte(PTE_TABLE + i, _PAGE_TABLE)),
      ...each((i) => mk_pte(page + i, PAGE_SHARED)).map((pte) => [pte]),
    ];
    this.frames = new Frames(builder, {
      pointsTo: pte_pfn,
      tables: page,
      entriesPerTable: tables,
      pages: 2 * tables,
      initialTables,
      initialPages: tables,
      // A table that is freed may come back as a page, and any page may be the next one: what ABA decides is decided.
      pool: 'shared',
      allocation: 'any',
      entryName: nameEntry,
      formatEntry,
    });
    flush.held?.connect({
      builder,
      cpus: [WALKER],
      entries: this.frames.entries,
      reachable: (read, held) => this.#reachable(read, held),
    });
    this.mm = new Mm(builder, 1, { root: PMD_TABLE, cpumask: 0 }, { tasks: 1, vmasMax: 1 });
    this.monitor = new WalkMonitor(builder, { frames: this.frames, pmdTable: PMD_TABLE }, true);
    this.monitor.attach(this.tracepoints);
    const interrupts = { request: (_from: number, to: number): Steps => send_IPI(cpus[to] as Cpu, RCU_VECTOR) };
    this.rcu = rcu
      ? new Rcu(builder, {
          processors: cpus.length,
          callbacksMax: tables,
          ...(rcu === 'asks by interrupt' && { interrupts }),
        })
      : null;
    this.walkers = new LocklessWalkers({ frames: this.frames, smp, rcu: this.rcu ?? undefined, firstTable: PTE_TABLE });
    this.tlb_remove_table_rcu = this.walkers.tlb_remove_table_rcu;
    this.tlb_remove_table_one_rcu = this.walkers.tlb_remove_table_one_rcu;
    this.pte_free_now = this.walkers.pte_free_now;
    this.tlb_remove_table_sync_one = this.walkers.tlb_remove_table_sync_one;
  }

  /** What the hardware finds from the pmd table, and from the tables that its walk caches point to. */
  #reachable(read: (address: number) => number, held: number): Reachable {
    const { frames } = this;
    let tables = held;
    let pages = 0;
    for (let i = 0; i < this.tables; i++) {
      const pmd = read(frames.entry(PMD_TABLE, i).address);
      if (pte_present(pmd) && (pmd & _PAGE_PSE) === 0) tables |= 1 << pte_pfn(pmd);
      if (pte_present(pmd) && (pmd & _PAGE_PSE) !== 0) pages |= 1 << pte_pfn(pmd);
    }
    for (let table = PTE_TABLE; table < PTE_TABLE + this.tables; table++) {
      const pte = (tables & (1 << table)) === 0 ? 0 : read(frames.entry(table, 0).address);
      if (pte_present(pte)) pages |= 1 << pte_pfn(pte);
    }
    return { tables, pages };
  }

  /** True for the frames of pte tables. */
  isTable(frame: number): boolean {
    return frame < PTE_TABLE + this.tables;
  }

  /** See {@link LocklessWalkers.batchOf}. */
  batchOf(tables: readonly number[]): number {
    return this.walkers.batchOf(tables);
  }

  /** __tlb_remove_table(). */
  freeTable(table: number): Steps {
    return this.walkers.__tlb_remove_table(table);
  }

  /** See {@link LocklessWalkers.synchronize_rcu}. */
  synchronize_rcu(cpu: Cpu): Steps {
    return this.walkers.synchronize_rcu(cpu);
  }

  /** See {@link LocklessWalkers.call_rcu}. */
  call_rcu(callback: number, argument: number): Steps {
    return this.walkers.call_rcu(callback, argument);
  }

  /** Interrupt handlers of a CPU. */
  handlers(cpu: Cpu): Record<string, Program> {
    return {
      [CALL_FUNCTION_VECTOR]: this.smp.handler(cpu),
      ...(this.rcu && { [RCU_VECTOR]: this.rcu.rcu_exp_handler(cpu.id) }),
    };
  }
}

/** What store buffers call an entry: after the level, and with the table if it is a pte. */
function nameEntry(frame: number, index: number): string {
  return frame === PMD_TABLE ? `pmd[${index}]` : `pte[${index}] of 0x${frame.toString(16)}`;
}

/** Interrupt vectors that a CPU of such a kernel needs. */
export const GUP_VECTORS: readonly string[] = [CALL_FUNCTION_VECTOR, RCU_VECTOR];
