/**
 * arm64 translation table descriptors, cut to one 32-bit word. Mirrors arch/arm64/include/asm/pgtable-hwdef.h, v6.18:
 * the type is in bits 1:0, the frame number in bits 12 and up.
 */

const TYPE_MASK = 0b11;
const TYPE_TABLE = 0b11;
const TYPE_SECT = 0b01;
const PAGE_SHIFT = 12;

/** __pud(PUD_TYPE_TABLE | pa), __pmd(PMD_TYPE_TABLE | pa). */
export function tableDescriptor(frame: number): number {
  return (frame << PAGE_SHIFT) | TYPE_TABLE;
}

/** pud_mkhuge(), pmd_mkhuge(): a block. */
export function blockDescriptor(pfn: number): number {
  return (pfn << PAGE_SHIFT) | TYPE_SECT;
}

/** pfn_pte(): a page. At the last level the type that means "table" above means "page". */
export function pageDescriptor(pfn: number): number {
  return (pfn << PAGE_SHIFT) | TYPE_TABLE;
}

/** pud_none(), pmd_none(), pte_none(). */
export function pxd_none(value: number): boolean {
  return value === 0;
}

/** pud_leaf(), pmd_leaf(). */
export function pxd_leaf(value: number): boolean {
  return (value & TYPE_MASK) === TYPE_SECT;
}

/** pud_table(), pmd_table(). */
export function pxd_table(value: number): boolean {
  return (value & TYPE_MASK) === TYPE_TABLE;
}

/** Frame of the table (or page) that a descriptor points to. */
export function pxd_pgtable(value: number): number {
  return value >>> PAGE_SHIFT;
}

/** `table 0x3`, `block 0x40`, `none`. */
export function formatDescriptor(value: number): string {
  if (pxd_none(value)) return 'none';
  return `${pxd_leaf(value) ? 'block' : 'table'} 0x${pxd_pgtable(value).toString(16)}`;
}
