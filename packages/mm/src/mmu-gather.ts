/**
 * mmu_gather: collects what an unmap removed, flushes once, and only then frees.
 * Mirrors mm/mmu_gather.c and include/asm-generic/tlb.h, v6.18. Ranges are virtual page numbers.
 */
import { atomicAdd, load, Local, local, routine, type Frames, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { Rcu } from '@shootdown/sync';
import type { Kernel, Mm } from './kernel.ts';
import { gatherFlushed } from './secondary/notify.ts';

/** Pages a gather holds before it must flush: the bundle on the stack and 19 batches (10000 pages, rounded down). */
export const GATHER_PAGES_MAX = 8 + 19 * 510;

/** struct mmu_gather: the caller's own, so no shared state, and a part of its local state. */
export class MmuGather extends Local {
  readonly mm: Mm;
  /** Range that must be flushed; empty when start is beyond end. */
  start = Number.POSITIVE_INFINITY;
  end = 0;
  freed_tables = false;
  /** The whole address space goes: whatever was removed, everything is flushed. */
  readonly fullmm: boolean;
  /** Page frames and table frames to put after the flush. */
  pages: number[] = [];
  tables: number[] = [];

  constructor(mm: Mm, fullmm = false) {
    super();
    this.mm = mm;
    this.fullmm = fullmm;
  }

  override get words(): readonly number[] {
    return [this.start, this.end, Number(this.freed_tables), this.pages.length, ...this.pages, ...this.tables];
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

  /** pte_free_tlb(): a table that spans from `vpn` was unlinked. The flush range grows to its first page. */
  freeTable(vpn: number, frame: number): void {
    this.removeEntry(vpn);
    this.freed_tables = true;
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

/** tlb_flush_mmu(): flushes what was gathered, then frees the tables, or hands them to RCU, and puts the pages. */
export const tlb_flush_mmu = routine('tlb_flush_mmu', function* (kernel: Kernel, cpu: Cpu, tlb: MmuGather): Steps {
  yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
  const [tables, pages] = [tlb.tables.splice(0), tlb.pages.splice(0)];
  if (kernel.tlb_remove_table_free) yield* kernel.tlb_remove_table_free(tables);
  else for (const frame of tables) yield* kernel.frames.free(frame, { label: 'tlb_remove_table()' });
  for (const frame of pages) yield* kernel.frames.put(frame);
});

/** tlb_flush_mmu_tlbonly(): nothing removed since the last flush: nothing flushed. */
export function* tlb_flush_mmu_tlbonly(kernel: Kernel, cpu: Cpu, tlb: MmuGather): Steps {
  const [start, end] = tlb.fullmm ? [0, Number.MAX_SAFE_INTEGER] : [tlb.start, tlb.end];
  if (tlb.end > 0) {
    yield* kernel.arch.flush_tlb_mm_range(cpu, tlb.mm, start, end, tlb.freed_tables);
    yield* gatherFlushed(kernel, tlb.mm, start, end);
  }
  tlb.resetRange();
}

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

/** MMU_GATHER_RCU_TABLE_FREE, for {@link Kernel.tlb_remove_table_free}: a callback per table, as if every batch held one. */
export function rcuTableFree(rcu: Rcu, frames: Frames): (tables: readonly number[]) => Steps {
  const tlb_remove_table_rcu = rcu.register('tlb_remove_table_rcu', (table) =>
    frames.free(table, { label: `__tlb_remove_table(0x${table.toString(16)})` }),
  );
  return function* (tables) {
    for (const table of tables) yield* rcu.call_rcu(tlb_remove_table_rcu, table);
  };
}
