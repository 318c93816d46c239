/**
 * The page-table entry of the simulated machine: one 32-bit word.
 *
 * ```
 *  31                  12 11  10   9   8   7   6   5   4   3   2   1   0
 * +----------------------+---+---+---+---+---+---+---+---+---+---+---+---+
 * |   frame number       |NX |NC |SW | G |PS | D | A |CON|RDO|US |RW | P |
 * +----------------------+---+---+---+---+---+---+---+---+---+---+---+---+
 * ```
 *
 * The positions are those of the 32-bit x86 entry (Intel SDM vol. 3A, 4.3) with NX in a software bit, and with three
 * bits of arm64 in places that x86 has for caching. It carries what the concurrency of page tables depends on, on any
 * architecture; the formats of real entries are in @shootdown/page-table.
 */

/** The entry translates, or points to a table. */
export const _PAGE_PRESENT = 1 << 0;
/** Stores may go through it (DBM on arm64). */
export const _PAGE_RW = 1 << 1;
/** User code may go through it. */
export const _PAGE_USER = 1 << 2;
/** arm64: stores fault, or make hardware that manages dirty state (DBM, which is RW here) clear this bit. */
export const _PAGE_RDONLY = 1 << 3;
/** arm64: a TLB may hold one translation for the naturally aligned block that this entry is part of. */
export const _PAGE_CONT = 1 << 4;
/** An access has gone through it. */
export const _PAGE_ACCESSED = 1 << 5;
/** A store has gone through it. */
export const _PAGE_DIRTY = 1 << 6;
/** A leaf above the lowest level: 2 MB or 1 GB. */
export const _PAGE_PSE = 1 << 7;
/** The translation belongs to every address space. */
export const _PAGE_GLOBAL = 1 << 8;
/** An entry that is not present for hardware, but is for the kernel: PROT_NONE. x86 takes the bit of a global one. */
export const _PAGE_PROTNONE = 1 << 8;
/** For the kernel's own use (special mappings, soft-dirty). */
export const _PAGE_SOFTW = 1 << 9;
/** Normal memory that is not cached (MT_NORMAL_NC): another memory type than all others have. */
export const _PAGE_NC = 1 << 10;
/** No instructions are fetched through it. */
export const _PAGE_NX = 1 << 11;

/** Bits of a frame number. */
export const PFN_SHIFT = 12;
/** Frames that fit. */
export const PFN_LIMIT = 1 << 20;

/** The flags of a pointer to a lower table (Linux _PAGE_TABLE). */
export const _PAGE_TABLE = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY;

/** No pointer to a table. */
export const NO_TABLE = 0;

/** An entry for a frame. */
export function mk_pte(frame: number, flags: number): number {
  if (frame < 0 || frame >= PFN_LIMIT)
    throw new RangeError(`mmu: mk_pte: frame ${frame} outside 0 .. ${PFN_LIMIT - 1}`);
  return (frame << PFN_SHIFT) | flags;
}

/** The frame number of an entry. */
export function pte_pfn(entry: number): number {
  return entry >>> PFN_SHIFT;
}

/** The entry has a page, which hardware may translate to unless it is {@link pte_protnone}. */
export function pte_present(entry: number): boolean {
  return (entry & (_PAGE_PRESENT | _PAGE_PROTNONE)) !== 0;
}

/** PROT_NONE: the page is there, and every access faults. */
export function pte_protnone(entry: number): boolean {
  return (entry & (_PAGE_PRESENT | _PAGE_PROTNONE)) === _PAGE_PROTNONE;
}

/** Stores may go through the entry. */
export function pte_write(entry: number): boolean {
  return (entry & _PAGE_RW) !== 0;
}

/** A store has gone through the entry. */
export function pte_dirty(entry: number): boolean {
  return (entry & _PAGE_DIRTY) !== 0;
}

/** An access has gone through the entry. */
export function pte_young(entry: number): boolean {
  return (entry & _PAGE_ACCESSED) !== 0;
}

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [_PAGE_PRESENT, 'P'],
  [_PAGE_RW, 'RW'],
  [_PAGE_USER, 'US'],
  [_PAGE_RDONLY, 'RDO'],
  [_PAGE_CONT, 'CON'],
  [_PAGE_ACCESSED, 'A'],
  [_PAGE_DIRTY, 'D'],
  [_PAGE_PSE, 'PS'],
  [_PAGE_GLOBAL, 'G'],
  [_PAGE_SOFTW, 'SW'],
  [_PAGE_NC, 'NC'],
  [_PAGE_NX, 'NX'],
];

/** `0x12 P RW A`, `0x12 A PROTNONE`, or `none`. */
export function formatEntry(entry: number): string {
  if (entry === 0) return 'none';
  const nameOf = (bit: number, name: string): string =>
    bit === _PAGE_PROTNONE && pte_protnone(entry) ? 'PROTNONE' : name;
  const flags = FLAG_NAMES.filter(([bit]) => (entry & bit) !== 0).map(([bit, name]) => nameOf(bit, name));
  return [`0x${pte_pfn(entry).toString(16)}`, ...flags].join(' ');
}
