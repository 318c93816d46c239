/** Entries that are not present and say why. Mirrors include/linux/swapops.h, v6.14. */
import { _PAGE_ACCESSED, _PAGE_DIRTY, formatEntry, PFN_SHIFT, pte_present } from '@shootdown/mmu';

/** The bit of a swap-style entry that gives a device the page to itself, and where its frame number stands. */
const DEVICE_EXCLUSIVE = 1 << 10;
const SWP_OFFSET_SHIFT = 13;
const SWP_OFFSET_BITS = 20;

/** swp_entry(): the bit that a shift by one more than {@link PFN_SHIFT} would lose comes back where it began. */
function swp_entry(type: number, pfn: number): number {
  return (pfn << SWP_OFFSET_SHIFT) | ((pfn >>> (SWP_OFFSET_BITS - 1)) << PFN_SHIFT) | type;
}

function swp_offset(entry: number): number {
  return (entry >>> SWP_OFFSET_SHIFT) | (((entry >>> PFN_SHIFT) & 1) << (SWP_OFFSET_BITS - 1));
}

/** make_device_exclusive_entry(): not present; the frame number stands elsewhere than in a present entry. */
export function make_device_exclusive_entry(pfn: number): number {
  return swp_entry(DEVICE_EXCLUSIVE, pfn);
}

export function is_device_exclusive_entry(entry: number): boolean {
  return !pte_present(entry) && (entry & DEVICE_EXCLUSIVE) !== 0;
}

/** The frame of a device-exclusive entry. */
export function device_exclusive_pfn(entry: number): number {
  return swp_offset(entry);
}

const MIGRATION = 1 << 9;

/** make_readable_migration_entry(): not present, and a fault waits for it. */
export function make_migration_entry(pfn: number): number {
  return swp_entry(MIGRATION, pfn);
}

/** Whether a page is on its way to another frame. */
export function is_migration_entry(entry: number): boolean {
  return !pte_present(entry) && (entry & MIGRATION) !== 0;
}

/** The frame that the page of a migration entry had. */
export function migration_pfn(entry: number): number {
  return swp_offset(entry);
}

/** What a migration entry keeps of the entry before: make_migration_entry_young(), make_migration_entry_dirty(). */
export const SWP_MIG_FLAGS = _PAGE_ACCESSED | _PAGE_DIRTY;

/** An entry in words, swap-style ones as what they are: `0x2 P RW US`, `device-exclusive 0x2`, `migration 0x3`. */
export function formatLazyEntry(entry: number): string {
  if (pte_present(entry)) return formatEntry(entry);
  const kinds = [(entry & DEVICE_EXCLUSIVE) !== 0 && 'device-exclusive', (entry & MIGRATION) !== 0 && 'migration'];
  const kind = kinds.find((one) => one !== false);
  return kind === undefined ? formatEntry(entry) : `${kind} 0x${device_exclusive_pfn(entry).toString(16)}`;
}
