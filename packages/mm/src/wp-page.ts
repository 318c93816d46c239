/**
 * Copy-on-write, and whom it tells. Mirrors mm/memory.c: do_wp_page(), wp_page_reuse(), wp_page_copy(), v6.18; what it
 * told secondary MMUs before, era by era, is in `secondary/notify.ts`.
 */
import { FrameKind, NO_FRAME, routine, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import {
  _PAGE_ACCESSED,
  _PAGE_CONT,
  _PAGE_DIRTY,
  _PAGE_PRESENT,
  _PAGE_RW,
  _PAGE_USER,
  mk_pte,
  pte_pfn,
} from '@shootdown/mmu';
import { folio_add_new_anon_rmap, folio_remove_rmap_pte, mayReuse } from './anon-rmap.ts';
import { unfold } from './arch/arm64-contpte.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import { copy_user_highpage } from './contents.ts';
import {
  allowWrites,
  entryCleared,
  holdsNewPage,
  invalidate_page_if_missing_change_pte,
  set_pte_at_notify,
  setPteRangeEnd,
  setPteRangeStart,
} from './notify.ts';

/** What a fault came to. `retry`: the access will succeed, or fault again for another reason. */
export type FaultResult = 'retry' | 'sigsegv' | 'oom';

const YOUNG = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED;

/** vm_get_page_prot() for an entry that is being written: dirty and writable, or young and read-only. */
export function protection(write: boolean): number {
  return write ? YOUNG | _PAGE_RW | _PAGE_DIRTY : YOUNG;
}

/** A write to a read-only entry of a writable area: take the page over if nobody else has it, otherwise copy it. */
export const do_wp_page = routine(
  'do_wp_page',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, seen: number): Steps<FaultResult> {
    const { frames } = kernel;
    const old = pte_pfn(seen);
    yield* pte_lock(kernel, ptep.frame);
    const entry = yield* frames.read(ptep, { label: 'ptep_get()' });
    if (entry !== seen) {
      yield* pte_unlock(kernel, ptep.frame);
      return 'retry';
    }
    if (yield* mayReuse(kernel, old)) {
      yield* unfold(kernel, cpu, mm, vpn, ptep);
      // wp_page_reuse(): more permissive than before, so stale translations of CPUs only cost a spurious fault.
      yield* frames.xchg(ptep, (entry & ~_PAGE_CONT) | _PAGE_RW | _PAGE_DIRTY | _PAGE_ACCESSED, {
        label: 'ptep_set_access_flags(): writable',
      });
      if (kernel.arch.flushesUpgrades) yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
      yield* pte_unlock(kernel, ptep.frame);
      return 'retry';
    }
    yield* frames.ref(old, 1, { label: 'folio_get(old)' });
    yield* pte_unlock(kernel, ptep.frame);
    return yield* wp_page_copy(kernel, cpu, mm, vpn, ptep, seen);
  },
);

/** Copies the page and switches the entry to the copy: clear, flush, set, so that no CPU ever uses both at once. */
const wp_page_copy = routine(
  'wp_page_copy',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, seen: number): Steps<FaultResult> {
    const { frames } = kernel;
    const old = pte_pfn(seen);
    const copy = yield* frames.alloc(FrameKind.page);
    if (copy === NO_FRAME) {
      yield* frames.put(old);
      return 'oom';
    }
    yield* copy_user_highpage(kernel, copy, old);
    yield* setPteRangeStart(kernel, mm, vpn, 'wp_page_copy');
    yield* pte_lock(kernel, ptep.frame);
    const same = (yield* frames.read(ptep, { label: 'ptep_get()' })) === seen;
    const entry = mk_pte(copy, protection(true));
    const held = same && holdsNewPage(kernel, mm);
    if (held) yield* frames.ref(copy, 1, { label: 'folio_get(new)' });
    if (same) {
      yield* unfold(kernel, cpu, mm, vpn, ptep);
      yield* frames.xchg(ptep, 0, { label: 'ptep_clear()' });
      yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
      yield* entryCleared(kernel, mm, vpn);
      yield* folio_add_new_anon_rmap(kernel, copy);
      yield* set_pte_at_notify(kernel, mm, vpn, ptep, entry, `set_pte_at(page 0x${copy.toString(16)})`);
    }
    if (same) yield* folio_remove_rmap_pte(kernel, old);
    yield* pte_unlock(kernel, ptep.frame);
    if (same) {
      yield* invalidate_page_if_missing_change_pte(kernel, mm, vpn);
      yield* allowWrites(kernel, cpu, mm, vpn, ptep, entry);
    }
    if (held) yield* frames.put(copy, { label: 'folio_put(new)' });
    yield* setPteRangeEnd(kernel, mm, vpn, 'wp_page_copy');
    // The loser of the race gives its copy back; otherwise the mapping's reference to the old page goes.
    yield* frames.put(same ? old : copy);
    yield* frames.put(old);
    return 'retry';
  },
);
