/**
 * zap_pte_range(), in every version: clears the entries of one table, and gathers what they mapped.
 *
 * Mirrors mm/memory.c, v3.14 to v6.18. The versions differ in when a dirty page of a file is flushed, and in when its
 * folio ceases to count as mapped. A kernel without a {@link Kernel.folio} has anonymous pages only, of which nobody
 * writes anything back.
 */
import { routine, type EntryPointer, type Routine, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { pte_dirty, pte_pfn, pte_present } from '@shootdown/mmu';
import { flush_tlb_batched_pending } from './tlb-batched.ts';
import type { FileFolio } from './file-folio.ts';
import { pte_lock, pte_unlock, type Kernel } from './kernel.ts';
import { folio_pte_batch, get_and_clear_full_ptes } from './arch/arm64-contpte.ts';
import { lazy_mmu_mode_disable, lazy_mmu_mode_enable, pte_unmap_unlock, ptep_get } from './lazy-ptes.ts';
import { is_migration_entry } from './lazy/swap-entries.ts';
import * as mode from './lazy/mode.ts';
import { ptep_get_and_clear } from './lazy/pte.ts';
import type { SectionRoutine } from './lazy/sections.ts';
import { tlb_flush_mmu, tlb_flush_mmu_tlbonly, type MmuGather } from './mmu-gather.ts';

/** Clears pages [from, to), whose entries begin at `first`, in one table. */
export type ZapPteRange = Routine<
  [kernel: Kernel, cpu: Cpu, tlb: MmuGather, first: EntryPointer, from: number, to: number],
  void
>;

/** v6.2 and later (5df397dec7c4): the folio counts as mapped until the flush. */
export const zap_pte_range: ZapPteRange = routine(
  'zap_pte_range',
  function* (kernel, cpu, tlb, first, from, to): Steps {
    const { frames } = kernel;
    for (let vpn = from; vpn < to;) {
      let force_flush = false;
      let force_break = false;
      const delayed: FileFolio[] = [];
      yield* pte_lock(kernel, first.frame);
      if (kernel.batched) yield* flush_tlb_batched_pending(kernel, cpu, tlb.mm);
      yield* lazy_mmu_mode_enable(kernel, cpu);
      for (let nr = 1; vpn < to && !force_break; vpn += nr) {
        nr = 1;
        const ptep = frames.entry(first.frame, first.index + (vpn - from));
        const ptent = yield* ptep_get(kernel, cpu, ptep, { label: 'ptep_get()' });
        if (!pte_present(ptent)) {
          if (kernel.numa) yield* zap_nonpresent_pte(kernel, ptep, ptent);
          continue;
        }
        nr = yield* folio_pte_batch(kernel, cpu, ptep, ptent, to - vpn);
        const entry = yield* get_and_clear_full_ptes(kernel, cpu, tlb.mm, vpn, ptep, nr);
        const folio = vm_normal_folio(kernel, entry);
        const delay_rmap = folio !== undefined && pte_dirty(entry);
        if (delay_rmap) {
          yield* folio.folio_mark_dirty();
          delayed.push(folio);
          force_flush = true;
        }
        for (let i = 0; i < nr; i++) tlb.removeEntry(vpn + i);
        if (folio && !delay_rmap) yield* folio.folio_remove_rmap_pte();
        for (let i = 0; i < nr; i++) if (tlb.removePage(pte_pfn(entry) + i)) force_flush = force_break = true;
      }
      yield* lazy_mmu_mode_disable(kernel, cpu);
      if (force_flush) {
        yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
        for (const folio of delayed) yield* folio.folio_remove_rmap_pte();
      }
      yield* pte_unmap_unlock(kernel, cpu, first.frame);
      if (force_flush) yield* tlb_flush_mmu(kernel, cpu, tlb);
    }
  },
);

/** zap_nonpresent_ptes(): whoever moves a page finds that nobody wants it any more. */
function* zap_nonpresent_pte({ frames, numa }: Kernel, ptep: EntryPointer, ptent: number): Steps {
  if (is_migration_entry(ptent) && numa?.mutant !== 'migration entries stay')
    yield* frames.write(ptep, 0, { label: 'clear_not_present_full_ptes()' });
}

/** v3.15 (1cf35d47712d): flushed under the page-table lock, but the folio no longer counts as mapped by then. */
export const zap_pte_range_v3_15: ZapPteRange = routine(
  'zap_pte_range',
  function* (kernel, cpu, tlb, first, from, to): Steps {
    const { frames } = kernel;
    for (let vpn = from; vpn < to;) {
      let force_flush = false;
      let force_break = false;
      yield* pte_lock(kernel, first.frame);
      for (; vpn < to && !force_break; vpn++) {
        const ptep = frames.entry(first.frame, first.index + (vpn - from));
        if (!pte_present(yield* frames.read(ptep, { label: 'ptep_get()' }))) continue;
        const entry = yield* frames.xchg(ptep, 0, { label: 'ptep_get_and_clear_full()' });
        const folio = vm_normal_folio(kernel, entry);
        tlb.removeEntry(vpn);
        if (folio && pte_dirty(entry)) {
          force_flush = true;
          yield* folio.folio_mark_dirty();
        }
        if (folio) yield* folio.folio_remove_rmap_pte();
        if (tlb.removePage(pte_pfn(entry))) force_flush = force_break = true;
      }
      if (force_flush) yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
      yield* pte_unlock(kernel, first.frame);
      if (force_flush) yield* tlb_flush_mmu(kernel, cpu, tlb);
    }
  },
);

/** v3.14 and before: the flush comes when the page-table lock has been dropped. */
export const zap_pte_range_v3_14: ZapPteRange = routine(
  'zap_pte_range',
  function* (kernel, cpu, tlb, first, from, to): Steps {
    const { frames } = kernel;
    for (let vpn = from; vpn < to;) {
      let force_flush = false;
      yield* pte_lock(kernel, first.frame);
      for (; vpn < to && !force_flush; vpn++) {
        const ptep = frames.entry(first.frame, first.index + (vpn - from));
        if (!pte_present(yield* frames.read(ptep, { label: 'ptep_get()' }))) continue;
        const entry = yield* frames.xchg(ptep, 0, { label: 'ptep_get_and_clear_full()' });
        const folio = vm_normal_folio(kernel, entry);
        tlb.removeEntry(vpn);
        if (folio && pte_dirty(entry)) yield* folio.folio_mark_dirty();
        if (folio) yield* folio.folio_remove_rmap_pte();
        force_flush = tlb.removePage(pte_pfn(entry));
      }
      yield* pte_unlock(kernel, first.frame);
      if (force_flush) yield* tlb_flush_mmu(kernel, cpu, tlb);
    }
  },
);

/** Mutant of v6.2: the folio counts as mapped until the flush, but the flush comes when the lock has been dropped. */
export const zap_pte_range_flush_after_ptl: ZapPteRange = routine(
  'zap_pte_range',
  function* (kernel, cpu, tlb, first, from, to): Steps {
    const { frames } = kernel;
    for (let vpn = from; vpn < to;) {
      let force_flush = false;
      let force_break = false;
      const delayed: FileFolio[] = [];
      yield* pte_lock(kernel, first.frame);
      for (; vpn < to && !force_break; vpn++) {
        const ptep = frames.entry(first.frame, first.index + (vpn - from));
        if (!pte_present(yield* frames.read(ptep, { label: 'ptep_get()' }))) continue;
        const entry = yield* frames.xchg(ptep, 0, { label: 'ptep_get_and_clear_full()' });
        const folio = vm_normal_folio(kernel, entry);
        const delay_rmap = folio !== undefined && pte_dirty(entry);
        if (delay_rmap) {
          yield* folio.folio_mark_dirty();
          delayed.push(folio);
          force_flush = true;
        }
        tlb.removeEntry(vpn);
        if (folio && !delay_rmap) yield* folio.folio_remove_rmap_pte();
        if (tlb.removePage(pte_pfn(entry))) force_flush = force_break = true;
      }
      yield* pte_unlock(kernel, first.frame);
      if (force_flush) {
        yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
        for (const folio of delayed) yield* folio.folio_remove_rmap_pte();
        yield* tlb_flush_mmu(kernel, cpu, tlb);
      }
    }
  },
);

/** Mutant of v6.2: the dirty bit of the entry is forgotten. */
export const zap_pte_range_not_marked: ZapPteRange = routine(
  'zap_pte_range',
  function* (kernel, cpu, tlb, first, from, to): Steps {
    const { frames } = kernel;
    for (let vpn = from; vpn < to;) {
      let force_flush = false;
      let force_break = false;
      const delayed: FileFolio[] = [];
      yield* pte_lock(kernel, first.frame);
      for (; vpn < to && !force_break; vpn++) {
        const ptep = frames.entry(first.frame, first.index + (vpn - from));
        if (!pte_present(yield* frames.read(ptep, { label: 'ptep_get()' }))) continue;
        const entry = yield* frames.xchg(ptep, 0, { label: 'ptep_get_and_clear_full()' });
        const folio = vm_normal_folio(kernel, entry);
        const delay_rmap = folio !== undefined && pte_dirty(entry);
        if (delay_rmap) {
          delayed.push(folio);
          force_flush = true;
        }
        tlb.removeEntry(vpn);
        if (folio && !delay_rmap) yield* folio.folio_remove_rmap_pte();
        if (tlb.removePage(pte_pfn(entry))) force_flush = force_break = true;
      }
      if (force_flush) {
        yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
        for (const folio of delayed) yield* folio.folio_remove_rmap_pte();
      }
      yield* pte_unlock(kernel, first.frame);
      if (force_flush) yield* tlb_flush_mmu(kernel, cpu, tlb);
    }
  },
);

/** Mutant of v6.2: the entry is read and then cleared, so that hardware may set its dirty bit in between. */
export const zap_pte_range_read_then_clear: ZapPteRange = routine(
  'zap_pte_range',
  function* (kernel, cpu, tlb, first, from, to): Steps {
    const { frames } = kernel;
    for (let vpn = from; vpn < to;) {
      let force_flush = false;
      let force_break = false;
      const delayed: FileFolio[] = [];
      yield* pte_lock(kernel, first.frame);
      for (; vpn < to && !force_break; vpn++) {
        const ptep = frames.entry(first.frame, first.index + (vpn - from));
        const entry = yield* frames.read(ptep, { label: 'ptep_get()' });
        if (!pte_present(entry)) continue;
        yield* frames.write(ptep, 0, { label: 'pte_clear()' });
        const folio = vm_normal_folio(kernel, entry);
        const delay_rmap = folio !== undefined && pte_dirty(entry);
        if (delay_rmap) {
          yield* folio.folio_mark_dirty();
          delayed.push(folio);
          force_flush = true;
        }
        tlb.removeEntry(vpn);
        if (folio && !delay_rmap) yield* folio.folio_remove_rmap_pte();
        if (tlb.removePage(pte_pfn(entry))) force_flush = force_break = true;
      }
      if (force_flush) {
        yield* tlb_flush_mmu_tlbonly(kernel, cpu, tlb);
        for (const folio of delayed) yield* folio.folio_remove_rmap_pte();
      }
      yield* pte_unlock(kernel, first.frame);
      if (force_flush) yield* tlb_flush_mmu(kernel, cpu, tlb);
    }
  },
);

/** vm_normal_folio(): the folio of a file behind an entry, if this kernel has one. */
function vm_normal_folio({ folio }: Kernel, entry: number): FileFolio | undefined {
  return folio?.frame === pte_pfn(entry) ? folio : undefined;
}

/** One page as a section, without the page-table lock: only lazy MMU mode could keep the task on its CPU. */
export const zap_pte_range_without_ptl: SectionRoutine = routine(
  'zap_pte_range',
  function* ({ lazy, current, ptes }): Steps {
    const [ptep] = ptes as [EntryPointer];
    yield* mode.lazy_mmu_mode_enable(lazy, current);
    yield* ptep_get_and_clear(lazy, current, ptep, { label: 'ptep_get_and_clear_full()' });
    yield* mode.lazy_mmu_mode_disable(lazy, current);
    yield* mode.returns(lazy, current);
  },
);
