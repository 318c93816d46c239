// The shape of a translation tree: which bits of an address select an entry at which level.
//
//   x86-64, 4 levels       63..48 sign | 47..39 pgd | 38..30 pud | 29..21 pmd | 20..12 pte | 11..0 offset
//   arm64, 4K, 48-bit      63..48 half | 47..39 pgd | 38..30 pud | 29..21 pmd | 20..12 pte | 11..0 offset
//   arm64, 64K, 52-bit     63..52 half | 51..42 pgd              | 41..29 pmd | 28..16 pte | 15..0 offset
//   x86-32 PAE                           31..30 pgd              | 29..21 pmd | 20..12 pte | 11..0 offset

import { WORD_MASK, bit, fail, genmask } from './bits.ts';

/** A level of the tree, named as the kernel names it when levels are folded away: the top is always `pgd`. */
export type LevelName = 'pgd' | 'p4d' | 'pud' | 'pmd' | 'pte';

/** The layout of the 64-bit entries: which manual's tables decode them. */
export type EntryFormat = 'x86-64' | 'x86-32-pae' | 'arm64-stage1' | 'arm64-stage2';

/**
 * Where an entry keeps its output address. `plain`: in place. `lpa` (arm64 64K, FEAT_LPA): PA[51:48] in bits 15:12.
 * `lpa2` (arm64 4K and 16K, FEAT_LPA2): PA[49:48] in place, PA[51:50] in bits 9:8 instead of the SH field.
 */
export type AddressLayout = 'plain' | 'lpa' | 'lpa2';

/**
 * Which input addresses the tree translates. `sign-extended` (x86-64): bit vaBits-1 is repeated up to bit 63.
 * `two-roots` (arm64 stage 1): all zeroes above vaBits select TTBR0, all ones TTBR1. `low-only`: 0 to 2^vaBits - 1.
 */
export type AddressRule = 'sign-extended' | 'two-roots' | 'low-only';

/** The part of the address space an address lies in; `hole` is what no table translates (x86: non-canonical). */
export type Half = 'low' | 'high' | 'hole';

/** One level of a tree. */
export interface Level {
  readonly name: LevelName;
  /** The manual's number: arm64 -1 (top of five) to 3 (pages); x86 5 (PML5) to 1 (PT), as the kernel's PG_LEVEL_*. */
  readonly hardwareLevel: number;
  /** Lowest address bit that selects an entry at this level; log2 of the bytes one entry spans. */
  readonly shiftBits: number;
  /** Address bits that select an entry at this level. */
  readonly indexBits: number;
  /** Entries of the table at this level. A stage-2 top level counts all its concatenated tables. */
  readonly entries: number;
  /** Bytes of address space one entry spans. */
  readonly spanBytes: bigint;
  /** Whether the hardware accepts an entry here that maps memory itself (page, PSE page, block). */
  readonly canBeLeaf: boolean;
  /** Adjacent leaves one arm64 Contiguous-bit group has here; 1 where there is no such bit. */
  readonly contiguousEntries: number;
}

/**
 * The shape of one kind of translation tree. All of it is data: two geometries with equal fields are interchangeable.
 */
export interface Geometry {
  readonly name: string;
  readonly format: EntryFormat;
  readonly addressLayout: AddressLayout;
  readonly addressRule: AddressRule;
  /** Levels, top first. */
  readonly levels: readonly Level[];
  readonly pageShiftBits: number;
  readonly pageBytes: number;
  /** Input address bits of one half (stage 2: of the whole IPA space). */
  readonly vaBits: number;
  /** Output address bits an entry has room for. */
  readonly paBits: number;
  readonly entryBytes: number;
}

/** Bytes of one entry, in every format here. */
export const ENTRY_BYTES = 8;

/**
 * The level of that name.
 * @throws RangeError naming the geometry's levels when it has none of that name.
 */
export function levelNamed(geometry: Geometry, name: LevelName): Level {
  for (const level of geometry.levels) if (level.name === name) return level;
  return fail(
    'level',
    `${geometry.name} has no level of this name`,
    name,
    `it has ${geometry.levels.map((level) => level.name).join(' ')}`,
  );
}

/** The level below, or undefined below the last one. */
export function levelBelow(geometry: Geometry, name: LevelName): Level | undefined {
  return geometry.levels[geometry.levels.indexOf(levelNamed(geometry, name)) + 1];
}

/** Bytes of address space one entry of that level spans. */
export const levelSpanBytes = (geometry: Geometry, name: LevelName): bigint => levelNamed(geometry, name).spanBytes;

/**
 * Adjacent leaves in one arm64 Contiguous-bit group of that level (CONT_PTES, CONT_PMDS); 1 where there is no such bit.
 */
export const contiguousEntries = (geometry: Geometry, name: LevelName): number =>
  levelNamed(geometry, name).contiguousEntries;

/**
 * Bytes of address space one Contiguous-bit group spans (CONT_PTE_SIZE, CONT_PMD_SIZE); one entry's span without that
 * bit.
 */
export function contiguousSpanBytes(geometry: Geometry, name: LevelName): bigint {
  const level = levelNamed(geometry, name);
  return level.spanBytes * BigInt(level.contiguousEntries);
}

/**
 * Index of the entry that translates `va` in the table at that level. Bits above the tree's reach are ignored, as
 * hardware does.
 */
export function indexAt(geometry: Geometry, name: LevelName, va: bigint): number {
  const level = levelNamed(geometry, name);
  return Number((va >> BigInt(level.shiftBits)) & BigInt(level.entries - 1));
}

/** `va` rounded down to the start of the range one entry of that level spans. */
export function alignDown(geometry: Geometry, name: LevelName, va: bigint): bigint {
  return va & ~(levelNamed(geometry, name).spanBytes - 1n) & WORD_MASK;
}

/** The half that a 64-bit address lies in: the low one, the high one, or the hole between them. */
export function halfOf(geometry: Geometry, va: bigint): Half {
  if (va < 0n || va > WORD_MASK) return fail('address', 'an address has 64 bits', va);
  const fixedFromBit = geometry.addressRule === 'sign-extended' ? geometry.vaBits - 1 : geometry.vaBits;
  const fixed = genmask(63, fixedFromBit);
  if ((va & fixed) === 0n) return 'low';
  return (va & fixed) === fixed && geometry.addressRule !== 'low-only' ? 'high' : 'hole';
}

/**
 * Whether the tree can translate `va` at all. x86-64: canonical form (Intel SDM vol. 1, 3.3.7.1). arm64: inside the
 * TTBR0 or the TTBR1 range (Arm ARM D8, "Input address size"); a top-byte tag must have been removed before.
 */
export const isCanonical = (geometry: Geometry, va: bigint): boolean => halfOf(geometry, va) !== 'hole';

/** An address taken apart. */
export interface SplitAddress {
  readonly half: 'low' | 'high';
  /** One index per level of the geometry, top first. */
  readonly indices: readonly number[];
  readonly offsetBytes: number;
}

/**
 * Takes an address apart into half, one index per level and byte offset in the page.
 * @throws RangeError when the address lies in the hole.
 */
export function split(geometry: Geometry, va: bigint): SplitAddress {
  const half = halfOf(geometry, va);
  if (half === 'hole')
    return fail(
      'split',
      `${geometry.name} does not translate this address`,
      va,
      'it is neither in the low nor in the high half',
    );
  const indices = geometry.levels.map((level) => indexAt(geometry, level.name, va));
  return { half, indices, offsetBytes: Number(va & BigInt(geometry.pageBytes - 1)) };
}

/**
 * Puts an address together again: the inverse of {@link split}.
 * @throws RangeError when an index or the offset is out of range, or the half contradicts the indices (x86-64 derives
 * it from them).
 */
export function join(geometry: Geometry, { half, indices, offsetBytes }: SplitAddress): bigint {
  if (indices.length !== geometry.levels.length)
    return fail('join', `${geometry.name} has ${geometry.levels.length} levels`, `${indices.length} indices`);
  if (!Number.isInteger(offsetBytes) || offsetBytes < 0 || offsetBytes >= geometry.pageBytes) {
    return fail('join', `an offset is below ${geometry.pageBytes}`, offsetBytes);
  }
  let low = BigInt(offsetBytes);
  geometry.levels.forEach((level, position) => {
    const index = indices[position] ?? -1;
    if (!Number.isInteger(index) || index < 0 || index >= level.entries) {
      fail('join', `an index at level ${level.name} is below ${level.entries}`, index);
    }
    low |= BigInt(index) << BigInt(level.shiftBits);
  });
  const va = half === 'high' ? low | genmask(63, geometry.vaBits) : low;
  if (halfOf(geometry, va) !== half)
    return fail('join', `these indices are not in the ${half} half of ${geometry.name}`, indices.join(' '));
  return va;
}

/**
 * Number of the page that `va` lies in, counted from the start of its half: an exact number, for code that cannot
 * afford bigints. Add {@link halfOf} where both halves meet.
 */
export function pageNumber(geometry: Geometry, va: bigint): number {
  return Number((va & (bit(geometry.vaBits) - 1n)) >> BigInt(geometry.pageShiftBits));
}

/** {@link indexAt} for a page number of {@link pageNumber}, without bigints. */
export function indexAtPageNumber(geometry: Geometry, level: Level, page: number): number {
  return Math.floor(page / 2 ** (level.shiftBits - geometry.pageShiftBits)) % level.entries;
}
