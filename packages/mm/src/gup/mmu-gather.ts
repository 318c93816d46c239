/**
 * mmu_gather for an address space that is walked without locks: what becomes of unlinked tables in every era.
 * Mirrors mm/mmu_gather.c, v5.16 to v7.1. It runs on one CPU, so its fields are no shared state.
 */
import { choose, Local, routine, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { GupKernel } from './kernel.ts';

/** What becomes of a table for which there is no batch page: tlb_remove_table_one(). */
export type RemoveOne =
  /** tlb_remove_table_sync_one(), then it is freed (v4.20 to v7.0). */
  | 'sync-ipi'
  /** synchronize_rcu(), then it is freed (1fb3d8c20bfa, v7.1, without CONFIG_PT_RECLAIM). */
  | 'sync-rcu'
  /** call_rcu() on the table itself (CONFIG_PT_RECLAIM, v6.14). */
  | 'call-rcu'
  /** Mutant: it is freed after the flush. */
  | 'at once';

/** How tlb_remove_table() goes about it. */
export interface TableFreeing {
  /**
   * Tables that fit into a batch (MAX_TABLE_BATCH); `with pages`: without MMU_GATHER_RCU_TABLE_FREE there are no table batches,
   * a table joins the data pages and is freed with them.
   */
  readonly batch: number | 'with pages';
  /** Whether GFP_NOWAIT finds a page for a batch; with `may fail` both outcomes are explored each time. */
  readonly allocation: 'succeeds' | 'fails' | 'may fail';
  readonly one: RemoveOne;
  /** tlb_remove_table_free(); `at once` is MMU_GATHER_TABLE_FREE without RCU, on an architecture that has lockless walkers. */
  readonly free: 'call-rcu' | 'at once';
}

/** struct mmu_gather. */
export class Gather extends Local {
  readonly freeing: TableFreeing;
  /** Frames of pages, and of tables without batches, in the order in which they are put. */
  pages: number[] = [];
  /** The table batch; null if there is no page for one. */
  batch: number[] | null = null;
  /** Something has been removed since the last flush. */
  range = false;

  constructor(freeing: TableFreeing) {
    super();
    this.freeing = freeing;
  }

  override get words(): readonly number[] {
    const bits = (frames: readonly number[]): number => frames.reduce((mask, frame) => mask | (1 << frame), 0);
    return [bits(this.pages), this.batch === null ? -1 : bits(this.batch), this.range ? 1 : 0];
  }
}

/** tlb_remove_table(): a table that has just been unlinked. */
export const tlb_remove_table = routine(
  'tlb_remove_table',
  function* (kernel: GupKernel, cpu: Cpu, tlb: Gather, table: number): Steps {
    const { batch, one } = tlb.freeing;
    if (batch === 'with pages') {
      tlb.pages.push(table);
      return;
    }
    if (tlb.batch === null) {
      if (!(yield* batchPage(tlb))) {
        yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
        yield* tlb_remove_table_one(kernel, cpu, one, table);
        return;
      }
      tlb.batch = [];
    }
    tlb.batch.push(table);
    if (tlb.batch.length === batch) yield* tlb_table_flush(kernel, cpu, tlb);
  },
);

/** __get_free_page(GFP_NOWAIT): true if there was one. */
function* batchPage({ freeing: { allocation } }: Gather): Steps<boolean> {
  if (allocation !== 'may fail') return allocation === 'succeeds';
  return (
    (yield* choose(2, {
      label: '__get_free_page(GFP_NOWAIT)',
      fact: (failed) => (failed === 0 ? 'a batch page' : 'no memory'),
    })) === 0
  );
}

const tlb_remove_table_one = routine(
  'tlb_remove_table_one',
  function* (kernel: GupKernel, cpu: Cpu, one: RemoveOne, table: number): Steps {
    if (one === 'call-rcu') {
      yield* kernel.call_rcu(kernel.tlb_remove_table_one_rcu, table);
      return;
    }
    if (one === 'sync-ipi') yield* kernel.tlb_remove_table_sync_one(cpu);
    if (one === 'sync-rcu') yield* kernel.synchronize_rcu(cpu);
    yield* kernel.freeTable(table);
  },
);

/** tlb_table_flush(): tlb_table_invalidate(), then the batch goes to RCU. */
function* tlb_table_flush(kernel: GupKernel, cpu: Cpu, tlb: Gather): Steps {
  if (tlb.batch === null) return;
  yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
  const tables = tlb.batch;
  tlb.batch = null;
  if (tlb.freeing.free === 'call-rcu') yield* kernel.call_rcu(kernel.tlb_remove_table_rcu, kernel.batchOf(tables));
  else for (const table of tables) yield* kernel.freeTable(table);
}

/** Nothing removed since the last flush: nothing to flush. */
function* tlb_flush_mmu_tlbonly(kernel: GupKernel, cpu: Cpu, tlb: Gather): Steps {
  if (!tlb.range) return;
  tlb.range = false;
  yield* kernel.flush.flush_tlb_mm_range(cpu);
}

/** tlb_flush_mmu(): the flush, then the tables go to RCU, then the pages go at once. */
export const tlb_flush_mmu = routine('tlb_flush_mmu', function* (kernel: GupKernel, cpu: Cpu, tlb: Gather): Steps {
  yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
  yield* tlb_table_flush(kernel, cpu, tlb);
  for (const frame of tlb.pages.splice(0)) {
    if (kernel.isTable(frame)) yield* kernel.freeTable(frame);
    else yield* kernel.frames.put(frame);
  }
});
