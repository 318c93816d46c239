/** Entries of a secondary table: second-stage entries and a device's look like primary ones here. */
import {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_PRESENT,
  _PAGE_RW,
  _PAGE_USER,
  formatEntry,
  mk_pte,
  pte_pfn,
  pte_present,
  pte_write,
  pte_young,
} from '@shootdown/mmu';
import type { EntryFormat } from '@shootdown/mmu-notifier';

/** Entries that have been read, or written to. */
export const READ_ONLY = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED;
export const WRITABLE = READ_ONLY | _PAGE_RW | _PAGE_DIRTY;

/** The format. */
export const entryFormat: EntryFormat = {
  make: (pfn, writable) => mk_pte(pfn, writable ? WRITABLE : READ_ONLY),
  pfn: pte_pfn,
  present: pte_present,
  writable: pte_write,
  young: pte_young,
  old: (entry) => entry & ~_PAGE_ACCESSED,
  format: formatEntry,
};
