// x86 entry formats: 64-bit entries of 4-level, 5-level and PAE paging.
// Intel SDM vol. 3, 5.4 (PAE, tables 5-8 to 5-11) and 5.5 (4-level and 5-level, tables 5-14 to 5-20).
// Bit names are those of arch/x86/include/asm/pgtable_types.h, v6.18.
//
//   leaf   63 NX | 62..59 pkey | 58..52 software | 51..12 address | 11..9 software | 8 G | 7 PAT/PS | 6 D | 5 A | 4
// PCD | 3 PWT | 2 US | 1 RW | 0 P

import { assign, bit, fail, field, genmask, has, place } from './bits.ts';
import { ALL_PERMITTED, type Entry, type LeafEntry, type Permissions, type TableEntry } from './entry.ts';
import type { Geometry, Level } from './geometry.ts';

/** The entry is used by the hardware; clear, every other bit belongs to software. */
export const _PAGE_PRESENT = bit(0);
/** Writes are permitted. */
export const _PAGE_RW = bit(1);
/** User-mode accesses are permitted. */
export const _PAGE_USER = bit(2);
/** Page-level write-through: bit 0 of the PAT index. */
export const _PAGE_PWT = bit(3);
/** Page-level cache disable: bit 1 of the PAT index. */
export const _PAGE_PCD = bit(4);
/** Set by hardware when a walk used the entry. */
export const _PAGE_ACCESSED = bit(5);
/** Set by hardware when a store used the leaf. */
export const _PAGE_DIRTY = bit(6);
/** In a pmd or pud: the entry is a 2 MB or 1 GB leaf, not a table. */
export const _PAGE_PSE = bit(7);
/** In a 4 KB pte: bit 2 of the PAT index. The same bit as {@link _PAGE_PSE}. */
export const _PAGE_PAT = bit(7);
/** The translation survives a CR3 load, if CR4.PGE is set. */
export const _PAGE_GLOBAL = bit(8);
/**
 * PROT_NONE, in an entry that is not present: present to Linux, not to the hardware. The same bit as {@link
 * _PAGE_GLOBAL}. @alias _PAGE_GLOBAL
 */
export const _PAGE_PROTNONE = _PAGE_GLOBAL;
/** Software bits 9 to 11, 57 and 58. */
export const _PAGE_SOFTW1 = bit(9);
export const _PAGE_SOFTW2 = bit(10);
export const _PAGE_SOFTW3 = bit(11);
export const _PAGE_SOFTW4 = bit(57);
export const _PAGE_SOFTW5 = bit(58);
/** No struct page, or not counted: pte_special(). @alias _PAGE_SOFTW1 */
export const _PAGE_SPECIAL = _PAGE_SOFTW1;
/** Write-protected by userfaultfd. @alias _PAGE_SOFTW2 */
export const _PAGE_UFFD_WP = _PAGE_SOFTW2;
/** Written since the last clear_refs. @alias _PAGE_SOFTW3 */
export const _PAGE_SOFT_DIRTY = _PAGE_SOFTW3;
/**
 * Dirty of a read-only leaf, x86-64: RW=0 with D=1 would be a shadow stack, so Linux moves D here (v6.6). @alias
 * _PAGE_SOFTW5
 */
export const _PAGE_SAVED_DIRTY = _PAGE_SOFTW5;
/** {@link _PAGE_SAVED_DIRTY} of PAE, which has no software bits above the address. @alias _PAGE_SOFTW2 */
export const _PAGE_SAVED_DIRTY_PAE = _PAGE_SOFTW2;
/** Bit 2 of the PAT index in a 2 MB or 1 GB leaf. */
export const _PAGE_PAT_LARGE = bit(12);
/** Protection key, in leaves of user pages; reserved in PAE. */
export const _PAGE_PKEY_MASK = genmask(62, 59);
/** Instruction fetches are not permitted, if EFER.NXE is set. */
export const _PAGE_NX = bit(63);

/** Address bits of an entry that points to a 4 KB frame: the kernel's PTE_PFN_MASK. */
export const PTE_PFN_MASK = genmask(51, 12);

/** Protection of a page-table page below user space, and below the kernel's part. */
export const _PAGE_TABLE = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY;
export const _KERNPG_TABLE = _PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY;

/** Protections of user pages, for pte_modify(). */
export const PAGE_NONE = _PAGE_PROTNONE | _PAGE_ACCESSED;
export const PAGE_READONLY = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX;
export const PAGE_READONLY_EXEC = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED;
export const PAGE_SHARED = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX;
export const PAGE_SHARED_EXEC = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED;

const PAT_INDEX_MASK = _PAGE_PWT | _PAGE_PCD;
/** Bits a PAE pgd entry (PDPTE) must have clear: 8:5 and 2:1 (Intel SDM vol. 3, table 5-8). */
const PAE_PDPTE_RESERVED = genmask(8, 5) | genmask(2, 1) | genmask(63, 52);
const PAE_RESERVED = genmask(62, 52);

const isPdpte = (geometry: Geometry, level: Level): boolean => geometry.format === 'x86-32-pae' && level.name === 'pgd';
const savedDirty = (geometry: Geometry): bigint =>
  geometry.format === 'x86-32-pae' ? _PAGE_SAVED_DIRTY_PAE : _PAGE_SAVED_DIRTY;
const patBit = (level: Level): bigint => (level.name === 'pte' ? _PAGE_PAT : _PAGE_PAT_LARGE);
const leafAddressMask = (geometry: Geometry, level: Level): bigint => genmask(geometry.paBits - 1, level.shiftBits);
const tableAddressMask = (geometry: Geometry): bigint => genmask(geometry.paBits - 1, geometry.pageShiftBits);

function leafFieldMask(geometry: Geometry, level: Level): bigint {
  const access =
    _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_GLOBAL | _PAGE_NX | PAT_INDEX_MASK;
  return access | _PAGE_PSE | patBit(level) | savedDirty(geometry) | leafAddressMask(geometry, level);
}

function tableFieldMask(geometry: Geometry, level: Level): bigint {
  const address = tableAddressMask(geometry);
  if (isPdpte(geometry, level)) return _PAGE_PRESENT | address;
  const access = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_NX;
  return access | address | (level.canBeLeaf ? _PAGE_PSE : 0n);
}

function decodePermissions(raw: bigint): Permissions {
  const user = has(raw, _PAGE_USER);
  const executeKernel = !has(raw, _PAGE_NX);
  return { read: true, write: has(raw, _PAGE_RW), user, executeUser: user && executeKernel, executeKernel };
}

function encodePermissions(geometry: Geometry, { read, write, user, executeUser, executeKernel }: Permissions): bigint {
  if (!read) fail('encode', 'an x86 entry cannot forbid reads', geometry.name);
  if (executeUser !== (user && executeKernel)) {
    fail(
      'encode',
      'an x86 entry has one execute-disable bit',
      geometry.name,
      'executeUser must be user && executeKernel',
    );
  }
  return (write ? _PAGE_RW : 0n) | (user ? _PAGE_USER : 0n) | (executeKernel ? 0n : _PAGE_NX);
}

/** Decodes an x86 entry. Use {@link decode} unless the format is known. */
export function decodeX86(geometry: Geometry, level: Level, raw: bigint): Entry {
  if (!has(raw, _PAGE_PRESENT)) return { kind: 'invalid', level: level.name, raw };
  const isLeaf = level.name === 'pte' || (level.canBeLeaf && has(raw, _PAGE_PSE));
  if (!isLeaf) {
    const pdpte = isPdpte(geometry, level);
    return {
      kind: 'table',
      level: level.name,
      tableAddress: raw & tableAddressMask(geometry),
      permissions: pdpte ? ALL_PERMITTED : decodePermissions(raw),
      accessed: !pdpte && has(raw, _PAGE_ACCESSED),
      otherBits: raw & ~tableFieldMask(geometry, level),
    };
  }
  return {
    kind: 'leaf',
    level: level.name,
    outputAddress: raw & leafAddressMask(geometry, level),
    permissions: decodePermissions(raw),
    accessed: has(raw, _PAGE_ACCESSED),
    dirty: has(raw, _PAGE_DIRTY),
    softwareDirty: has(raw, savedDirty(geometry)),
    dirtyBitManagement: false,
    global: has(raw, _PAGE_GLOBAL),
    contiguous: false,
    memory: { source: 'pat', index: field(raw, 4, 3) + (has(raw, patBit(level)) ? 4 : 0) },
    otherBits: raw & ~leafFieldMask(geometry, level),
  };
}

function encodeTable(geometry: Geometry, level: Level, entry: TableEntry): bigint {
  if (isPdpte(geometry, level)) {
    if (Object.values(entry.permissions).includes(false))
      fail('encode', 'a PAE pgd entry cannot restrict permissions', geometry.name);
    if (entry.accessed) fail('encode', 'a PAE pgd entry has no accessed bit', geometry.name);
    return _PAGE_PRESENT | entry.tableAddress;
  }
  return (
    _PAGE_PRESENT |
    encodePermissions(geometry, entry.permissions) |
    (entry.accessed ? _PAGE_ACCESSED : 0n) |
    entry.tableAddress
  );
}

function encodeLeaf(geometry: Geometry, level: Level, entry: LeafEntry): bigint {
  const { memory } = entry;
  if (memory.source !== 'pat') return fail('encode', 'an x86 leaf takes its memory type from the PAT', memory.source);
  if (!Number.isInteger(memory.index) || memory.index < 0 || memory.index > 7)
    fail('encode', 'a PAT index is 0 to 7', memory.index);
  if (entry.contiguous) fail('encode', 'x86 has no contiguous bit', geometry.name);
  if (entry.dirtyBitManagement) fail('encode', 'x86 has no dirty-bit-management bit', geometry.name);
  let raw =
    _PAGE_PRESENT | encodePermissions(geometry, entry.permissions) | entry.outputAddress | place(memory.index & 3, 3);
  raw = assign(raw, _PAGE_PSE, level.name !== 'pte');
  if (memory.index >= 4) raw |= patBit(level);
  if (entry.accessed) raw |= _PAGE_ACCESSED;
  if (entry.dirty) raw |= _PAGE_DIRTY;
  if (entry.global) raw |= _PAGE_GLOBAL;
  if (entry.softwareDirty) raw |= savedDirty(geometry);
  return raw;
}

/** Encodes a valid x86 entry without its otherBits; addresses are checked by {@link encode}. */
export function encodeX86(
  geometry: Geometry,
  level: Level,
  entry: LeafEntry | TableEntry,
): { readonly raw: bigint; readonly fieldMask: bigint } {
  return entry.kind === 'table'
    ? { raw: encodeTable(geometry, level, entry), fieldMask: tableFieldMask(geometry, level) }
    : { raw: encodeLeaf(geometry, level, entry), fieldMask: leafFieldMask(geometry, level) };
}

/**
 * The bits set in a present entry though the manual reserves them; a walk that meets them raises a page fault with RSVD
 * set. The physical address width is taken at its limit of 52 bits and EFER.NXE as set.
 */
export function reservedX86(geometry: Geometry, level: Level, entry: Entry, raw: bigint): bigint {
  if (entry.kind === 'invalid') return 0n;
  if (isPdpte(geometry, level)) return raw & PAE_PDPTE_RESERVED;
  let mask = geometry.format === 'x86-32-pae' ? PAE_RESERVED : 0n;
  if (entry.kind === 'leaf') mask |= genmask(level.shiftBits - 1, 13);
  else if (!level.canBeLeaf) mask |= _PAGE_PSE;
  return raw & mask;
}
