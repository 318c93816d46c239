// The geometries themselves: builders, and a registry of the usual ones by name.

import { bit, fail } from './bits.ts';
import {
  ENTRY_BYTES,
  type AddressLayout,
  type AddressRule,
  type EntryFormat,
  type Geometry,
  type Level,
  type LevelName,
} from './geometry.ts';

interface LevelPlan {
  readonly name: LevelName;
  readonly hardwareLevel: number;
  readonly canBeLeaf: boolean;
  readonly contiguousEntries: number;
}

interface Plan {
  readonly name: string;
  readonly format: EntryFormat;
  readonly addressLayout: AddressLayout;
  readonly addressRule: AddressRule;
  readonly pageShiftBits: number;
  readonly vaBits: number;
  readonly paBits: number;
  /** Top first; every level but the top selects with as many bits as a page of entries needs. */
  readonly levels: readonly LevelPlan[];
}

function build(plan: Plan): Geometry {
  const bitsPerLevel = plan.pageShiftBits - Math.log2(ENTRY_BYTES);
  const last = plan.levels.length - 1;
  const levels = plan.levels.map((level, position): Level => {
    const shiftBits = plan.pageShiftBits + (last - position) * bitsPerLevel;
    const indexBits = position === 0 ? plan.vaBits - shiftBits : bitsPerLevel;
    return { ...level, shiftBits, indexBits, entries: 2 ** indexBits, spanBytes: bit(shiftBits) };
  });
  const { name, format, addressLayout, addressRule, pageShiftBits, vaBits, paBits } = plan;
  return {
    name,
    format,
    addressLayout,
    addressRule,
    levels,
    pageShiftBits,
    pageBytes: 2 ** pageShiftBits,
    vaBits,
    paBits,
    entryBytes: ENTRY_BYTES,
  };
}

const X86_PAGE_SHIFT_BITS = 12;
/** MAXPHYADDR at its architectural limit (Intel SDM vol. 3, 5.1.4). */
const X86_PA_BITS = 52;

function x86(
  name: string,
  format: EntryFormat,
  vaBits: number,
  names: readonly LevelName[],
  leafNames: readonly LevelName[],
): Geometry {
  return build({
    name,
    format,
    addressLayout: 'plain',
    addressRule: format === 'x86-64' ? 'sign-extended' : 'low-only',
    pageShiftBits: X86_PAGE_SHIFT_BITS,
    vaBits,
    paBits: X86_PA_BITS,
    levels: names.map((level, position) => ({
      name: level,
      hardwareLevel: names.length - position,
      canBeLeaf: leafNames.includes(level),
      contiguousEntries: 1,
    })),
  });
}

/** What an arm64 geometry is built from; the fields of TCR_ELx or VTCR_EL2 in plain numbers. */
export interface Arm64Shape {
  readonly granuleBytes: 4096 | 16384 | 65536;
  /** Stage 1: 64 - TxSZ, bits of each half. Stage 2: bits of the intermediate physical address. */
  readonly vaBits: number;
  /** 52 means FEAT_LPA with 64K, and FEAT_LPA2 with TCR.DS = 1 (which changes the entry layout) with 4K and 16K. */
  readonly paBits: 48 | 52;
  readonly stage: 1 | 2;
  /** Taken as it is; by default `arm64-<granule>-<vaBits>` or `arm64-<granule>-stage2-<vaBits>`. */
  readonly name?: string;
}

const ARM64_LAST_LEVEL = 3;
const ARM64_LEVELS_MIN = 2;
const ARM64_LEVELS_MAX = 5;
/**
 * Up to 16 stage-2 tables may be concatenated at the first level looked up (Arm ARM D8, "Concatenated translation
 * tables"), which saves up to 4 index bits.
 */
const STAGE2_CONCATENATION_BITS = 4;

/** Kernel names by depth of the tree, as pgtable-nop4d.h, -nopud.h and -nopmd.h fold them. */
const FOLDED_NAMES: Readonly<Record<number, readonly LevelName[]>> = {
  2: ['pgd', 'pte'],
  3: ['pgd', 'pmd', 'pte'],
  4: ['pgd', 'pud', 'pmd', 'pte'],
  5: ['pgd', 'p4d', 'pud', 'pmd', 'pte'],
};
/** Stage 2 is never folded: the name follows the hardware level 0 to 3. */
const STAGE2_NAMES: readonly LevelName[] = ['pgd', 'pud', 'pmd', 'pte'];

/**
 * Hardware level of the largest block by granule, without and with 52-bit output addresses (Arm ARM D8, "Block
 * descriptor and Page descriptor formats").
 */
const FIRST_BLOCK_LEVEL: Readonly<Record<number, Readonly<Record<48 | 52, number>>>> = {
  4096: { 48: 1, 52: 0 },
  16384: { 48: 2, 52: 1 },
  65536: { 48: 2, 52: 1 },
};

/**
 * Entries per Contiguous-bit group by granule and hardware level (Arm ARM D8, "The Contiguous bit"; CONT_PTES and
 * CONT_PMDS of the kernel). The blocks that only exist with 52-bit output addresses are left out: they have no group
 * here.
 */
const CONTIGUOUS_ENTRIES: Readonly<Record<number, Readonly<Record<number, number>>>> = {
  4096: { 1: 16, 2: 16, 3: 16 },
  16384: { 2: 32, 3: 128 },
  65536: { 2: 32, 3: 32 },
};

/**
 * Levels as ARM64_HW_PGTABLE_LEVELS() counts them (arch/arm64/include/asm/pgtable-hwdef.h): the top one may be partial.
 */
const levelsFor = (bits: number, pageShiftBits: number): number =>
  Math.ceil((bits - pageShiftBits) / (pageShiftBits - Math.log2(ENTRY_BYTES)));

/**
 * An arm64 geometry of any shape the manual defines, for instance one read from TCR_EL1 or VTCR_EL2 of a memory image.
 * Stage 2 concatenates tables whenever that saves a level, as KVM does (stage2_pgtable_levels()).
 * @throws RangeError when the granule, the address sizes and the stage do not go together.
 */
export function arm64Geometry(shape: Arm64Shape): Geometry {
  const { granuleBytes, vaBits, paBits, stage } = shape;
  const blockLevel = FIRST_BLOCK_LEVEL[granuleBytes]?.[paBits];
  if (blockLevel === undefined)
    return fail(
      'geometry',
      'arm64 has granules of 4096, 16384 and 65536 bytes and 48 or 52 PA bits',
      `${granuleBytes}, ${paBits}`,
    );
  const vaBitsMax = granuleBytes === 65536 && stage === 1 ? 52 : paBits;
  if (!Number.isInteger(vaBits) || vaBits > vaBitsMax) {
    return fail(
      'geometry',
      `input addresses have at most ${vaBitsMax} bits with this granule and ${paBits} PA bits`,
      vaBits,
    );
  }

  const pageShiftBits = Math.log2(granuleBytes);
  const depth = levelsFor(stage === 2 ? vaBits - STAGE2_CONCATENATION_BITS : vaBits, pageShiftBits);
  const names = (stage === 2 ? STAGE2_NAMES.slice(STAGE2_NAMES.length - depth) : FOLDED_NAMES[depth]) ?? [];
  if (depth < ARM64_LEVELS_MIN || depth > ARM64_LEVELS_MAX || names.length !== depth) {
    return fail(
      'geometry',
      `a tree has ${ARM64_LEVELS_MIN} to ${ARM64_LEVELS_MAX} levels, this one would have ${depth}`,
      `${granuleBytes} bytes, ${vaBits} bits`,
    );
  }
  const granule = `${granuleBytes / 1024}k`;
  return build({
    name: shape.name ?? (stage === 2 ? `arm64-${granule}-stage2-${vaBits}` : `arm64-${granule}-${vaBits}`),
    format: stage === 2 ? 'arm64-stage2' : 'arm64-stage1',
    addressLayout: paBits === 48 ? 'plain' : granuleBytes === 65536 ? 'lpa' : 'lpa2',
    addressRule: stage === 2 ? 'low-only' : 'two-roots',
    pageShiftBits,
    vaBits,
    paBits,
    levels: names.map((name, position) => {
      const hardwareLevel = ARM64_LAST_LEVEL - (depth - 1 - position);
      return {
        name,
        hardwareLevel,
        canBeLeaf: hardwareLevel === ARM64_LAST_LEVEL || hardwareLevel >= blockLevel,
        contiguousEntries: CONTIGUOUS_ENTRIES[granuleBytes]?.[hardwareLevel] ?? 1,
      };
    }),
  });
}

/**
 * The usual geometries. x86: Intel SDM vol. 3, chapter 5 (5.4 PAE, 5.5 4-level and 5-level paging); the 4-level tree
 * calls its top level `pgd`, as the kernel does when p4d is folded. arm64: Arm ARM DDI 0487, chapter D8; the name ends
 * in the VA bits (stage 2: the IPA bits), and the 52-bit ones have 52-bit output addresses too.
 */
export const geometries: readonly Geometry[] = [
  x86('x86-64-4l', 'x86-64', 48, ['pgd', 'pud', 'pmd', 'pte'], ['pud', 'pmd', 'pte']),
  x86('x86-64-5l', 'x86-64', 57, ['pgd', 'p4d', 'pud', 'pmd', 'pte'], ['pud', 'pmd', 'pte']),
  x86('x86-32-pae', 'x86-32-pae', 32, ['pgd', 'pmd', 'pte'], ['pmd', 'pte']),
  arm64Geometry({ granuleBytes: 4096, vaBits: 39, paBits: 48, stage: 1 }),
  arm64Geometry({ granuleBytes: 4096, vaBits: 48, paBits: 48, stage: 1 }),
  arm64Geometry({ granuleBytes: 4096, vaBits: 52, paBits: 52, stage: 1 }),
  arm64Geometry({ granuleBytes: 16384, vaBits: 47, paBits: 48, stage: 1 }),
  arm64Geometry({ granuleBytes: 16384, vaBits: 48, paBits: 48, stage: 1 }),
  arm64Geometry({ granuleBytes: 16384, vaBits: 52, paBits: 52, stage: 1 }),
  arm64Geometry({ granuleBytes: 65536, vaBits: 42, paBits: 48, stage: 1 }),
  arm64Geometry({ granuleBytes: 65536, vaBits: 48, paBits: 48, stage: 1 }),
  arm64Geometry({ granuleBytes: 65536, vaBits: 52, paBits: 52, stage: 1 }),
  arm64Geometry({ granuleBytes: 4096, vaBits: 40, paBits: 48, stage: 2 }),
  arm64Geometry({ granuleBytes: 16384, vaBits: 40, paBits: 48, stage: 2 }),
  arm64Geometry({ granuleBytes: 65536, vaBits: 40, paBits: 48, stage: 2 }),
  arm64Geometry({ granuleBytes: 4096, vaBits: 52, paBits: 52, stage: 2 }),
];

/**
 * The registered geometry of that name.
 * @throws RangeError listing every available name.
 */
export function geometryNamed(name: string): Geometry {
  for (const geometry of geometries) if (geometry.name === name) return geometry;
  return fail(
    'geometry',
    'no geometry has this name',
    name,
    `available: ${geometries.map((geometry) => geometry.name).join(', ')}`,
  );
}
