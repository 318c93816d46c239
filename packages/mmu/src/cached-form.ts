/** Entries as TLBs keep them. */
import { _PAGE_ACCESSED, _PAGE_DIRTY } from './entry.ts';

/** An entry as it is cached: accessed, or it would not be; Linux's own dirty bit means nothing to hardware. */
export function cachedForm(entry: number): number {
  return entry & ~(_PAGE_ACCESSED | _PAGE_DIRTY);
}
