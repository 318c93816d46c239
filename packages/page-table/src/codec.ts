// Decoding and encoding of an entry of any geometry, and the changes that hardware makes to one.

import { WORD_MASK, fail, has } from './bits.ts';
import {
  KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W,
  PTE_AF,
  PTE_DBM,
  PTE_RDONLY,
  decodeArm64,
  encodeArm64,
  reservedArm64,
} from './arm64.ts';
import type { Entry } from './entry.ts';
import { levelNamed, type Geometry, type Level, type LevelName } from './geometry.ts';
import { _PAGE_ACCESSED, _PAGE_DIRTY, decodeX86, encodeX86, reservedX86 } from './x86.ts';

const isX86 = (geometry: Geometry): boolean => geometry.format === 'x86-64' || geometry.format === 'x86-32-pae';

function checkRaw(operation: string, raw: bigint): void {
  if (raw < 0n || raw > WORD_MASK) fail(operation, 'an entry has 64 bits', raw);
}

function decodeAt(geometry: Geometry, level: Level, raw: bigint): Entry {
  checkRaw('decode', raw);
  return isX86(geometry) ? decodeX86(geometry, level, raw) : decodeArm64(geometry, level, raw);
}

/**
 * What the hardware makes of the 64 bits of an entry at that level. Nothing is lost: {@link encode} gives the same bits
 * back.
 *
 * @example
 * decode(geometryNamed('x86-64-4l'), 'pmd', 0x80000000002001e3n) // kind: 'leaf', outputAddress: 0x200000n, global:
 * true, ...
 * @throws RangeError when the geometry has no such level or `raw` is not a 64-bit word.
 */
export function decode(geometry: Geometry, level: LevelName, raw: bigint): Entry {
  return decodeAt(geometry, levelNamed(geometry, level), raw);
}

function checkAddress(geometry: Geometry, what: string, address: bigint, alignmentBytes: bigint): void {
  if (address < 0n || address >> BigInt(geometry.paBits) !== 0n)
    fail('encode', `${what} has at most ${geometry.paBits} bits (${geometry.name})`, address);
  if (address % alignmentBytes !== 0n)
    fail('encode', `${what} must be a multiple of ${alignmentBytes} bytes here (${geometry.name})`, address);
}

/**
 * The 64 bits of an entry: the inverse of {@link decode}. The level is the entry's own.
 * @throws RangeError when the format cannot express the entry, saying which field and why.
 */
export function encode(geometry: Geometry, entry: Entry): bigint {
  const level = levelNamed(geometry, entry.level);
  if (entry.kind === 'invalid') {
    if (decodeAt(geometry, level, entry.raw).kind !== 'invalid') {
      fail('encode', `the bits of an invalid entry are valid at level ${level.name}`, entry.raw, 'decode them');
    }
    return entry.raw;
  }
  if (entry.kind === 'leaf') {
    if (!level.canBeLeaf)
      fail(
        'encode',
        `a leaf is not allowed at level ${level.name}`,
        geometry.name,
        `allowed: ${leafLevelNames(geometry)}`,
      );
    checkAddress(geometry, 'the address of a leaf', entry.outputAddress, level.spanBytes);
  } else {
    if (level.name === 'pte')
      fail('encode', 'a table is not allowed at level pte', geometry.name, 'the last level has leaves only');
    checkAddress(geometry, 'the address of a table', entry.tableAddress, BigInt(geometry.pageBytes));
  }
  checkRaw('encode', entry.otherBits);
  const { raw, fieldMask } = isX86(geometry) ? encodeX86(geometry, level, entry) : encodeArm64(geometry, level, entry);
  const clash = entry.otherBits & fieldMask;
  if (clash !== 0n) {
    fail(
      'encode',
      `otherBits holds bits that belong to a field of a ${level.name} ${entry.kind} (${geometry.name})`,
      clash,
      'set the field instead',
    );
  }
  return raw | entry.otherBits;
}

const leafLevelNames = (geometry: Geometry): string =>
  geometry.levels
    .filter((level) => level.canBeLeaf)
    .map((level) => level.name)
    .join(' ');

/**
 * The bits of an entry that are set though the manual reserves them: 0n for a well-formed entry. x86 raises a page
 * fault with RSVD set; arm64 ignores them (RES0).
 */
export function reservedBits(geometry: Geometry, levelName: LevelName, raw: bigint): bigint {
  const level = levelNamed(geometry, levelName);
  const entry = decodeAt(geometry, level, raw);
  return isX86(geometry) ? reservedX86(geometry, level, entry, raw) : reservedArm64(geometry, level, entry, raw);
}

/**
 * The entry with the address of its leaf advanced by that many pages of the granule: the kernel's pte_advance_pfn().
 * @throws RangeError when the entry is not a valid leaf, or the new address does not fit.
 */
export function pte_advance_pfn(geometry: Geometry, level: LevelName, raw: bigint, pages: number): bigint {
  const entry = decode(geometry, level, raw);
  if (entry.kind !== 'leaf')
    return fail('pte_advance_pfn', `this ${level} is ${entry.kind}, not a leaf (${geometry.name})`, raw);
  return encode(geometry, {
    ...entry,
    outputAddress: entry.outputAddress + BigInt(pages) * BigInt(geometry.pageBytes),
  });
}

/**
 * The bits after the hardware has set the accessed bit or access flag of a valid entry during a walk. x86 does so in
 * every entry it walks through; arm64 with TCR_ELx.HA in the leaf, and with FEAT_HAFT in tables too. An invalid entry,
 * and a PAE pgd entry, which has no such bit, come back unchanged.
 */
export function hardwareSetAccessed(geometry: Geometry, level: LevelName, raw: bigint): bigint {
  const entry = decode(geometry, level, raw);
  if (entry.kind === 'invalid') return raw;
  if (!isX86(geometry)) return raw | PTE_AF;
  return geometry.format === 'x86-32-pae' && level === 'pgd' ? raw : raw | _PAGE_ACCESSED;
}

/**
 * The bits after the hardware has recorded a store through a valid leaf: accessed, and dirty if the format lets it. x86
 * sets D; arm64 with TCR_ELx.HD (VTCR_EL2.HD) makes a DBM leaf writable. Whether the store is permitted is for the
 * caller to decide; entries that are no leaves come back unchanged.
 */
export function hardwareSetDirty(geometry: Geometry, level: LevelName, raw: bigint): bigint {
  if (decode(geometry, level, raw).kind !== 'leaf') return raw;
  if (isX86(geometry)) return raw | _PAGE_ACCESSED | _PAGE_DIRTY;
  if (!has(raw, PTE_DBM)) return raw | PTE_AF;
  return geometry.format === 'arm64-stage2'
    ? raw | PTE_AF | KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W
    : (raw | PTE_AF) & ~PTE_RDONLY;
}
