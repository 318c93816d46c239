// What Linux reads in an arm64 stage-1 descriptor and how it changes one: pure functions on the 64 bits, named as in
// arch/arm64/include/asm/pgtable.h, v6.18. The pmd_ and pud_ twins of the kernel are these very functions.
//
//   Dirty Writable | PTE_RDONLY PTE_WRITE PTE_DIRTY
//     no     no    |     1          0         0
//     no     yes   |     1          1         0       a store makes the hardware (DBM) or the fault handler clear
// RDONLY
//     yes    no    |     1          0         1
//     yes    yes   |     0          1      0 or 1

import { assign, has } from './bits.ts';
import {
  PTE_AF,
  PTE_ATTRINDX,
  PTE_ATTRINDX_MASK,
  PTE_CONT,
  PTE_DIRTY,
  PTE_GP,
  PTE_NG,
  PTE_PO_IDX_MASK,
  PTE_PRESENT_INVALID,
  PTE_PXN,
  PTE_RDONLY,
  PTE_SHARED,
  PTE_SPECIAL,
  PTE_TYPE_PAGE,
  PTE_USER,
  PTE_UXN,
  PTE_VALID,
  PTE_WRITE,
  MT_NORMAL,
} from './arm64.ts';

const _PAGE_DEFAULT = PTE_TYPE_PAGE | PTE_AF | PTE_SHARED | PTE_ATTRINDX(MT_NORMAL);

/**
 * Protections of user pages (pgtable-prot.h) of a layout with an SH field, for pte_modify(). Writable pages start
 * clean: RDONLY and WRITE.
 */
export const PAGE_NONE = (_PAGE_DEFAULT & ~PTE_VALID) | PTE_PRESENT_INVALID | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_UXN;
export const PAGE_SHARED = _PAGE_DEFAULT | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_UXN | PTE_WRITE;
export const PAGE_SHARED_EXEC = _PAGE_DEFAULT | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_WRITE;
export const PAGE_READONLY = _PAGE_DEFAULT | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_UXN;
export const PAGE_READONLY_EXEC = _PAGE_DEFAULT | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN;

/** The hardware uses the entry. */
export const pte_valid = (pte: bigint): boolean => has(pte, PTE_VALID);

/** Present to Linux although not valid: PROT_NONE, or made invalid for a moment by pte_mkinvalid(). */
export const pte_present_invalid = (pte: bigint): boolean =>
  (pte & (PTE_VALID | PTE_PRESENT_INVALID)) === PTE_PRESENT_INVALID;

/** Mapped as far as Linux is concerned. */
export const pte_present = (pte: bigint): boolean => pte_valid(pte) || pte_present_invalid(pte);

/** PROT_NONE, or a NUMA-balancing hint: not a pmd that pte_mkinvalid() has made invalid. */
export const pte_protnone = (pte: bigint): boolean => pte_present_invalid(pte) && !pte_user(pte) && !pte_user_exec(pte);

/** The access flag. */
export const pte_young = (pte: bigint): boolean => has(pte, PTE_AF);

/** No struct page, or not counted. */
export const pte_special = (pte: bigint): boolean => has(pte, PTE_SPECIAL);

/** Linux lets the page be written; the entry itself may still be read-only because it is clean. */
export const pte_write = (pte: bigint): boolean => has(pte, PTE_WRITE);

/** Stores fault, or make the hardware mark the entry dirty. */
export const pte_rdonly = (pte: bigint): boolean => has(pte, PTE_RDONLY);

/** EL0 may load and store. */
export const pte_user = (pte: bigint): boolean => has(pte, PTE_USER);

/** EL0 may fetch instructions. */
export const pte_user_exec = (pte: bigint): boolean => !has(pte, PTE_UXN);

/** Has the contiguous bit. */
export const pte_cont = (pte: bigint): boolean => has(pte, PTE_CONT);

/** Valid and with the contiguous bit. */
export const pte_valid_cont = (pte: bigint): boolean => pte_valid(pte) && pte_cont(pte);

/** Dirty by the hardware's rule: writable and not read-only. */
export const pte_hw_dirty = (pte: bigint): boolean => pte_write(pte) && !pte_rdonly(pte);

/** Dirty in the software bit. */
export const pte_sw_dirty = (pte: bigint): boolean => has(pte, PTE_DIRTY);

/** Dirty by either. */
export const pte_dirty = (pte: bigint): boolean => pte_sw_dirty(pte) || pte_hw_dirty(pte);

/**
 * Valid kernel mapping: what makes __set_pte() issue barriers. User execute-only mappings have neither USER nor UXN.
 */
export const pte_valid_not_user = (pte: bigint): boolean =>
  (pte & (PTE_VALID | PTE_USER | PTE_UXN)) === (PTE_VALID | PTE_UXN);

/** Clears the access flag. */
export const pte_mkold = (pte: bigint): bigint => assign(pte, PTE_AF, false);

/** Sets the access flag. */
export const pte_mkyoung = (pte: bigint): bigint => assign(pte, PTE_AF, true);

/** Sets the contiguous bit. */
export const pte_mkcont = (pte: bigint): bigint => assign(pte, PTE_CONT, true);

/** Clears the contiguous bit. */
export const pte_mknoncont = (pte: bigint): bigint => assign(pte, PTE_CONT, false);

/** Makes a present entry one that the hardware faults on; nG becomes the present-invalid mark. */
export const pte_mkinvalid = (pte: bigint): bigint => (pte | PTE_PRESENT_INVALID) & ~PTE_VALID;

/** Makes the entry clean: the next store is noticed again, by fault or by hardware. */
export const pte_mkclean = (pte: bigint): bigint => (pte & ~PTE_DIRTY) | PTE_RDONLY;

/** Makes the entry dirty, and lets stores through without notice if it is writable. */
export const pte_mkdirty = (pte: bigint): bigint =>
  assign(pte | PTE_DIRTY, PTE_RDONLY, has(pte, PTE_RDONLY) && !pte_write(pte));

/** Takes write permission away; a hardware-dirty entry becomes software-dirty, so that the dirt is not lost. */
export const pte_wrprotect = (pte: bigint): bigint =>
  ((pte_hw_dirty(pte) ? pte | PTE_DIRTY : pte) & ~PTE_WRITE) | PTE_RDONLY;

/**
 * Grants write permission. Only a software-dirty entry becomes writable at once (143937ca51cc, v6.18); before, every
 * entry did.
 */
export const pte_mkwrite_novma = (pte: bigint): bigint =>
  assign(pte | PTE_WRITE, PTE_RDONLY, has(pte, PTE_RDONLY) && !pte_sw_dirty(pte));

/** Bits that pte_modify() takes from the new protection. */
const PTE_MODIFY_MASK =
  PTE_USER |
  PTE_PXN |
  PTE_UXN |
  PTE_RDONLY |
  PTE_PRESENT_INVALID |
  PTE_VALID |
  PTE_WRITE |
  PTE_GP |
  PTE_ATTRINDX_MASK |
  PTE_PO_IDX_MASK;

/**
 * The entry with the protection `newprot` (PAGE_NONE, PAGE_READONLY, ...), as mprotect() and NUMA balancing make it.
 * The address, the access flag, the contiguous bit and whether it is dirty are kept.
 */
export function pte_modify(pte: bigint, newprot: bigint): bigint {
  const remembered = pte_hw_dirty(pte) ? pte | PTE_DIRTY : pte;
  const changed = (remembered & ~PTE_MODIFY_MASK) | (newprot & PTE_MODIFY_MASK);
  return pte_sw_dirty(changed) ? pte_mkdirty(changed) : changed;
}
