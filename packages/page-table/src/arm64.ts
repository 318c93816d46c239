// arm64 descriptor formats, stage 1 and stage 2. Arm ARM DDI 0487, chapter D8: "Translation table descriptor formats",
// "Memory access control", "Hardware updates to the translation tables". Bit names are the kernel's, v6.18:
// arch/arm64/include/asm/pgtable-hwdef.h, pgtable-prot.h, kvm_pgtable.h.
//
//   stage 1 leaf  63 sw | 62..60 POIndex | 59 | 58..55 sw | 54 UXN | 53 PXN | 52 Contiguous | 51 DBM | 50 GP | 49..12
// address
//                 | 11 nG | 10 AF | 9..8 SH | 7..6 AP | 5 NS | 4..2 AttrIndx | 1 table or page, not block | 0 valid

import { bit, fail, field, genmask, has, place } from './bits.ts';
import {
  ALL_PERMITTED,
  type Entry,
  type LeafEntry,
  type Permissions,
  type Shareability,
  type TableEntry,
} from './entry.ts';
import type { Geometry, Level } from './geometry.ts';

/** The hardware uses the descriptor. */
export const PTE_VALID = bit(0);
/** The two type bits: 0b11 is a table, or a page at the last level; 0b01 a block. */
export const PTE_TYPE_MASK = genmask(1, 0);
export const PTE_TYPE_PAGE = genmask(1, 0);
/** Table or page, not block. */
export const PTE_TABLE_BIT = bit(1);
/** AttrIndx[2:0], an index into MAIR_ELx. */
export const PTE_ATTRINDX_MASK = genmask(4, 2);
/** AttrIndx field with that index. */
export const PTE_ATTRINDX = (index: number): bigint => place(index, 2);
/** AP[1]: EL0 may load and store. */
export const PTE_USER = bit(6);
/** AP[2]: stores fault, unless the hardware manages the dirty state through {@link PTE_DBM}. */
export const PTE_RDONLY = bit(7);
/** SH[1:0], inner shareable. Part of the address in an LPA2 layout. */
export const PTE_SHARED = genmask(9, 8);
/** Access flag: clear, the first access faults or the hardware sets it. */
export const PTE_AF = bit(10);
/** Not global: tagged with the ASID. */
export const PTE_NG = bit(11);
/** Guarded page: branch target identification. */
export const PTE_GP = bit(50);
/** Dirty bit management: the hardware may clear {@link PTE_RDONLY} instead of faulting. */
export const PTE_DBM = bit(51);
/** Linux's writable bit: the same bit as {@link PTE_DBM}. @alias PTE_DBM */
export const PTE_WRITE = PTE_DBM;
/** One of a group of contiguous entries that a TLB may hold as one. */
export const PTE_CONT = bit(52);
/** EL1 (EL2 of a VHE host) may not fetch instructions. */
export const PTE_PXN = bit(53);
/** EL0 may not fetch instructions. */
export const PTE_UXN = bit(54);
/** Bits the hardware leaves to software. */
export const PTE_SWBITS_MASK = bit(63) | genmask(58, 55);
/** Software dirty bit. */
export const PTE_DIRTY = bit(55);
/** No struct page, or not counted: pte_special(). */
export const PTE_SPECIAL = bit(56);
/** Write-protected by userfaultfd. */
export const PTE_UFFD_WP = bit(58);
/**
 * In an entry that is not valid: present to Linux, with every field as in a valid one (PROT_NONE, or a pmd being
 * split). The same bit as {@link PTE_NG} since v6.11; bit 59 for pmds and bit 58, PTE_PROT_NONE, for ptes before.
 * @alias PTE_NG
 */
export const PTE_PRESENT_INVALID = PTE_NG;
/** Permission-overlay index. */
export const PTE_PO_IDX_MASK = genmask(62, 60);

/**
 * A table descriptor's limits on everything below it: no EL0 access, no stores, no EL1 or EL0 fetches (APTable,
 * PXNTable, UXNTable).
 */
export const TABLE_AP_NO_EL0 = bit(61);
export const TABLE_AP_RDONLY = bit(62);
export const PMD_TABLE_PXN = bit(59);
export const PMD_TABLE_UXN = bit(60);
/**
 * Access flag of a table descriptor, maintained with FEAT_HAFT and ignored without. The same bit as {@link
 * PTE_AF}. @alias PTE_AF
 */
export const PMD_TABLE_AF = PTE_AF;

/** Stage 2, S2AP[0]: loads are permitted. */
export const KVM_PTE_LEAF_ATTR_LO_S2_S2AP_R = bit(6);
/** Stage 2, S2AP[1]: stores are permitted. */
export const KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W = bit(7);
/** Stage 2, MemAttr[3:0]. */
export const KVM_PTE_LEAF_ATTR_LO_S2_MEMATTR = genmask(5, 2);
/**
 * Stage 2, XN[1:0]: 00 all may execute, 01 EL0 only, 10 nobody, 11 EL1 only (FEAT_XNX; without it only bit 54 counts).
 */
export const KVM_PTE_LEAF_ATTR_HI_S2_XN = genmask(54, 53);

/** MAIR indices as Linux programs them (arch/arm64/include/asm/memory.h). */
export const MT_NORMAL = 0;
export const MT_NORMAL_TAGGED = 1;
export const MT_NORMAL_NC = 2;
export const MT_DEVICE_nGnRnE = 3;
export const MT_DEVICE_nGnRE = 4;
/** Stage-2 MemAttr values of KVM, without and with HCR_EL2.FWB. */
export const MT_S2_NORMAL = 0xf;
export const MT_S2_DEVICE_nGnRE = 1;
export const MT_S2_FWB_NORMAL = 6;
export const MT_S2_FWB_DEVICE_nGnRE = 1;

const SHAREABILITIES = ['non', 'reserved', 'outer', 'inner'] as const;
/** Highest attribute index of each format. */
const ATTRIBUTE_MAX = { mair: 7, stage2: 15 } as const;

/** The bits that hold an address of `shiftBits` granularity in that layout. */
function addressMask(geometry: Geometry, shiftBits: number): bigint {
  switch (geometry.addressLayout) {
    case 'plain':
      return genmask(47, shiftBits);
    case 'lpa':
      return genmask(47, shiftBits) | genmask(15, 12);
    case 'lpa2':
      return genmask(49, shiftBits) | genmask(9, 8);
  }
}

/** Physical address held in the address bits of a descriptor. */
function addressOf(geometry: Geometry, shiftBits: number, raw: bigint): bigint {
  switch (geometry.addressLayout) {
    case 'plain':
      return raw & genmask(47, shiftBits);
    case 'lpa':
      return (raw & genmask(47, shiftBits)) | place(field(raw, 15, 12), 48);
    case 'lpa2':
      return (raw & genmask(49, shiftBits)) | place(field(raw, 9, 8), 50);
  }
}

/** The address bits of a descriptor that holds that physical address. */
function placeAddress(geometry: Geometry, address: bigint): bigint {
  switch (geometry.addressLayout) {
    case 'plain':
      return address;
    case 'lpa':
      return (address & genmask(47, 0)) | place(field(address, 51, 48), 12);
    case 'lpa2':
      return (address & genmask(49, 0)) | place(field(address, 51, 50), 8);
  }
}

const isStage2 = (geometry: Geometry): boolean => geometry.format === 'arm64-stage2';
const hasShareability = (geometry: Geometry): boolean => geometry.addressLayout !== 'lpa2';
const hasContiguous = (level: Level): boolean => level.contiguousEntries > 1;

function leafFieldMask(geometry: Geometry, level: Level): bigint {
  const common =
    PTE_TYPE_MASK |
    PTE_AF |
    PTE_DBM |
    (hasContiguous(level) ? PTE_CONT : 0n) |
    (hasShareability(geometry) ? PTE_SHARED : 0n);
  const stage = isStage2(geometry)
    ? KVM_PTE_LEAF_ATTR_LO_S2_MEMATTR |
      KVM_PTE_LEAF_ATTR_LO_S2_S2AP_R |
      KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W |
      KVM_PTE_LEAF_ATTR_HI_S2_XN
    : PTE_ATTRINDX_MASK | PTE_USER | PTE_RDONLY | PTE_NG | PTE_PXN | PTE_UXN | PTE_DIRTY;
  return common | stage | addressMask(geometry, level.shiftBits);
}

function tableFieldMask(geometry: Geometry): bigint {
  const limits = isStage2(geometry) ? 0n : TABLE_AP_NO_EL0 | TABLE_AP_RDONLY | PMD_TABLE_PXN | PMD_TABLE_UXN;
  return PTE_TYPE_MASK | PMD_TABLE_AF | limits | addressMask(geometry, geometry.pageShiftBits);
}

function leafPermissions(geometry: Geometry, raw: bigint): Permissions {
  if (!isStage2(geometry)) {
    return {
      read: true,
      write: !has(raw, PTE_RDONLY),
      user: has(raw, PTE_USER),
      executeUser: !has(raw, PTE_UXN),
      executeKernel: !has(raw, PTE_PXN),
    };
  }
  const xn = field(raw, 54, 53);
  return {
    read: has(raw, KVM_PTE_LEAF_ATTR_LO_S2_S2AP_R),
    write: has(raw, KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W),
    user: true,
    executeUser: xn === 0b00 || xn === 0b01,
    executeKernel: xn === 0b00 || xn === 0b11,
  };
}

function encodeLeafPermissions(
  geometry: Geometry,
  { read, write, user, executeUser, executeKernel }: Permissions,
): bigint {
  if (!isStage2(geometry)) {
    if (!read) fail('encode', 'an arm64 stage-1 leaf cannot forbid reads', geometry.name);
    return (
      (write ? 0n : PTE_RDONLY) | (user ? PTE_USER : 0n) | (executeUser ? 0n : PTE_UXN) | (executeKernel ? 0n : PTE_PXN)
    );
  }
  if (!user) fail('encode', 'a stage-2 leaf cannot tell EL0 from EL1', geometry.name, 'set permissions.user');
  const xn = executeUser ? (executeKernel ? 0b00 : 0b01) : executeKernel ? 0b11 : 0b10;
  return (read ? KVM_PTE_LEAF_ATTR_LO_S2_S2AP_R : 0n) | (write ? KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W : 0n) | place(xn, 53);
}

/** Decodes an arm64 descriptor of either stage. Use {@link decode} unless the format is known. */
export function decodeArm64(geometry: Geometry, level: Level, raw: bigint): Entry {
  const isLast = level.name === 'pte';
  const upper = has(raw, PTE_TABLE_BIT);
  // 0b01 is reserved, and so invalid, at the last level and where the granule has no blocks.
  if (!has(raw, PTE_VALID) || (!upper && (isLast || !level.canBeLeaf)))
    return { kind: 'invalid', level: level.name, raw };
  const stage2 = isStage2(geometry);
  if (upper && !isLast) {
    const limits: Permissions = {
      read: true,
      write: !has(raw, TABLE_AP_RDONLY),
      user: !has(raw, TABLE_AP_NO_EL0),
      executeUser: !has(raw, PMD_TABLE_UXN),
      executeKernel: !has(raw, PMD_TABLE_PXN),
    };
    return {
      kind: 'table',
      level: level.name,
      tableAddress: addressOf(geometry, geometry.pageShiftBits, raw),
      permissions: stage2 ? ALL_PERMITTED : limits,
      accessed: has(raw, PMD_TABLE_AF),
      otherBits: raw & ~tableFieldMask(geometry),
    };
  }
  const permissions = leafPermissions(geometry, raw);
  const dirtyBitManagement = has(raw, PTE_DBM);
  const shareability: Shareability = hasShareability(geometry)
    ? (SHAREABILITIES[field(raw, 9, 8)] ?? 'reserved')
    : 'tcr';
  return {
    kind: 'leaf',
    level: level.name,
    outputAddress: addressOf(geometry, level.shiftBits, raw),
    permissions,
    accessed: has(raw, PTE_AF),
    dirty: dirtyBitManagement && permissions.write,
    softwareDirty: !stage2 && has(raw, PTE_DIRTY),
    dirtyBitManagement,
    global: !stage2 && !has(raw, PTE_NG),
    contiguous: hasContiguous(level) && has(raw, PTE_CONT),
    memory: stage2
      ? { source: 'stage2', index: field(raw, 5, 2), shareability }
      : { source: 'mair', index: field(raw, 4, 2), shareability },
    otherBits: raw & ~leafFieldMask(geometry, level),
  };
}

function encodeTable(geometry: Geometry, entry: TableEntry): bigint {
  const { read, write, user, executeUser, executeKernel } = entry.permissions;
  const limits =
    (write ? 0n : TABLE_AP_RDONLY) |
    (user ? 0n : TABLE_AP_NO_EL0) |
    (executeUser ? 0n : PMD_TABLE_UXN) |
    (executeKernel ? 0n : PMD_TABLE_PXN);
  if (!read || (isStage2(geometry) && limits !== 0n))
    fail('encode', 'this table descriptor cannot carry such a restriction', geometry.name);
  return PTE_TYPE_MASK | limits | (entry.accessed ? PMD_TABLE_AF : 0n) | placeAddress(geometry, entry.tableAddress);
}

function encodeMemory(geometry: Geometry, { memory }: LeafEntry): bigint {
  const source = isStage2(geometry) ? 'stage2' : 'mair';
  if (memory.source !== source)
    return fail('encode', `a leaf of ${geometry.name} takes its memory type from ${source}`, memory.source);
  if (!Number.isInteger(memory.index) || memory.index < 0 || memory.index > ATTRIBUTE_MAX[source]) {
    fail('encode', `a ${source} attribute is 0 to ${ATTRIBUTE_MAX[source]}`, memory.index);
  }
  const expectsTcr = !hasShareability(geometry);
  if ((memory.shareability === 'tcr') !== expectsTcr) {
    fail(
      'encode',
      `shareability of ${geometry.name} ${expectsTcr ? "comes from the control register: 'tcr'" : 'is a field of the leaf'}`,
      memory.shareability,
    );
  }
  const shareability = memory.shareability === 'tcr' ? 0 : SHAREABILITIES.indexOf(memory.shareability);
  return place(memory.index, 2) | place(shareability, 8);
}

function encodeLeaf(geometry: Geometry, level: Level, entry: LeafEntry): bigint {
  const stage2 = isStage2(geometry);
  if (entry.dirty !== (entry.dirtyBitManagement && entry.permissions.write)) {
    const reason = 'an arm64 leaf is hardware-dirty exactly when it is writable and dirtyBitManagement is set';
    fail('encode', reason, `dirty: ${entry.dirty}`, 'use softwareDirty for a clean or read-only leaf');
  }
  if (stage2 && entry.softwareDirty) fail('encode', 'a stage-2 leaf has no software dirty bit', geometry.name);
  if (stage2 && entry.global) fail('encode', 'a stage-2 leaf has no nG bit', geometry.name, 'set global to false');
  if (entry.contiguous && !hasContiguous(level))
    fail('encode', `there are no contiguous groups at level ${level.name}`, geometry.name);
  let raw = level.name === 'pte' ? PTE_TYPE_PAGE : PTE_VALID;
  raw |=
    encodeLeafPermissions(geometry, entry.permissions) |
    encodeMemory(geometry, entry) |
    placeAddress(geometry, entry.outputAddress);
  if (entry.accessed) raw |= PTE_AF;
  if (entry.dirtyBitManagement) raw |= PTE_DBM;
  if (entry.softwareDirty) raw |= PTE_DIRTY;
  if (entry.contiguous) raw |= PTE_CONT;
  if (!entry.global && !stage2) raw |= PTE_NG;
  return raw;
}

/** Encodes a valid arm64 descriptor without its otherBits; addresses are checked by {@link encode}. */
export function encodeArm64(
  geometry: Geometry,
  level: Level,
  entry: LeafEntry | TableEntry,
): { readonly raw: bigint; readonly fieldMask: bigint } {
  return entry.kind === 'table'
    ? { raw: encodeTable(geometry, entry), fieldMask: tableFieldMask(geometry) }
    : { raw: encodeLeaf(geometry, level, entry), fieldMask: leafFieldMask(geometry, level) };
}

/**
 * The bits set in a valid descriptor though they are RES0: the unused address bits. Hardware ignores them (bits 49:48
 * of a 48-bit layout may raise an address size fault instead). Bit 16 of a block is nT (FEAT_BBM) and counts as used.
 */
export function reservedArm64(geometry: Geometry, level: Level, entry: Entry, raw: bigint): bigint {
  if (entry.kind === 'invalid') return 0n;
  const shiftBits = entry.kind === 'table' ? geometry.pageShiftBits : level.shiftBits;
  const isBlock = entry.kind === 'leaf' && level.name !== 'pte';
  return raw & genmask(49, 12) & ~addressMask(geometry, shiftBits) & ~(isBlock ? bit(16) : 0n);
}
