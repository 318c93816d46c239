/**
 * What Linux reads in an arm64 entry and how it changes one, on the word of the simulated machine.
 *
 * Mirrors arch/arm64/include/asm/pgtable.h, v6.18; the same functions on real descriptors are in @shootdown/page-table.
 * PTE_WRITE is DBM as well: hardware that manages dirty state lets a store to a clean writable page through and clears
 * RDONLY.
 */
import {
  _PAGE_ACCESSED,
  _PAGE_CONT,
  _PAGE_DIRTY,
  _PAGE_GLOBAL,
  _PAGE_NC,
  _PAGE_NX,
  _PAGE_PRESENT,
  _PAGE_RDONLY,
  _PAGE_RW,
  _PAGE_SOFTW,
  _PAGE_USER,
  mk_pte,
  PFN_SHIFT,
  pte_pfn,
} from '@shootdown/mmu';

export const PTE_VALID = _PAGE_PRESENT;
/** DBM. */
export const PTE_WRITE = _PAGE_RW;
export const PTE_USER = _PAGE_USER;
export const PTE_RDONLY = _PAGE_RDONLY;
export const PTE_CONT = _PAGE_CONT;
export const PTE_AF = _PAGE_ACCESSED;
/** Linux's own dirty bit. */
export const PTE_DIRTY = _PAGE_DIRTY;
export const PTE_SPECIAL = _PAGE_SOFTW;
/** User code is not fetched from the page. */
export const PTE_UXN = _PAGE_NX;

/** Protections of user pages, without PTE_UXN where nobody asks. Writable ones begin clean: RDONLY and WRITE. */
export const PAGE_READONLY = PTE_VALID | PTE_USER | PTE_RDONLY;
export const PAGE_SHARED = PAGE_READONLY | PTE_WRITE;

const PROT_MASK = (1 << PFN_SHIFT) - 1;
/** What pte_modify() takes from the new protection. */
const PTE_MODIFY_MASK = PTE_USER | PTE_UXN | PTE_RDONLY | PTE_VALID | PTE_WRITE;

const has = (pte: number, bits: number): boolean => (pte & bits) === bits;

export const pte_none = (pte: number): boolean => pte === 0;
export const pte_valid = (pte: number): boolean => has(pte, PTE_VALID);
export const pte_cont = (pte: number): boolean => has(pte, PTE_CONT);
export const pte_valid_cont = (pte: number): boolean => has(pte, PTE_VALID | PTE_CONT);
export const pte_special = (pte: number): boolean => has(pte, PTE_SPECIAL);
export const pte_young = (pte: number): boolean => has(pte, PTE_AF);
/** pte_user_exec(): user code may be fetched. */
export const pte_user_exec = (pte: number): boolean => !has(pte, PTE_UXN);
export const pte_write = (pte: number): boolean => has(pte, PTE_WRITE);
export const pte_hw_dirty = (pte: number): boolean => pte_write(pte) && !has(pte, PTE_RDONLY);
export const pte_dirty = (pte: number): boolean => has(pte, PTE_DIRTY) || pte_hw_dirty(pte);

export const pfn_pte = (pfn: number, prot: number): number => mk_pte(pfn, prot);
export const pte_pgprot = (pte: number): number => pte & PROT_MASK;
export const pte_advance_pfn = (pte: number, nr: number): number => pfn_pte(pte_pfn(pte) + nr, pte_pgprot(pte));

export const pte_mkold = (pte: number): number => pte & ~PTE_AF;
export const pte_mkyoung = (pte: number): number => pte | PTE_AF;
export const pte_mkcont = (pte: number): number => pte | PTE_CONT;
export const pte_mknoncont = (pte: number): number => pte & ~PTE_CONT;
export const pte_mkclean = (pte: number): number => (pte & ~PTE_DIRTY) | PTE_RDONLY;
export const pte_mkdirty = (pte: number): number =>
  pte_write(pte) ? (pte | PTE_DIRTY) & ~PTE_RDONLY : pte | PTE_DIRTY;

/** A hardware-dirty entry becomes software-dirty, so that the dirt is not lost. */
export const pte_wrprotect = (pte: number): number =>
  ((pte_hw_dirty(pte) ? pte | PTE_DIRTY : pte) & ~PTE_WRITE) | PTE_RDONLY;

/** Only a software-dirty entry becomes writable at once (143937ca51cc, v6.18). */
export const pte_mkwrite = (pte: number): number =>
  has(pte, PTE_DIRTY) ? (pte | PTE_WRITE) & ~PTE_RDONLY : pte | PTE_WRITE;

/** The entry with another protection; address, access flag and dirt stay. */
export function pte_modify(pte: number, newprot: number): number {
  const remembered = pte_hw_dirty(pte) ? pte | PTE_DIRTY : pte;
  const changed = (remembered & ~PTE_MODIFY_MASK) | (newprot & PTE_MODIFY_MASK);
  return has(changed, PTE_DIRTY) ? pte_mkdirty(changed) : changed;
}

const NAMES: readonly (readonly [number, string])[] = [
  [PTE_WRITE, 'W'],
  [PTE_RDONLY, 'ro'],
  [PTE_DIRTY, 'D'],
  [PTE_AF, 'AF'],
  [PTE_CONT, 'CON'],
  [PTE_SPECIAL, 'SPC'],
  [PTE_UXN, 'UXN'],
  [_PAGE_GLOBAL, 'G'],
  [_PAGE_NC, 'NC'],
];

/** `0x4 W ro AF CON`, or `none`. */
export function formatPte(pte: number): string {
  if (pte === 0) return 'none';
  const flags = NAMES.filter(([bit]) => has(pte, bit)).map(([, name]) => name);
  return [`0x${pte_pfn(pte).toString(16)}`, ...(pte_valid(pte) ? [] : ['invalid']), ...flags].join(' ');
}
