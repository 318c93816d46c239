/**
 * ksmd against a walk without locks: write_protect_page() and replace_page(), for one page. Mirrors mm/ksm.c, v6.18. Its locks keep out
 * whoever takes them; GUP-fast takes none.
 */
import { FrameKind, point, routine, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_RW, formatEntry, mk_pte, pte_pfn } from '@shootdown/mmu';
import { write_protect_entry } from '../ksm-entry.ts';
import type { Counting } from './invariants.ts';
import { PAGE_SHARED, PTE_TABLE, type GupKernel } from './kernel.ts';

/** References to a page that KSM expects: the mapping's. (Its own is left out, and so is the count of it.) */
const EXPECTED_REFERENCES = 1;

/** Merges the page with a stable one, unless it is pinned. */
export const ksmd = routine(
  'try_to_merge_one_page',
  function* (kernel: GupKernel, cpu: Cpu, counting: Counting): Steps {
    const { frames, monitor } = kernel;
    const ptep = frames.entry(PTE_TABLE, 0);
    const flush = (): Steps => kernel.flush.flush_tlb_mm_range(cpu);
    const kpage = yield* frames.alloc(FrameKind.page, { label: 'get_ksm_page()' });
    const entry = yield* frames.read(ptep, { label: 'ptep_get(ptep)', fact: formatEntry });
    const isUnpinned = (page: number): Steps<boolean> =>
      counting === 'never' ? monitor.uncounted(page) : monitor.folioExpectedRefCount(page, EXPECTED_REFERENCES);
    const countsFirst = counting === 'before the clear';
    const set = (fresh: number): Steps => frames.write(ptep, fresh, { label: 'set_pte_at(read-only)' });
    const orig_pte = yield* write_protect_entry({ frames, ptep, flush, isUnpinned, set, countsFirst }, entry);
    if (orig_pte === null) return;
    yield* point('replace_page', kpage, orig_pte);
    yield* frames.xchg(ptep, 0, { label: 'ptep_clear_flush()', fact: formatEntry });
    yield* flush();
    yield* frames.write(ptep, mk_pte(kpage, PAGE_SHARED & ~_PAGE_RW), {
      label: `set_pte_at(0x${kpage.toString(16)}, read-only)`,
    });
    yield* frames.put(pte_pfn(orig_pte));
  },
);
