/**
 * KSM: replaces a page by an equal one that is shared read-only. Mirrors mm/ksm.c, v6.18: write_protect_page(),
 * replace_page(), try_to_merge_one_page(); with set_pte_at_notify() as it was until v6.9.
 */
import { routine, type EntryPointer, type Steps, checkWord, wordsOf } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_DIRTY, _PAGE_RW, mk_pte, pte_dirty, pte_pfn, pte_present, pte_write } from '@shootdown/mmu';
import { folio_expected_ref_count, folio_is_unpinned } from '../folio.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm } from '../kernel.ts';
import { pte_offset } from '../pgtable.ts';
import { protection } from '../wp-page.ts';
import { pages_identical } from '../contents.ts';
import { mm_tlb_flush_pending } from '../tlb-batched.ts';
import {
  invalidate_page_if_missing_change_pte,
  set_pte_at_notify,
  setPteRangeEnd,
  setPteRangeStart,
} from '../notify.ts';

/** What can be left out of it (mutants). */
export type KsmMutant =
  /** write_protect_page() tells nobody. */
  | 'write protection in silence'
  /** replace_page() tells nobody. */
  | 'replacement in silence'
  /** References are counted while the entry is still there. */
  | 'counts before the clear'
  /** References are not counted. */
  | 'does not count';

const KSM_MUTANTS = wordsOf<KsmMutant>()(
  'write protection in silence',
  'replacement in silence',
  'counts before the clear',
  'does not count',
);

/** References of a page that nobody has pinned: page_mapcount() + 1 for ksmd's own. */
const EXPECTED_REFERENCES = 2;

/** ksmd merges the page at `vpn` with `kpage`, a page of its stable tree; true if it did. */
export const try_to_merge_one_page = routine(
  'try_to_merge_one_page',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, kpage: number, mutant?: KsmMutant): Steps<boolean> {
    if (mutant !== undefined) checkWord('mm: try_to_merge_one_page: mutant', mutant, KSM_MUTANTS);
    const { frames } = kernel;
    const ptep = yield* pte_offset(kernel, mm, vpn);
    if (!ptep) return false;
    yield* pte_lock(kernel, ptep.frame);
    const entry = yield* frames.read(ptep, { label: 'ptep_get()' });
    if (pte_present(entry))
      yield* frames.ref(pte_pfn(entry), 1, { label: `follow_page(0x${pte_pfn(entry).toString(16)})` });
    yield* pte_unlock(kernel, ptep.frame);
    if (!pte_present(entry)) return false;
    const orig_pte = yield* write_protect_page(
      tellingUnless(kernel, mutant === 'write protection in silence'),
      cpu,
      mm,
      vpn,
      ptep,
      pte_pfn(entry),
      mutant,
    );
    const equal = orig_pte !== null && (yield* pages_identical(kernel, pte_pfn(entry), kpage));
    const merged =
      equal &&
      (yield* replace_page(
        tellingUnless(kernel, mutant === 'replacement in silence'),
        cpu,
        mm,
        vpn,
        ptep,
        orig_pte,
        kpage,
      ));
    yield* frames.put(pte_pfn(entry));
    return merged;
  },
);

/** The kernel without anybody to tell. */
function tellingUnless(kernel: Kernel, silent: boolean): Kernel {
  const { secondary: _, ...rest } = kernel;
  return silent ? rest : kernel;
}

/**
 * Makes the page read-only everywhere; the entry that it has then, or null if somebody has pinned the page. GUP-fast
 * takes no lock, so each of the two looks at what the other has done: this clears the entry, then counts references;
 * GUP-fast takes its reference, then looks at the entry again.
 */
const write_protect_page = routine(
  'write_protect_page',
  function* (
    kernel: Kernel,
    cpu: Cpu,
    mm: Mm,
    vpn: number,
    ptep: EntryPointer,
    page: number,
    mutant?: KsmMutant,
  ): Steps<number | null> {
    const { frames } = kernel;
    let orig_pte: number | null = null;
    yield* setPteRangeStart(kernel, mm, vpn, 'write_protect_page');
    yield* pte_lock(kernel, ptep.frame);
    const seen = yield* frames.read(ptep, { label: 'ptep_get()' });
    const mapped = pte_present(seen) && pte_pfn(seen) === page;
    const changes = mapped && (pte_write(seen) || pte_dirty(seen) || (yield* mm_tlb_flush_pending(mm)));
    if (mapped && !changes) orig_pte = seen;
    const early = changes && mutant === 'counts before the clear';
    const goesOn = changes && (!early || (yield* folio_expected_ref_count(kernel, page, EXPECTED_REFERENCES)));
    if (goesOn) {
      // Hardware may have set the dirty bit since.
      const entry = yield* frames.xchg(ptep, 0, { label: 'ptep_clear_flush()' });
      yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
      if (early || (yield* folio_is_unpinned(kernel, page, EXPECTED_REFERENCES, mutant !== 'does not count'))) {
        orig_pte = entry & ~(_PAGE_RW | _PAGE_DIRTY);
        yield* set_pte_at_notify(kernel, mm, vpn, ptep, orig_pte, 'set_pte_at(read-only)');
      } else yield* frames.write(ptep, entry, { label: 'set_pte_at(as it was)' });
    }
    yield* pte_unlock(kernel, ptep.frame);
    if (goesOn && orig_pte !== null) yield* invalidate_page_if_missing_change_pte(kernel, mm, vpn);
    yield* setPteRangeEnd(kernel, mm, vpn, 'write_protect_page');
    return orig_pte;
  },
);

/** Maps `kpage` instead of the page. No secondary TLB need be told under the lock: both are read-only, and equal. */
const replace_page = routine(
  'replace_page',
  function* (
    kernel: Kernel,
    cpu: Cpu,
    mm: Mm,
    vpn: number,
    ptep: EntryPointer,
    orig_pte: number,
    kpage: number,
  ): Steps<boolean> {
    const { frames } = kernel;
    yield* setPteRangeStart(kernel, mm, vpn, 'replace_page');
    yield* pte_lock(kernel, ptep.frame);
    const same = (yield* frames.read(ptep, { label: 'ptep_get()' })) === orig_pte;
    if (same) {
      yield* frames.ref(kpage, 1, { label: `get_page(0x${kpage.toString(16)})` });
      yield* frames.xchg(ptep, 0, { label: 'ptep_clear_flush()' });
      yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
      yield* set_pte_at_notify(
        kernel,
        mm,
        vpn,
        ptep,
        mk_pte(kpage, protection(false)),
        `set_pte_at(page 0x${kpage.toString(16)}, read-only)`,
      );
      yield* frames.put(pte_pfn(orig_pte), { label: 'folio_remove_rmap_pte(page)' });
    }
    yield* pte_unlock(kernel, ptep.frame);
    if (same) yield* invalidate_page_if_missing_change_pte(kernel, mm, vpn);
    yield* setPteRangeEnd(kernel, mm, vpn, 'replace_page');
    return same;
  },
);
