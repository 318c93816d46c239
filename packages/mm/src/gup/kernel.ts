/** What the routines of a lockless walk and of those who take tables and pages away share: one mapping in one address space. */
import { Frames, routine, type Program, type Steps, type SystemBuilder } from '@shootdown/machine';
import { _PAGE_PRESENT, _PAGE_RW, _PAGE_TABLE, _PAGE_USER, formatEntry, mk_pte } from '@shootdown/mmu';
import { send_IPI, type Cpu } from '@shootdown/cpu';
import { Rcu } from '@shootdown/sync';
import { CALL_FUNCTION_VECTOR, type Smp } from '../smp.ts';
import type { FlushBackEnd } from './flush.ts';
import { WalkMonitor } from './invariants.ts';

/** The vector by which a CPU is asked for a quiescent state. */
const RCU_VECTOR = 'RCU_VECTOR';

/** Frame numbers of the mapping everything is about: pmd table, pte tables one after the other, then their pages, one each, and as many spare ones. */
export const PMD_TABLE = 0;
export const PTE_TABLE = 1;

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

/** One kernel with one mapping. */
export class GupKernel {
  readonly cpus: readonly Cpu[];
  readonly smp: Smp;
  readonly flush: FlushBackEnd;
  /** pte tables that are mapped, one per entry of the pmd table. */
  readonly tables: number;
  readonly frames: Frames;
  readonly monitor: WalkMonitor;
  /** Null if the machine has no RCU. */
  readonly rcu: Rcu | null;
  /** Callbacks that free a batch of tables ({@link batchOf}), a table without a batch, and a table that is not removed by a gather. */
  readonly tlb_remove_table_rcu: number;
  readonly tlb_remove_table_one_rcu: number;
  readonly pte_free_now: number;
  readonly #nothing: number;

  constructor(
    builder: SystemBuilder,
    cpus: readonly Cpu[],
    smp: Smp,
    flush: FlushBackEnd,
    { rcu, tables = 1 }: GupKernelOptions = {},
  ) {
    this.cpus = cpus;
    this.smp = smp;
    this.flush = flush;
    this.tables = tables;
    const page = PTE_TABLE + tables;
    const each = (entry: (i: number) => number): number[] => Array.from({ length: tables }, (_, i) => entry(i));
    const initialTables = [
      each((i) => mk_pte(PTE_TABLE + i, _PAGE_TABLE)),
      ...each((i) => mk_pte(page + i, PAGE_SHARED)).map((pte) => [pte]),
    ];
    this.frames = new Frames(builder, {
      tables: page,
      entriesPerTable: tables,
      pages: 2 * tables,
      initialTables,
      initialPages: tables,
      entryName: nameEntry,
      formatEntry,
    });
    this.monitor = new WalkMonitor(builder, { frames: this.frames, pmdTable: PMD_TABLE }, true);
    const interrupts = { request: (_from: number, to: number): Steps => send_IPI(cpus[to] as Cpu, RCU_VECTOR) };
    this.rcu = rcu
      ? new Rcu(builder, {
          processors: cpus.length,
          callbacksMax: tables,
          ...(rcu === 'asks by interrupt' && { interrupts }),
        })
      : null;
    this.tlb_remove_table_rcu = this.rcu?.register('tlb_remove_table_rcu', (batch) => this.#freeBatch(batch)) ?? 0;
    this.tlb_remove_table_one_rcu =
      this.rcu?.register('__tlb_remove_table_one_rcu', (table) => this.freeTable(table)) ?? 0;
    this.pte_free_now = this.rcu?.register('pte_free_now', (table) => this.freeTable(table)) ?? 0;
    this.#nothing = smp.register({ name: 'tlb_remove_table_smp_sync', *run() {} });
  }

  /** True for the frames of pte tables. */
  isTable(frame: number): boolean {
    return frame < PTE_TABLE + this.tables;
  }

  /** A batch of tables as an argument of {@link tlb_remove_table_rcu}: a bit each. */
  batchOf(tables: readonly number[]): number {
    return tables.reduce((batch, table) => batch | (1 << (table - PTE_TABLE)), 0);
  }

  *#freeBatch(batch: number): Steps {
    for (let i = 0; i < this.tables; i++) if ((batch & (1 << i)) !== 0) yield* this.freeTable(PTE_TABLE + i);
  }

  /** __tlb_remove_table(). */
  *freeTable(table: number): Steps {
    yield* this.frames.free(table, { label: `__tlb_remove_table(0x${table.toString(16)})` });
  }

  /** tlb_remove_table_sync_one(): an IPI to every other CPU whose handler does nothing. */
  readonly tlb_remove_table_sync_one = routine('tlb_remove_table_sync_one', (cpu: Cpu) =>
    this.smp.smp_call_function_many(cpu, -1, this.#nothing),
  );

  /** synchronize_rcu(), as tlb_remove_table_sync_rcu() calls it. */
  *synchronize_rcu(cpu: Cpu): Steps {
    if (this.rcu) yield* this.rcu.synchronize_rcu(cpu.id);
  }

  /** call_rcu(). */
  *call_rcu(callback: number, argument: number): Steps {
    if (this.rcu) yield* this.rcu.call_rcu(callback, argument);
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
