import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ALL_PERMITTED,
  arm64,
  decode,
  encode,
  geometries,
  geometryNamed,
  hardwareSetAccessed,
  hardwareSetDirty,
  intersectPermissions,
  joinWords,
  linuxLeaf,
  pte_advance_pfn,
  reservedBits,
  splitWords,
  x86,
  type Entry,
  type Geometry,
  type LeafEntry,
  type Level,
  type MemoryAttribute,
  type Permissions,
  type Shareability,
} from './index.ts';

/** Tens of thousands of entries are compared, and only one that differs is worth a message. */
function expectSame(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected);
}

const numRuns = process.env['SHOOTDOWN_DEEP'] === '1' ? 1_000 : 100;
const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
const places = geometries.flatMap((geometry) =>
  geometry.levels.map((level) => [`${geometry.name} ${level.name}`, geometry, level] as const),
);
const isX86 = (geometry: Geometry): boolean => geometry.format.startsWith('x86');
const isStage2 = (geometry: Geometry): boolean => geometry.format === 'arm64-stage2';

const address = (geometry: Geometry, alignmentBytes: bigint): fc.Arbitrary<bigint> =>
  fc
    .bigInt({ min: 0n, max: (1n << BigInt(geometry.paBits)) / alignmentBytes - 1n })
    .map((frame) => frame * alignmentBytes);

const fivePermissions = fc.record({
  read: fc.boolean(),
  write: fc.boolean(),
  user: fc.boolean(),
  executeUser: fc.boolean(),
  executeKernel: fc.boolean(),
});

/** Permissions that the format can express. */
const permissions = (geometry: Geometry): fc.Arbitrary<Permissions> =>
  fivePermissions.map((five) => {
    if (isX86(geometry)) return { ...five, read: true, executeUser: five.user && five.executeKernel };
    return isStage2(geometry) ? { ...five, user: true } : { ...five, read: true };
  });

const memory = (geometry: Geometry): fc.Arbitrary<MemoryAttribute> => {
  if (isX86(geometry)) return fc.nat(7).map((index) => ({ source: 'pat', index }));
  const all: readonly Shareability[] =
    geometry.addressLayout === 'lpa2' ? ['tcr'] : ['non', 'reserved', 'outer', 'inner'];
  const shareability = fc.constantFrom(...all);
  return isStage2(geometry)
    ? fc.record({ source: fc.constant('stage2' as const), index: fc.nat(15), shareability })
    : fc.record({ source: fc.constant('mair' as const), index: fc.nat(7), shareability });
};

const leaf = (geometry: Geometry, level: Level): fc.Arbitrary<LeafEntry> =>
  fc
    .record({
      kind: fc.constant('leaf' as const),
      level: fc.constant(level.name),
      outputAddress: address(geometry, level.spanBytes),
      permissions: permissions(geometry),
      accessed: fc.boolean(),
      dirty: fc.boolean(),
      softwareDirty: fc.boolean(),
      dirtyBitManagement: fc.boolean(),
      global: fc.boolean(),
      contiguous: fc.boolean(),
      memory: memory(geometry),
      otherBits: fc.constant(0n),
    })
    .map((entry) => {
      if (isX86(geometry)) return { ...entry, dirtyBitManagement: false, contiguous: false };
      const dirty = entry.dirtyBitManagement && entry.permissions.write;
      const contiguous = entry.contiguous && level.contiguousEntries > 1;
      return isStage2(geometry)
        ? { ...entry, dirty, contiguous, global: false, softwareDirty: false }
        : { ...entry, dirty, contiguous };
    });

const table = (geometry: Geometry, level: Level): fc.Arbitrary<Entry> => {
  const pdpte = geometry.format === 'x86-32-pae' && level.name === 'pgd';
  return fc.record({
    kind: fc.constant('table' as const),
    level: fc.constant(level.name),
    tableAddress: address(geometry, BigInt(geometry.pageBytes)),
    permissions: pdpte || isStage2(geometry) ? fc.constant(ALL_PERMITTED) : permissions(geometry),
    accessed: pdpte ? fc.constant(false) : fc.boolean(),
    otherBits: fc.constant(0n),
  });
};

describe.each(places)('%s', (_name, geometry, level) => {
  test('encoding what was decoded gives the same 64 bits back', () => {
    fc.assert(
      fc.property(word, fc.constantFrom(0n, 1n, 3n, 0x81n), (bits, low) => {
        const raw = bits | low;
        expectSame(encode(geometry, decode(geometry, level.name, raw)), raw);
      }),
      { numRuns },
    );
  });

  test('decoding what was encoded gives the same entry back', () => {
    const kinds: fc.Arbitrary<Entry>[] = [];
    if (level.canBeLeaf) kinds.push(leaf(geometry, level));
    if (level.name !== 'pte') kinds.push(table(geometry, level));
    fc.assert(
      fc.property(fc.oneof(...kinds), (entry) => {
        const raw = encode(geometry, entry);
        expectSame(decode(geometry, level.name, raw), entry);
        expectSame(reservedBits(geometry, level.name, raw), 0n);
      }),
      { numRuns },
    );
  });

  test('a hardware update sets its bit, changes nothing else, and is idempotent', () => {
    fc.assert(
      fc.property(word, (bits) => {
        const raw = bits | 3n;
        const before = decode(geometry, level.name, raw);
        const accessed = hardwareSetAccessed(geometry, level.name, raw);
        const dirtied = hardwareSetDirty(geometry, level.name, raw);
        expectSame(hardwareSetAccessed(geometry, level.name, accessed), accessed);
        expectSame(hardwareSetDirty(geometry, level.name, dirtied), dirtied);
        if (before.kind !== 'leaf') return;
        expectSame(decode(geometry, level.name, accessed), { ...before, accessed: true });
        const managed = isX86(geometry) || before.dirtyBitManagement;
        const write = before.permissions.write || (managed && !isX86(geometry));
        expectSame(decode(geometry, level.name, dirtied), {
          ...before,
          accessed: true,
          dirty: managed || before.dirty,
          permissions: { ...before.permissions, write },
        });
      }),
    );
  });
});

test('an all-zero entry is invalid everywhere', () => {
  for (const [, geometry, level] of places)
    expect(decode(geometry, level.name, 0n)).toEqual({ kind: 'invalid', level: level.name, raw: 0n });
});

test('the two words of an entry make it again', () => {
  fc.assert(
    fc.property(word, (raw) => {
      const { low, high } = splitWords(raw);
      expect(joinWords(low, high)).toBe(raw);
      expect(joinWords(low | 0, high | 0)).toBe(raw);
    }),
  );
  expect(splitWords(0x8000_0001_2345_6067n)).toEqual({ low: 0x2345_6067, high: 0x8000_0001 });
});

test('permissions only shrink on the way down', () => {
  fc.assert(
    fc.property(fivePermissions, fivePermissions, (upper, lower) => {
      const both = intersectPermissions(upper, lower);
      expect(intersectPermissions(lower, upper)).toEqual(both);
      expect(intersectPermissions(both, upper)).toEqual(both);
      expect(intersectPermissions(ALL_PERMITTED, lower)).toEqual(lower);
    }),
  );
});

test('advancing the frame changes the address and nothing else', () => {
  fc.assert(
    fc.property(fc.constantFrom(...geometries), fc.nat(512), word, (geometry, pages, bits) => {
      const raw = (bits | 3n) & ~(1n << 51n) & ~(1n << 9n) & ~(1n << 15n);
      const before = decode(geometry, 'pte', raw) as LeafEntry;
      if (before.outputAddress >> BigInt(geometry.paBits - 1) !== 0n) return;
      const moved = BigInt(pages * geometry.pageBytes);
      expect(decode(geometry, 'pte', pte_advance_pfn(geometry, 'pte', raw, pages))).toEqual({
        ...before,
        outputAddress: before.outputAddress + moved,
      });
    }),
  );
});

describe('what a format cannot express is refused by name', () => {
  const x86Geometry = geometryNamed('x86-64-4l');
  const pae = geometryNamed('x86-32-pae');
  const arm = geometryNamed('arm64-4k-48');
  const lpa2 = geometryNamed('arm64-4k-52');
  const stage2 = geometryNamed('arm64-4k-stage2-40');
  const x86Leaf = linuxLeaf(x86Geometry, { outputAddress: 0x1000n });
  const armLeaf = linuxLeaf(arm, { outputAddress: 0x1000n });
  const stage2Leaf = linuxLeaf(stage2, { outputAddress: 0x1000n });
  const pdpte: Entry = {
    kind: 'table',
    level: 'pgd',
    tableAddress: 0n,
    permissions: ALL_PERMITTED,
    accessed: false,
    otherBits: 0n,
  };
  test.each<[string, Geometry, Entry]>([
    [
      'encode: a leaf is not allowed at level pgd (x86-64-4l); allowed: pud pmd pte',
      x86Geometry,
      { ...x86Leaf, level: 'pgd' },
    ],
    [
      'encode: a leaf is not allowed at level pgd (arm64-4k-48); allowed: pud pmd pte',
      arm,
      { ...armLeaf, level: 'pgd' },
    ],
    ['encode: a table is not allowed at level pte (x86-64-4l)', x86Geometry, { ...pdpte, level: 'pte' }],
    [
      'encode: the address of a leaf must be a multiple of 2097152 bytes here (x86-64-4l) (0x1000)',
      x86Geometry,
      { ...x86Leaf, level: 'pmd' },
    ],
    [
      'encode: the address of a leaf has at most 48 bits (arm64-4k-48) (0x1000000000000)',
      arm,
      { ...armLeaf, outputAddress: 1n << 48n },
    ],
    [
      'encode: the address of a table must be a multiple of 4096 bytes here (x86-32-pae) (0x20)',
      pae,
      { ...pdpte, tableAddress: 0x20n },
    ],
    [
      'encode: a PAE pgd entry cannot restrict permissions (x86-32-pae)',
      pae,
      { ...pdpte, permissions: { ...ALL_PERMITTED, write: false } },
    ],
    ['encode: a PAE pgd entry has no accessed bit (x86-32-pae)', pae, { ...pdpte, accessed: true }],
    [
      'encode: an x86 entry cannot forbid reads (x86-64-4l)',
      x86Geometry,
      { ...x86Leaf, permissions: { ...x86Leaf.permissions, read: false } },
    ],
    [
      'encode: an x86 entry has one execute-disable bit (x86-64-4l)',
      x86Geometry,
      { ...x86Leaf, permissions: { ...x86Leaf.permissions, executeUser: true } },
    ],
    ['encode: x86 has no contiguous bit (x86-64-4l)', x86Geometry, { ...x86Leaf, contiguous: true }],
    [
      'encode: an x86 leaf takes its memory type from the PAT (mair)',
      x86Geometry,
      { ...x86Leaf, memory: armLeaf.memory },
    ],
    ['encode: a PAT index is 0 to 7 (8)', x86Geometry, { ...x86Leaf, memory: { source: 'pat', index: 8 } }],
    [
      'encode: an arm64 leaf is hardware-dirty exactly when it is writable and dirtyBitManagement is set (dirty: true)',
      arm,
      { ...armLeaf, dirty: true },
    ],
    [
      'encode: a leaf of arm64-4k-48 takes its memory type from mair (pat)',
      arm,
      { ...armLeaf, memory: x86Leaf.memory },
    ],
    ["encode: shareability of arm64-4k-52 comes from the control register: 'tcr' (inner)", lpa2, armLeaf],
    [
      'encode: there are no contiguous groups at level p4d (arm64-4k-52)',
      lpa2,
      { ...linuxLeaf(lpa2, { level: 'p4d', outputAddress: 0n }), contiguous: true },
    ],
    ['encode: a stage-2 leaf has no nG bit (arm64-4k-stage2-40)', stage2, { ...stage2Leaf, global: true }],
    [
      'encode: a stage-2 leaf cannot tell EL0 from EL1 (arm64-4k-stage2-40)',
      stage2,
      { ...stage2Leaf, permissions: { ...stage2Leaf.permissions, user: false } },
    ],
    [
      'encode: otherBits holds bits that belong to a field of a pte leaf (x86-64-4l) (0x2)',
      x86Geometry,
      { ...x86Leaf, otherBits: x86._PAGE_RW },
    ],
    [
      'encode: the bits of an invalid entry are valid at level pte (0x3)',
      arm,
      { kind: 'invalid', level: 'pte', raw: arm64.PTE_TYPE_PAGE },
    ],
  ])('page-table: %s', (message, geometry, entry) => {
    expect(() => encode(geometry, entry)).toThrow(`page-table: ${message}`);
  });

  test('page-table: decode: an entry has 64 bits', () => {
    expect(() => decode(arm, 'pte', 1n << 64n)).toThrow(
      'page-table: decode: an entry has 64 bits (0x10000000000000000)',
    );
    expect(() => decode(arm, 'pte', -1n)).toThrow('page-table: decode: an entry has 64 bits (-0x1)');
  });
});
