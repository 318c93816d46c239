/**
 * Walkers without locks, and how those who free page tables wait for them. Mirrors mm/mmu_gather.c, v6.18:
 * tlb_remove_table_free(), tlb_remove_table_sync_one(), __tlb_remove_table_one(); and mm/pgtable-generic.c,
 * pte_free_defer().
 */
import {
  routine,
  type Frames,
  type Routine,
  type Steps,
  noted,
  noteMethods,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { Rcu } from '@shootdown/sync';
import type { Smp } from './smp.ts';

/** What the waiting is made of. */
export interface LocklessWalkersOptions {
  readonly frames: Frames;
  readonly smp: Smp;
  /** Left out: no RCU, and whoever waits for a grace period does not wait. */
  readonly rcu?: Rcu | undefined;
  /** Tables of a batch are told apart by their distance from this frame. */
  readonly firstTable: number;
}

const LOCKLESS_WALKERS_VALUES: OptionValues<LocklessWalkersOptions> = {
  frames: is.anything,
  smp: is.anything,
  rcu: is.anything,
  firstTable: is.whole(),
};

/** tlb_remove_table_smp_sync() and the RCU callbacks of one machine. */
export class LocklessWalkers {
  static {
    noteMethods(this);
  }

  /**
   * Callbacks that free a batch of tables ({@link batchOf}), a table without a batch, and a table that no gather
   * removes.
   */
  readonly tlb_remove_table_rcu: number;
  readonly tlb_remove_table_one_rcu: number;
  readonly pte_free_now: number;
  /** tlb_remove_table_sync_one(): an IPI to every other CPU whose handler does nothing. */
  readonly tlb_remove_table_sync_one: Routine<[cpu: Cpu], void>;
  readonly #options: LocklessWalkersOptions;

  constructor(options: LocklessWalkersOptions) {
    checkValues('mm: lockless walkers: new', options, LOCKLESS_WALKERS_VALUES, ['frames', 'smp', 'firstTable']);
    const { smp, rcu } = options;
    this.#options = options;
    this.tlb_remove_table_rcu = rcu?.register('tlb_remove_table_rcu', (batch) => this.#freeBatch(batch)) ?? 0;
    this.tlb_remove_table_one_rcu =
      rcu?.register('__tlb_remove_table_one_rcu', (table) => this.__tlb_remove_table(table)) ?? 0;
    this.pte_free_now = rcu?.register('pte_free_now', (table) => this.__tlb_remove_table(table)) ?? 0;
    const tlb_remove_table_smp_sync = smp.register({ name: 'tlb_remove_table_smp_sync', *run() {} });
    this.tlb_remove_table_sync_one = routine('tlb_remove_table_sync_one', (cpu: Cpu) =>
      smp.smp_call_function_many(cpu, smp.everyone, tlb_remove_table_smp_sync),
    );
  }

  /** A batch of tables as an argument of {@link tlb_remove_table_rcu}: a bit each. */
  batchOf(tables: readonly number[]): number {
    return tables.reduce((batch, table) => batch | (1 << (table - this.#options.firstTable)), 0);
  }

  *#freeBatch(batch: number): Steps {
    const { firstTable } = this.#options;
    for (let rest = batch; rest !== 0; rest &= rest - 1)
      yield* this.__tlb_remove_table(firstTable + 31 - Math.clz32(rest & -rest));
  }

  /** tlb_remove_table_free(): the batch waits for a grace period. */
  tlb_remove_table_free(tables: readonly number[]): Steps {
    return this.call_rcu(this.tlb_remove_table_rcu, this.batchOf(tables));
  }

  /** __tlb_remove_table(). */
  __tlb_remove_table(table: number): Steps {
    return __tlb_remove_table(this.#options.frames, table);
  }

  /** synchronize_rcu(), as tlb_remove_table_sync_rcu() calls it. */
  *synchronize_rcu(cpu: Cpu): Steps {
    const { rcu } = this.#options;
    if (rcu) yield* rcu.synchronize_rcu(cpu.id);
  }

  /** call_rcu(). */
  *call_rcu(callback: number, argument: number): Steps {
    const { rcu } = this.#options;
    if (rcu) yield* rcu.call_rcu(callback, argument);
  }
}

/** __tlb_remove_table(): the frame is free. */
export const __tlb_remove_table = noted(function* __tlb_remove_table(frames: Frames, table: number): Steps {
  yield* frames.free(table, { label: `__tlb_remove_table(0x${table.toString(16)})` });
});
