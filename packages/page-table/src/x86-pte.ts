// What Linux reads in an x86 entry and how it changes one: pure functions on the 64 bits, named as in
// arch/x86/include/asm/pgtable.h, v6.18. All of them take a 4 KB pte of x86-64
// (PAE saves D in another bit); the pmd_ and pud_ twins differ only in the address mask.

import { assign, has } from './bits.ts';
import {
  PTE_PFN_MASK,
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_PAT,
  _PAGE_PCD,
  _PAGE_PRESENT,
  _PAGE_PROTNONE,
  _PAGE_PWT,
  _PAGE_RW,
  _PAGE_SAVED_DIRTY,
  _PAGE_SOFT_DIRTY,
  _PAGE_SPECIAL,
  _PAGE_UFFD_WP,
} from './x86.ts';

/** Mapped as far as Linux is concerned: present, or PROT_NONE. */
export const pte_present = (pte: bigint): boolean => (pte & (_PAGE_PRESENT | _PAGE_PROTNONE)) !== 0n;

/** PROT_NONE, or a NUMA-balancing hint: the page is there and every access faults. */
export const pte_protnone = (pte: bigint): boolean => (pte & (_PAGE_PROTNONE | _PAGE_PRESENT)) === _PAGE_PROTNONE;

/**
 * The entry permits writes. A shadow-stack leaf (RW=0, D=1), which pte_write() of a kernel that supports them also
 * counts, is not.
 */
export const pte_write = (pte: bigint): boolean => has(pte, _PAGE_RW);

/** The accessed bit. */
export const pte_young = (pte: bigint): boolean => has(pte, _PAGE_ACCESSED);

/** Dirty, in the hardware's bit or in the saved one. */
export const pte_dirty = (pte: bigint): boolean => (pte & (_PAGE_DIRTY | _PAGE_SAVED_DIRTY)) !== 0n;

/**
 * Whether the address bits are stored inverted: in every entry that is neither zero nor present, so that the L1
 * terminal fault cannot speculate on a real frame (arch/x86/include/asm/pgtable-invert.h, __pte_needs_invert()).
 */
export const __pte_needs_invert = (pte: bigint): boolean => pte !== 0n && !has(pte, _PAGE_PRESENT);

/** The word to xor an entry with before reading its address bits: all ones or zero. */
export const protnone_mask = (pte: bigint): bigint => (__pte_needs_invert(pte) ? 0xffff_ffff_ffff_ffffn : 0n);

/**
 * `next`, with the bits of `mask` inverted when the step from `previous` changes whether an entry is stored inverted.
 */
export function flip_protnone_guard(previous: bigint, next: bigint, mask: bigint): bigint {
  return __pte_needs_invert(previous) === __pte_needs_invert(next) ? next : next ^ mask;
}

/** Frame number, un-inverted, in units of 4 KB. */
export const pte_pfn = (pte: bigint): bigint => ((pte ^ protnone_mask(pte)) & PTE_PFN_MASK) >> 12n;

/** Moves D of a read-only entry to the saved bit: RW=0 with D=1 would be a shadow stack. */
function mksaveddirty(pte: bigint): bigint {
  if (pte_write(pte) || !has(pte, _PAGE_DIRTY)) return pte;
  return (pte & ~_PAGE_DIRTY) | _PAGE_SAVED_DIRTY;
}

/** Moves the saved bit of a writable entry back to D. */
function clear_saveddirty(pte: bigint): bigint {
  if (!pte_write(pte) || !has(pte, _PAGE_SAVED_DIRTY)) return pte;
  return (pte & ~_PAGE_SAVED_DIRTY) | _PAGE_DIRTY;
}

/** Clears the accessed bit. */
export const pte_mkold = (pte: bigint): bigint => assign(pte, _PAGE_ACCESSED, false);

/** Sets the accessed bit. */
export const pte_mkyoung = (pte: bigint): bigint => assign(pte, _PAGE_ACCESSED, true);

/** Clears both dirty bits. */
export const pte_mkclean = (pte: bigint): bigint => pte & ~(_PAGE_DIRTY | _PAGE_SAVED_DIRTY);

/** Marks the entry dirty, in the bit that its writability calls for, and soft-dirty. */
export const pte_mkdirty = (pte: bigint): bigint => mksaveddirty(pte | _PAGE_DIRTY | _PAGE_SOFT_DIRTY);

/** Takes write permission away and keeps the entry dirty if it was. */
export const pte_wrprotect = (pte: bigint): bigint => mksaveddirty(pte & ~_PAGE_RW);

/** Grants write permission, for an ordinary (not shadow-stack) area: pte_mkwrite(). */
export const pte_mkwrite = (pte: bigint): bigint => clear_saveddirty(pte | _PAGE_RW);

/** Bits that pte_modify() keeps from the old entry. */
const _PAGE_CHG_MASK =
  PTE_PFN_MASK |
  _PAGE_PCD |
  _PAGE_PWT |
  _PAGE_PAT |
  _PAGE_SPECIAL |
  _PAGE_ACCESSED |
  _PAGE_DIRTY |
  _PAGE_SAVED_DIRTY |
  _PAGE_SOFT_DIRTY |
  _PAGE_UFFD_WP;

/**
 * The entry with the protection `newprot` (PAGE_NONE, PAGE_READONLY, ...), as mprotect() and NUMA balancing make it:
 * address, cache mode, accessed and dirty are kept, and the address is inverted or un-inverted as presence changes.
 */
export function pte_modify(pte: bigint, newprot: bigint): bigint {
  const changed = (pte & _PAGE_CHG_MASK) | (newprot & ~_PAGE_CHG_MASK);
  const guarded = flip_protnone_guard(pte, changed, PTE_PFN_MASK);
  return pte_write(pte) ? mksaveddirty(guarded) : clear_saveddirty(guarded);
}
