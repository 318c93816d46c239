import { readFileSync } from 'node:fs';
import { expect, describe, test } from 'vitest';
import {
  decode,
  encode,
  geometryNamed,
  isCanonical,
  isDirty,
  linuxView,
  mairMemoryType,
  reservedBits,
  stage2MemoryType,
  type LeafEntry,
  type LevelName,
} from './index.ts';

/** Bit 63 of a pagemap word, in the words shifted right by 55 that the samples hold. */
const PAGEMAP_PRESENT = 0x100n;

/** One entry out of the memory of a running kernel, and what that kernel said about its address. */
interface Sample {
  readonly geometry: string;
  readonly level: LevelName;
  readonly va: string;
  readonly raw: string;
  readonly dump?: string;
  readonly pagemap?: { readonly pfn: string; readonly flags: string };
  readonly pa?: string;
}

const file = JSON.parse(readFileSync(new URL('../test-data/linux-7.2-entries.json', import.meta.url), 'utf8')) as {
  readonly mairEl2: string;
  readonly entries: readonly Sample[];
};
const mairEl2 = BigInt(file.mairEl2);
const samples = file.entries.map((sample) => [`${sample.geometry} ${sample.level} ${sample.raw}`, sample] as const);

const flag = (set: boolean, yes: string, no = ' '.repeat(yes.length)): string => (set ? yes : no);

/**
 * The attribute columns of arch/x86/mm/dump_pagetables.c, from the decoded leaf. Index bits 0 and 1 are PWT and PCD.
 */
function x86Columns({ permissions, memory, global, level }: LeafEntry): string {
  const { write, user, executeKernel } = permissions;
  const columns = [
    flag(user, 'USR'),
    flag(write, 'RW', 'ro'),
    flag((memory.index & 1) !== 0, 'PWT'),
    flag((memory.index & 2) !== 0, 'PCD'),
    flag(level !== 'pte', 'PSE'),
  ];
  return [
    ...columns,
    flag(memory.index >= 4, 'PAT'),
    flag(global, 'GLB'),
    flag(!executeKernel, 'NX', 'x '),
    level,
  ].join(' ');
}

const MAIR_COLUMN: Readonly<Record<string, string>> = {
  'Normal-WB': 'MEM/NORMAL',
  'Normal-NC': 'MEM/NORMAL-NC',
  'Device-nGnRE': 'DEVICE/nGnRE',
  'Device-nGnRnE': 'DEVICE/nGnRnE',
};

/**
 * The attribute columns of arch/arm64/mm/ptdump.c, from the decoded leaf. MAIR index 1 is MT_NORMAL_TAGGED, here
 * without MTE.
 */
function arm64Columns({ permissions, memory, global, accessed, contiguous, level }: LeafEntry): string {
  const { write, user, executeUser, executeKernel } = permissions;
  const shared = 'shareability' in memory && memory.shareability === 'inner';
  const type = MAIR_COLUMN[mairMemoryType(mairEl2, memory.index).name] ?? '?';
  const columns = [
    level.toUpperCase(),
    ' ',
    flag(user, 'USR'),
    flag(!write, 'ro', 'RW'),
    flag(!executeKernel, 'NX', 'x '),
    flag(shared, 'SHD'),
    flag(accessed, 'AF'),
    flag(!global, 'NG'),
  ];
  return [
    ...columns,
    flag(contiguous, 'CON'),
    flag(level !== 'pte', 'BLK'),
    flag(!executeUser, 'UXN'),
    '  ',
    memory.index === 1 ? `${type}-TAGGED` : type,
  ].join(' ');
}

/** The attribute columns of arch/arm64/kvm/ptdump.c, from the decoded leaf. */
function stage2Columns({ permissions, accessed, level }: LeafEntry): string {
  const { read, write, executeUser, executeKernel } = permissions;
  const execution = `${flag(!executeKernel, 'PXN', 'px ')}${flag(!executeUser, 'UXN', 'ux ')}`;
  return [
    level === 'pte' ? '3' : '2',
    ' ',
    flag(read, 'R'),
    flag(write, 'W'),
    execution,
    flag(accessed, 'AF'),
    flag(level !== 'pte', 'BLK'),
  ].join(' ');
}

const columnsOf = (sample: Sample, leaf: LeafEntry): string =>
  sample.geometry.startsWith('x86')
    ? x86Columns(leaf)
    : sample.geometry.includes('stage2')
      ? stage2Columns(leaf)
      : arm64Columns(leaf);

describe.each(samples)('%s', (_name, sample) => {
  const geometry = geometryNamed(sample.geometry);
  const raw = BigInt(sample.raw);

  test('is decoded and encoded without loss, and has no reserved bit set', () => {
    expect(encode(geometry, decode(geometry, sample.level, raw))).toBe(raw);
    expect(reservedBits(geometry, sample.level, raw)).toBe(0n);
    expect(isCanonical(geometry, BigInt(sample.va))).toBe(true);
  });
});

const leafOf = (sample: Sample): LeafEntry => {
  const entry = linuxView(geometryNamed(sample.geometry), sample.level, BigInt(sample.raw));
  if (entry?.kind !== 'leaf') throw new Error(`${sample.raw} is no leaf to Linux`);
  return entry;
};
const isValid = (sample: Sample): boolean =>
  decode(geometryNamed(sample.geometry), sample.level, BigInt(sample.raw)).kind !== 'invalid';

test.each(samples.filter(([, sample]) => sample.dump !== undefined && isValid(sample)))(
  '%s has the attribute columns that the kernel printed',
  (_name, sample) => {
    expect(columnsOf(sample, leafOf(sample))).toBe(sample.dump);
  },
);

test.each(samples.filter(([, sample]) => sample.pagemap !== undefined))(
  '%s is present in pagemap, with that frame',
  (_name, sample) => {
    expect(BigInt(sample.pagemap?.flags ?? '0x0') & PAGEMAP_PRESENT).toBe(PAGEMAP_PRESENT);
    expect(leafOf(sample).outputAddress >> 12n).toBe(BigInt(sample.pagemap?.pfn ?? '0x0'));
  },
);

test.each(samples.filter(([, sample]) => sample.pa !== undefined))(
  '%s maps the guest page to that host page, write-back',
  (_name, sample) => {
    expect(leafOf(sample).outputAddress).toBe(BigInt(sample.pa ?? '0x0'));
    expect(stage2MemoryType(leafOf(sample).memory.index, true).name).toBe('Normal-WB');
  },
);

test('of all samples only the two PROT_NONE pages are present to Linux and not to the hardware', () => {
  const only = file.entries.filter((sample) => !isValid(sample));
  expect(only.map((sample) => [sample.geometry, sample.va])).toEqual([
    ['x86-64-4l', '0x300000000000'],
    ['arm64-4k-48', '0x300000000000'],
  ]);
});

test('read-only x86 pages that were written keep it in bit 58, never in D', () => {
  const readOnly = file.entries.flatMap((sample) => {
    const entry = decode(geometryNamed(sample.geometry), sample.level, BigInt(sample.raw));
    return sample.geometry.startsWith('x86') && entry.kind === 'leaf' && !entry.permissions.write ? [entry] : [];
  });
  expect(readOnly.some((leaf) => isDirty(leaf))).toBe(true);
  expect(readOnly.some((leaf) => leaf.dirty)).toBe(false);
});
