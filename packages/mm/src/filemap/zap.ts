/**
 * munmap() of a shared file page, as far as the dirty bit goes: who learns of it, and when the folio ceases to count as mapped.
 * Mirrors mm/memory.c, zap_pte_range(), and mm/mmu_gather.c, tlb_flush_rmaps(), v3.14 to v6.18.
 */
import { point, routine, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { pte_dirty } from '@shootdown/mmu';
import { pte_lock, pte_unlock } from '../kernel.ts';
import { tlb_finish_mmu, tlb_flush_mmu, tlb_flush_mmu_tlbonly, tlb_gather_mmu, type MmuGather } from '../mmu-gather.ts';
import { pte_offset } from '../pgtable.ts';
import type { FileFolio } from './kernel.ts';

/** How zap_pte_range() treats a dirty page of a file. */
export interface ZapDesign {
  /** force_flush: the TLB is flushed before the page-table lock is dropped (1cf35d47712d, v3.15). */
  readonly flushUnderPtl: boolean;
  /** tlb_delay_rmap(): the folio counts as mapped until the flush (5df397dec7c4, v6.2). */
  readonly delayedRmap: boolean;
  /** `not marked`: the entry's dirty bit is forgotten. `read, then clear`: hardware may set it in between. */
  readonly mutant?: 'not marked' | 'read, then clear';
}

/** Unmaps one page. */
export const zap_page_range = routine(
  'zap_page_range',
  function* (folio: FileFolio, cpu: Cpu, vpn: number, design: ZapDesign): Steps {
    const { kernel, mm } = folio;
    const tlb = yield* tlb_gather_mmu(mm);
    const ptep = yield* pte_offset(kernel, mm, vpn);
    const delayed_rmap = ptep !== null && (yield* zap_pte_range(folio, cpu, tlb, ptep, vpn, design));
    yield* point('tlb_finish_mmu', ptep === null ? -1 : ptep.address, delayed_rmap ? 1 : 0, tlb.end, tlb.pages.length);
    if (delayed_rmap) {
      yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
      yield* folio.folio_remove_rmap_pte();
    }
    yield* tlb_finish_mmu(kernel, cpu, tlb);
  },
);

/** True if the folio still counts as mapped although its entry is gone. */
const zap_pte_range = routine(
  'zap_pte_range',
  function* (
    folio: FileFolio,
    cpu: Cpu,
    tlb: MmuGather,
    ptep: EntryPointer,
    vpn: number,
    design: ZapDesign,
  ): Steps<boolean> {
    const { kernel } = folio;
    yield* pte_lock(kernel, ptep.frame);
    const dirty = pte_dirty(yield* ptep_get_and_clear_full(folio, ptep, design));
    tlb.removeEntry(vpn);
    if (dirty && design.mutant !== 'not marked') yield* folio.folio_mark_dirty();
    const force_flush = dirty && design.flushUnderPtl;
    let delay_rmap = dirty && design.delayedRmap;
    if (!delay_rmap) yield* folio.folio_remove_rmap_pte();
    tlb.removePage(folio.frame);
    if (force_flush) {
      yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
      if (delay_rmap) yield* folio.folio_remove_rmap_pte();
      delay_rmap = false;
    }
    yield* pte_unlock(kernel, ptep.frame);
    if (force_flush) yield* tlb_flush_mmu(kernel, cpu, tlb);
    return delay_rmap;
  },
);

function* ptep_get_and_clear_full(
  { kernel: { frames } }: FileFolio,
  ptep: EntryPointer,
  { mutant }: ZapDesign,
): Steps<number> {
  if (mutant !== 'read, then clear') return yield* frames.xchg(ptep, 0, { label: 'ptep_get_and_clear_full()' });
  const entry = yield* frames.read(ptep, { label: 'ptep_get()' });
  yield* frames.write(ptep, 0, { label: 'pte_clear()' });
  return entry;
}
