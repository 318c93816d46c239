/**
 * khugepaged: replaces a table of small pages by one huge page. Mirrors mm/khugepaged.c, collapse_huge_page(), v6.18,
 * for a table of one page. Its locks keep out other removers and page faults, none of which are here; GUP-fast takes no
 * lock.
 */
import {
  FrameKind,
  NO_FRAME,
  point,
  routine,
  work,
  type Steps,
  checkFlag,
  checkWord,
  wordsOf,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_PSE, _PAGE_TABLE, formatEntry, mk_pte, pte_pfn } from '@shootdown/mmu';
import { folio_is_unpinned } from '../folio.ts';
import { walkerLoad } from './invariants.ts';
import { PAGE_SHARED, PMD_TABLE, PTE_TABLE, type GupKernel } from './kernel.ts';

/**
 * What happens between clearing the pmd and touching the table: nothing, tlb_remove_table_sync_one(), or
 * synchronize_rcu().
 */
export type CollapseSync = 'none' | 'ipi' | 'rcu';

/**
 * What becomes of the table, which is deposited for a later split. `freed`: the huge page is zapped, and
 * zap_deposited_table() frees it at once. `freed-rcu`: the same through pte_free_defer(). `kept`: nobody zaps the huge
 * page.
 */
export type Deposit = 'freed' | 'freed-rcu' | 'kept';

const SYNCS = wordsOf<CollapseSync>()('none', 'ipi', 'rcu');
const DEPOSITS = wordsOf<Deposit>()('freed', 'freed-rcu', 'kept');

/** References to a page that khugepaged expects: the mapping's. */
const EXPECTED_REFERENCES = 1;

/**
 * collapse_huge_page(), then a zap of the huge page, whose frame may come into other hands at once. Without `counts`
 * nobody looks whether the page is pinned (a mutant).
 */
export const khugepaged = routine(
  'khugepaged',
  function* (kernel: GupKernel, cpu: Cpu, sync: CollapseSync, deposit: Deposit, counts: boolean): Steps {
    checkWord('gup: khugepaged: sync', sync, SYNCS);
    checkWord('gup: khugepaged: deposit', deposit, DEPOSITS);
    checkFlag('gup: khugepaged: counts', counts);
    const huge = yield* collapse_huge_page(kernel, cpu, sync, counts);
    yield* point('collapsed', huge);
    if (huge === NO_FRAME || deposit === 'kept') return;
    yield* zap_huge_pmd(kernel, cpu, deposit);
    yield* point('reuse');
    yield* kernel.frames.alloc(FrameKind.page, { label: 'alloc_page()' });
  },
);

/** The huge page, or NO_FRAME if the table was put back because a page is pinned. */
const collapse_huge_page = routine(
  'collapse_huge_page',
  function* (kernel: GupKernel, cpu: Cpu, sync: CollapseSync, counts: boolean): Steps<number> {
    const { frames } = kernel;
    const pmd = frames.entry(PMD_TABLE, 0);
    const huge = yield* frames.alloc(FrameKind.page, { label: 'alloc_charge_folio()' });
    yield* frames.xchg(pmd, 0, { label: 'pmdp_collapse_flush(pmd)', fact: formatEntry });
    yield* kernel.arch.flush_tlb_mm_range(cpu, kernel.mm, 0, 1, true);
    if (sync === 'ipi') yield* kernel.tlb_remove_table_sync_one(cpu);
    if (sync === 'rcu') yield* kernel.synchronize_rcu(cpu);
    yield* point('__collapse_huge_page_isolate', huge);
    const page = pte_pfn(yield* walkerLoad(frames, PTE_TABLE, 0, 'ptep_get(pte)', formatEntry));
    if (!(yield* folio_is_unpinned(kernel, page, EXPECTED_REFERENCES, counts))) {
      yield* frames.write(pmd, mk_pte(PTE_TABLE, _PAGE_TABLE), { label: 'pmd_populate(mm, pmd, old table)' });
      yield* frames.put(huge);
      return NO_FRAME;
    }
    yield* work('page_copy', { label: `copy_user_highpage(0x${huge.toString(16)}, 0x${page.toString(16)})` });
    yield* frames.write(frames.entry(PTE_TABLE, 0), 0, { label: 'ptep_clear(pte)' });
    yield* frames.put(page, { label: `free_page_and_swap_cache(0x${page.toString(16)})` });
    yield* frames.write(pmd, mk_pte(huge, PAGE_SHARED | _PAGE_PSE), { label: 'set_pmd_at(pmd, huge)' });
    return huge;
  },
);

/** zap_huge_pmd(): the huge page goes, and with it a deposited table. */
const zap_huge_pmd = routine('zap_huge_pmd', function* (kernel: GupKernel, cpu: Cpu, deposit: Deposit): Steps {
  const huge = yield* kernel.frames.xchg(kernel.frames.entry(PMD_TABLE, 0), 0, {
    label: 'pmdp_huge_get_and_clear_full()',
    fact: formatEntry,
  });
  if (deposit === 'freed')
    yield* kernel.frames.free(PTE_TABLE, { label: `zap_deposited_table(0x${PTE_TABLE.toString(16)})` });
  else yield* kernel.call_rcu(kernel.pte_free_now, PTE_TABLE);
  yield* kernel.arch.flush_tlb_mm_range(cpu, kernel.mm, 0, 1, false);
  yield* kernel.frames.put(pte_pfn(huge));
});
