/**
 * KSM makes an entry read-only and makes sure that nobody has pinned the page. Mirrors mm/ksm.c, write_protect_page(), v6.18: the part
 * under the page-table lock.
 *
 * GUP-fast takes no lock, so each of the two looks at what the other has done: KSM clears the entry, then counts references; GUP-fast
 * takes its reference, then looks at the entry again.
 */
import type { EntryPointer, Frames, Steps } from '@shootdown/machine';
import { _PAGE_DIRTY, _PAGE_RW, pte_pfn } from '@shootdown/mmu';

/** An entry that is mapped, and how it is changed. */
export interface WriteProtected {
  readonly frames: Frames;
  readonly ptep: EntryPointer;
  /** flush_tlb_page(). */
  readonly flush: () => Steps;
  /** Whether a page has the references that KSM expects, and no others. */
  readonly isUnpinned: (page: number) => Steps<boolean>;
  /** Sets the entry that has been cleared. */
  readonly set: (entry: number) => Steps;
  /** References are counted while the entry is still there (a mutant). */
  readonly countsFirst?: boolean;
}

/** Makes an entry read-only; returns it, or null if its page is pinned: then it is as before. */
export function* write_protect_entry(
  { frames, ptep, flush, isUnpinned, set, countsFirst }: WriteProtected,
  entry: number,
): Steps<number | null> {
  const page = pte_pfn(entry);
  let unpinned = !countsFirst || (yield* isUnpinned(page));
  if (unpinned) {
    yield* frames.xchg(ptep, 0, { label: 'ptep_clear_flush()' });
    yield* flush();
    if (!countsFirst) unpinned = yield* isUnpinned(page);
    const readOnly = entry & ~(_PAGE_RW | _PAGE_DIRTY);
    if (unpinned) {
      yield* set(readOnly);
      return readOnly;
    }
    yield* frames.write(ptep, entry, { label: 'set_pte_at(as it was)' });
  }
  return null;
}
