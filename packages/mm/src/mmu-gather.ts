/**
 * mmu_gather: collects what an unmap removed, flushes once, and only then frees; and what becomes of unlinked tables,
 * in every era. Mirrors mm/mmu_gather.c and include/asm-generic/tlb.h, v5.16 to v7.1. Ranges are virtual page numbers.
 */
import {
  atomicAdd,
  choose,
  load,
  Local,
  local,
  ModelError,
  routine,
  type Frames,
  type Steps,
  noted,
  is,
  wordsOf,
  type OptionValues,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { Rcu } from '@shootdown/sync';
import type { Kernel, Mm } from './kernel.ts';
import { __tlb_remove_table, type LocklessWalkers } from './lockless-walkers.ts';
import { gatherFlushed } from './notify.ts';

/** Pages a gather holds before it must flush: the bundle on the stack and 19 batches (10000 pages, rounded down). */
export const GATHER_PAGES_MAX = 8 + 19 * 510;

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
   * Tables that fit into a batch (MAX_TABLE_BATCH); `with pages`: without MMU_GATHER_RCU_TABLE_FREE there are no table
   * batches, a table joins the data pages and is freed with them.
   */
  readonly batch: number | 'with pages';
  /** Whether GFP_NOWAIT finds a page for a batch; with `may fail` both outcomes are explored each time. */
  readonly allocation: 'succeeds' | 'fails' | 'may fail';
  readonly one: RemoveOne;
  /**
   * tlb_remove_table_free(); `at once` is MMU_GATHER_TABLE_FREE without RCU, on an architecture that has lockless
   * walkers.
   */
  readonly free: 'call-rcu' | 'at once';
}

const ALLOCATIONS = wordsOf<TableFreeing['allocation']>()('succeeds', 'fails', 'may fail');

/** What may be said of it. */
export const TABLE_FREEING_VALUES: OptionValues<TableFreeing> = {
  batch: (where, batch) =>
    typeof batch === 'string' ? is.oneOf(['with pages'])(where, batch) : is.whole()(where, batch),
  allocation: is.oneOf(ALLOCATIONS),
  one: is.oneOf(wordsOf<RemoveOne>()('sync-ipi', 'sync-rcu', 'call-rcu', 'at once')),
  free: is.oneOf(wordsOf<TableFreeing['free']>()('call-rcu', 'at once')),
};

/** For machines on which no batch fills up. Without RCU, tables are freed with the flush. */
const ONE_BATCH: TableFreeing = {
  batch: Number.POSITIVE_INFINITY,
  allocation: 'succeeds',
  one: 'at once',
  free: 'call-rcu',
};

/** struct mmu_gather: the caller's own, so no shared state, and a part of its local state. */
export class MmuGather extends Local {
  readonly mm: Mm;
  /** Range that must be flushed; empty when start is beyond end. */
  start = Number.POSITIVE_INFINITY;
  end = 0;
  freed_tables = false;
  /** The whole address space goes: whatever was removed, everything is flushed. */
  readonly fullmm: boolean;
  /** Left out: as the kernel has it. */
  readonly freeing: TableFreeing | undefined;
  /** Frames of pages, and of tables without batches, in the order in which they are put after the flush. */
  pages: number[] = [];
  /** First frames of huge pages. */
  hugePages: number[] = [];
  /** The table batch; empty as long as there is no page for one. */
  tables: number[] = [];

  constructor(mm: Mm, fullmm = false, freeing?: TableFreeing) {
    super();
    this.mm = mm;
    this.fullmm = fullmm;
    this.freeing = freeing;
  }

  override get words(): readonly number[] {
    return [
      this.start,
      this.end,
      Number(this.freed_tables),
      this.pages.length,
      ...this.pages,
      ...this.tables,
      ...this.hugePages,
    ];
  }

  /** tlb_remove_tlb_entry(): a translation of this page was removed. */
  removeEntry(vpn: number): void {
    this.start = Math.min(this.start, vpn);
    this.end = Math.max(this.end, vpn + 1);
  }

  /** __tlb_remove_page(): true when the batch is full and the caller must flush. */
  removePage(frame: number): boolean {
    this.pages.push(frame);
    return this.pages.length >= GATHER_PAGES_MAX;
  }

  /** tlb_remove_page_size(). */
  removeHugePage(first: number): void {
    this.hugePages.push(first);
  }

  /** pte_free_tlb(): a table that spans from `vpn` was unlinked. The flush range grows to its first page. */
  unlinkTable(vpn: number): void {
    this.removeEntry(vpn);
    this.freed_tables = true;
  }

  /** pte_free_tlb() into a batch that has room. */
  freeTable(vpn: number, frame: number): void {
    this.unlinkTable(vpn);
    this.tables.push(frame);
  }

  /** __tlb_reset_range(). */
  resetRange(): void {
    this.start = Number.POSITIVE_INFINITY;
    this.end = 0;
    this.freed_tables = false;
  }
}

/** tlb_gather_mmu(); with `fullmm` tlb_gather_mmu_fullmm(). */
export const tlb_gather_mmu = routine('tlb_gather_mmu', function* (mm: Mm, fullmm?: boolean): Steps<MmuGather> {
  yield* atomicAdd(mm.tlb_flush_pending.at(0), 1, { label: 'inc_tlb_flush_pending(mm)' });
  return yield* local(new MmuGather(mm, fullmm));
});

/** A table among the pages of a batch, and back: which frames are tables may change, so its number does not tell. */
function markedTable(table: number): number {
  return -1 - table;
}

/** tlb_remove_table(): a table that has just been unlinked, and that spans from `vpn`. */
export const tlb_remove_table = routine(
  'tlb_remove_table',
  function* (kernel: Kernel, cpu: Cpu | undefined, tlb: MmuGather, vpn: number, table: number): Steps {
    const freeing = freeingOf(kernel, tlb);
    tlb.unlinkTable(vpn);
    if (freeing.batch === 'with pages') {
      tlb.pages.push(markedTable(table));
      return;
    }
    if (tlb.tables.length === 0 && !(yield* batchPage(freeing))) {
      yield* tlb_flush_mmu_tlbonly(kernel, running(cpu), tlb);
      yield* tlb_remove_table_one(kernel, running(cpu), freeing.one, table);
      return;
    }
    tlb.tables.push(table);
    if (tlb.tables.length === freeing.batch) yield* tlb_table_flush(kernel, running(cpu), tlb);
  },
);

function freeingOf({ tableFreeing }: Kernel, { freeing }: MmuGather): TableFreeing {
  return freeing ?? tableFreeing ?? ONE_BATCH;
}

function running(cpu: Cpu | undefined): Cpu {
  if (!cpu) throw new ModelError('mm: tlb_remove_table: a batch is full or missing: say which CPU runs this (cpu)');
  return cpu;
}

/** __get_free_page(GFP_NOWAIT): true if there was one. */
function* batchPage({ allocation }: TableFreeing): Steps<boolean> {
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
  function* (kernel: Kernel, cpu: Cpu, one: RemoveOne, table: number): Steps {
    if (one !== 'at once') {
      const walkers = walkersOf(kernel);
      if (one === 'call-rcu') {
        yield* walkers.call_rcu(walkers.tlb_remove_table_one_rcu, table);
        return;
      }
      if (one === 'sync-ipi') yield* walkers.tlb_remove_table_sync_one(cpu);
      if (one === 'sync-rcu') yield* walkers.synchronize_rcu(cpu);
    }
    yield* __tlb_remove_table(kernel.frames, table);
  },
);

function walkersOf({ walkers }: Kernel): LocklessWalkers {
  if (!walkers)
    throw new ModelError('mm: tlb_remove_table_one: this kernel knows no lockless walkers: give it walkers');
  return walkers;
}

/** tlb_table_flush(): tlb_table_invalidate(), then the batch goes to RCU, or at once. */
function* tlb_table_flush(kernel: Kernel, cpu: Cpu, tlb: MmuGather): Steps {
  if (tlb.tables.length === 0) return;
  yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
  const tables = tlb.tables.splice(0);
  const { tlb_remove_table_free, walkers } = kernel;
  if (freeingOf(kernel, tlb).free === 'call-rcu' && walkers) yield* walkers.tlb_remove_table_free(tables);
  else if (tlb_remove_table_free) yield* tlb_remove_table_free(tables);
  else for (const table of tables) yield* __tlb_remove_table(kernel.frames, table);
}

/** tlb_flush_mmu(): flushes what was gathered; then the tables are freed, or go to RCU; then the pages are put. */
export const tlb_flush_mmu = routine('tlb_flush_mmu', function* (kernel: Kernel, cpu: Cpu, tlb: MmuGather): Steps {
  const { frames } = kernel;
  yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
  yield* tlb_table_flush(kernel, cpu, tlb);
  for (const entry of tlb.pages.splice(0)) {
    if (entry < 0) yield* __tlb_remove_table(frames, markedTable(entry));
    else yield* frames.put(entry);
  }
  for (const first of tlb.hugePages.splice(0)) yield* frames.freePages(first, frames.entriesPerTable);
});

/** tlb_flush_mmu_tlbonly(): nothing removed since the last flush: nothing flushed. */
export const tlb_flush_mmu_tlbonly = noted(function* tlb_flush_mmu_tlbonly(
  kernel: Kernel,
  cpu: Cpu,
  tlb: MmuGather,
): Steps {
  const [start, end] = tlb.fullmm ? [0, Number.MAX_SAFE_INTEGER] : [tlb.start, tlb.end];
  const { freed_tables } = tlb;
  if (tlb.end === 0) return;
  tlb.resetRange();
  yield* kernel.arch.flush_tlb_mm_range(cpu, tlb.mm, start, end, freed_tables);
  yield* gatherFlushed(kernel, tlb.mm, start, end);
});

/** tlb_finish_mmu(): with other gathers open on the mm, what they removed must be flushed too, so everything is. */
export const tlb_finish_mmu = routine('tlb_finish_mmu', function* (kernel: Kernel, cpu: Cpu, tlb: MmuGather): Steps {
  const nested = (yield* load(tlb.mm.tlb_flush_pending.at(0), { label: 'mm_tlb_flush_nested(mm)' })) > 1;
  if (nested && kernel.ignoresNestedGathers !== true) {
    tlb.start = 0;
    tlb.end = Number.MAX_SAFE_INTEGER;
    tlb.freed_tables = true;
  }
  yield* tlb_flush_mmu(kernel, cpu, tlb);
  yield* atomicAdd(tlb.mm.tlb_flush_pending.at(0), -1, { label: 'dec_tlb_flush_pending(mm)' });
});

/**
 * MMU_GATHER_RCU_TABLE_FREE, for {@link Kernel.tlb_remove_table_free}: a callback per table, as if every batch held
 * one.
 */
export function rcuTableFree(rcu: Rcu, frames: Frames): (tables: readonly number[]) => Steps {
  const tlb_remove_table_rcu = rcu.register('tlb_remove_table_rcu', (table) => __tlb_remove_table(frames, table));
  return function* (tables) {
    for (const table of tables) yield* rcu.call_rcu(tlb_remove_table_rcu, table);
  };
}
