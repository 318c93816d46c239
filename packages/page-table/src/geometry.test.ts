import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  alignDown,
  arm64Geometry,
  contiguousEntries,
  contiguousSpanBytes,
  geometries,
  geometryNamed,
  halfOf,
  indexAt,
  indexAtPageNumber,
  isCanonical,
  join,
  levelBelow,
  levelNamed,
  levelSpanBytes,
  pageNumber,
  split,
  type Geometry,
  type LevelName,
} from './index.ts';

const KB = 1024n;
const MB = 1024n * KB;
const GB = 1024n * MB;

const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const anyGeometry = fc.constantFrom(...geometries);

/** An address the geometry translates: a random one, moved into the low or the high half. */
const address = (geometry: Geometry): fc.Arbitrary<bigint> =>
  fc.tuple(word, fc.boolean()).map(([bits, high]) => {
    const bitsOfHalf = geometry.addressRule === 'sign-extended' ? geometry.vaBits - 1 : geometry.vaBits;
    const low = BigInt.asUintN(bitsOfHalf, bits);
    return high && geometry.addressRule !== 'low-only' ? BigInt.asUintN(64, low - (1n << BigInt(bitsOfHalf))) : low;
  });
const geometryAndAddress = anyGeometry.chain((geometry) =>
  fc.record({ geometry: fc.constant(geometry), va: address(geometry) }),
);

const shapes = (name: string): string =>
  geometryNamed(name)
    .levels.map(
      (level) =>
        `${level.name}:${level.hardwareLevel}:${level.shiftBits}:${level.entries}${level.canBeLeaf ? ':leaf' : ''}`,
    )
    .join(' ');

describe('shape of the trees', () => {
  test.each([
    ['x86-64-4l', 'pgd:4:39:512 pud:3:30:512:leaf pmd:2:21:512:leaf pte:1:12:512:leaf'],
    ['x86-64-5l', 'pgd:5:48:512 p4d:4:39:512 pud:3:30:512:leaf pmd:2:21:512:leaf pte:1:12:512:leaf'],
    ['x86-32-pae', 'pgd:3:30:4 pmd:2:21:512:leaf pte:1:12:512:leaf'],
    ['arm64-4k-39', 'pgd:1:30:512:leaf pmd:2:21:512:leaf pte:3:12:512:leaf'],
    ['arm64-4k-48', 'pgd:0:39:512 pud:1:30:512:leaf pmd:2:21:512:leaf pte:3:12:512:leaf'],
    ['arm64-4k-52', 'pgd:-1:48:16 p4d:0:39:512:leaf pud:1:30:512:leaf pmd:2:21:512:leaf pte:3:12:512:leaf'],
    ['arm64-16k-47', 'pgd:1:36:2048 pmd:2:25:2048:leaf pte:3:14:2048:leaf'],
    ['arm64-16k-48', 'pgd:0:47:2 pud:1:36:2048 pmd:2:25:2048:leaf pte:3:14:2048:leaf'],
    ['arm64-16k-52', 'pgd:0:47:32 pud:1:36:2048:leaf pmd:2:25:2048:leaf pte:3:14:2048:leaf'],
    ['arm64-64k-42', 'pgd:2:29:8192:leaf pte:3:16:8192:leaf'],
    ['arm64-64k-48', 'pgd:1:42:64 pmd:2:29:8192:leaf pte:3:16:8192:leaf'],
    ['arm64-64k-52', 'pgd:1:42:1024:leaf pmd:2:29:8192:leaf pte:3:16:8192:leaf'],
    // Two concatenated tables at level 1, as KVM makes them for a 40-bit IPA.
    ['arm64-4k-stage2-40', 'pud:1:30:1024:leaf pmd:2:21:512:leaf pte:3:12:512:leaf'],
    ['arm64-16k-stage2-40', 'pmd:2:25:32768:leaf pte:3:14:2048:leaf'],
    ['arm64-64k-stage2-40', 'pmd:2:29:2048:leaf pte:3:16:8192:leaf'],
    ['arm64-4k-stage2-52', 'pgd:0:39:8192:leaf pud:1:30:512:leaf pmd:2:21:512:leaf pte:3:12:512:leaf'],
  ])('%s has the levels %s', (name, expected) => {
    expect(shapes(name)).toBe(expected);
  });

  test('every registered geometry is in the table above', () => {
    expect(geometries).toHaveLength(16);
    expect(new Set(geometries.map((geometry) => geometry.name)).size).toBe(16);
  });

  test('the levels of a tree meet without a gap: one entry spans the whole table below', () => {
    for (const geometry of geometries) {
      for (const level of geometry.levels) {
        const below = levelBelow(geometry, level.name);
        expect(level.spanBytes).toBe(
          below === undefined ? BigInt(geometry.pageBytes) : below.spanBytes * BigInt(below.entries),
        );
      }
      const [top] = geometry.levels;
      expect((top?.spanBytes ?? 0n) * BigInt(top?.entries ?? 0)).toBe(1n << BigInt(geometry.vaBits));
    }
  });

  test.each<[string, LevelName, number, bigint]>([
    ['arm64-4k-48', 'pte', 16, 64n * KB],
    ['arm64-4k-48', 'pmd', 16, 32n * MB],
    ['arm64-16k-48', 'pte', 128, 2n * MB],
    ['arm64-16k-48', 'pmd', 32, GB],
    ['arm64-64k-48', 'pte', 32, 2n * MB],
    ['arm64-64k-48', 'pmd', 32, 16n * GB],
    ['x86-64-4l', 'pte', 1, 4n * KB],
  ])('%s: a contiguous group of %ss has %i entries', (name, level, entries, bytes) => {
    expect(contiguousEntries(geometryNamed(name), level)).toBe(entries);
    expect(contiguousSpanBytes(geometryNamed(name), level)).toBe(bytes);
  });

  test.each<[string, bigint]>([
    ['arm64-4k-48', 2n * MB],
    ['arm64-16k-48', 32n * MB],
    ['arm64-64k-48', 512n * MB],
  ])('%s: a pmd spans %i bytes', (name, bytes) => {
    expect(levelSpanBytes(geometryNamed(name), 'pmd')).toBe(bytes);
  });
});

describe('taking an address apart', () => {
  test('join is the inverse of split, for every geometry', () => {
    fc.assert(
      fc.property(geometryAndAddress, ({ geometry, va }) => {
        expect(join(geometry, split(geometry, va))).toBe(va);
      }),
    );
  });

  test('split is the inverse of join, for every geometry', () => {
    const parts = anyGeometry.chain((geometry) =>
      fc.record({
        geometry: fc.constant(geometry),
        indices: fc.tuple(...geometry.levels.map((level) => fc.nat(level.entries - 1))),
        offsetBytes: fc.nat(geometry.pageBytes - 1),
        high: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(parts, ({ geometry, indices, offsetBytes, high }) => {
        const [top = 0] = indices;
        const signed = top >= (geometry.levels[0]?.entries ?? 0) / 2;
        const inHighHalf =
          geometry.addressRule === 'sign-extended' ? signed : geometry.addressRule === 'two-roots' && high;
        const taken = { half: inHighHalf ? 'high' : 'low', indices, offsetBytes } as const;
        expect(split(geometry, join(geometry, taken))).toEqual(taken);
      }),
    );
  });

  test('indices are found the same way from a page number, without bigints', () => {
    fc.assert(
      fc.property(geometryAndAddress, ({ geometry, va }) => {
        for (const level of geometry.levels) {
          expect(indexAtPageNumber(geometry, level, pageNumber(geometry, va))).toBe(indexAt(geometry, level.name, va));
        }
      }),
    );
  });

  test('aligning down keeps the index of the level and clears those below', () => {
    fc.assert(
      fc.property(geometryAndAddress, ({ geometry, va }) => {
        for (const level of geometry.levels) {
          const start = alignDown(geometry, level.name, va);
          expect(va - start).toBeLessThan(level.spanBytes);
          expect(start % level.spanBytes).toBe(0n);
          expect(indexAt(geometry, level.name, start)).toBe(indexAt(geometry, level.name, va));
        }
      }),
    );
  });

  test('the x86-64 direct map starts at pgd 273, the kernel image at pgd 511, pud 510', () => {
    const geometry = geometryNamed('x86-64-4l');
    expect(split(geometry, 0xffff_8880_0000_0000n)).toEqual({ half: 'high', indices: [273, 0, 0, 0], offsetBytes: 0 });
    expect(split(geometry, 0xffff_ffff_8100_0fffn)).toEqual({
      half: 'high',
      indices: [511, 510, 8, 0],
      offsetBytes: 0xfff,
    });
  });

  test('the last byte of a PAE address space is in the last entry of each of its levels', () => {
    expect(split(geometryNamed('x86-32-pae'), 0xffff_ffffn)).toEqual({
      half: 'low',
      indices: [3, 511, 511],
      offsetBytes: 0xfff,
    });
  });
});

describe('which addresses a tree translates', () => {
  test.each<[string, bigint, string]>([
    ['x86-64-4l', 0x0000_7fff_ffff_ffffn, 'low'],
    ['x86-64-4l', 0x0000_8000_0000_0000n, 'hole'],
    ['x86-64-4l', 0xffff_7fff_ffff_ffffn, 'hole'],
    ['x86-64-4l', 0xffff_8000_0000_0000n, 'high'],
    ['x86-64-5l', 0x00ff_ffff_ffff_ffffn, 'low'],
    ['x86-64-5l', 0xff00_0000_0000_0000n, 'high'],
    ['x86-32-pae', 0xffff_ffffn, 'low'],
    ['x86-32-pae', 0x1_0000_0000n, 'hole'],
    ['arm64-4k-48', 0x0000_ffff_ffff_ffffn, 'low'],
    ['arm64-4k-48', 0x0001_0000_0000_0000n, 'hole'],
    ['arm64-4k-48', 0xfffe_ffff_ffff_ffffn, 'hole'],
    ['arm64-4k-48', 0xffff_0000_0000_0000n, 'high'],
    ['arm64-64k-52', 0xfff0_0000_0000_0000n, 'high'],
    ['arm64-4k-stage2-40', 0xff_ffff_ffffn, 'low'],
    ['arm64-4k-stage2-40', 0xffff_ffff_ffff_ffffn, 'hole'],
  ])('%s: %i is in the %s', (name, va, half) => {
    expect(halfOf(geometryNamed(name), va)).toBe(half);
    expect(isCanonical(geometryNamed(name), va)).toBe(half !== 'hole');
  });
});

describe('bad input is refused by name', () => {
  const x86 = geometryNamed('x86-64-4l');
  test.each<[string, () => unknown]>([
    [
      'page-table: geometry: no geometry has this name (arm32); available: x86-64-4l, x86-64-5l, x86-32-pae, arm64-4k-39,',
      () => geometryNamed('arm32'),
    ],
    [
      'page-table: level: x86-64-4l has no level of this name (p4d); it has pgd pud pmd pte',
      () => levelNamed(x86, 'p4d'),
    ],
    [
      'page-table: split: x86-64-4l does not translate this address (0x800000000000)',
      () => split(x86, 0x8000_0000_0000n),
    ],
    ['page-table: address: an address has 64 bits (-0x1)', () => halfOf(x86, -1n)],
    [
      'page-table: join: an index at level pmd is below 512 (512)',
      () => join(x86, { half: 'low', indices: [0, 0, 512, 0], offsetBytes: 0 }),
    ],
    [
      'page-table: join: an offset is below 4096 (4096)',
      () => join(x86, { half: 'low', indices: [0, 0, 0, 0], offsetBytes: 4096 }),
    ],
    [
      'page-table: join: x86-64-4l has 4 levels (1 indices)',
      () => join(x86, { half: 'low', indices: [0], offsetBytes: 0 }),
    ],
    [
      'page-table: join: these indices are not in the low half of x86-64-4l (256 0 0 0)',
      () => join(x86, { half: 'low', indices: [256, 0, 0, 0], offsetBytes: 0 }),
    ],
    [
      'page-table: geometry: input addresses have at most 48 bits with this granule and 48 PA bits (52)',
      () => arm64Geometry({ granuleBytes: 4096, vaBits: 52, paBits: 48, stage: 1 }),
    ],
    [
      'page-table: geometry: a tree has 2 to 5 levels, this one would have 1 (65536 bytes, 29 bits)',
      () => arm64Geometry({ granuleBytes: 65536, vaBits: 29, paBits: 48, stage: 1 }),
    ],
  ])('%s', (message, call) => {
    expect(call).toThrow(message);
  });
});
