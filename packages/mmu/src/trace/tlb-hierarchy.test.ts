import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseTlbGeometry, tlbGeometry } from './geometry.ts';
import { naiveCountTlb } from './naive-tlb.ts';
import { type Reference, type ReferenceKind, ReferenceTrace } from './reference-trace.ts';
import { readReferenceTrace } from './references.ts';
import { countTlb, TlbHierarchy, type TlbHierarchyConfig } from './tlb-hierarchy.ts';

const pageBytes = 4096;

function config(l1i: string, l1d: string, l2: string): TlbHierarchyConfig {
  return { l1i: parseTlbGeometry(l1i), l1d: parseTlbGeometry(l1d), l2: parseTlbGeometry(l2) };
}

const small = config('4x2', '4x2', '16x4');

/** One-byte references of one kind, one to each of `pages`. */
function touching(kind: ReferenceKind, pages: readonly number[]): ReferenceTrace {
  return ReferenceTrace.from(pages.map((page) => ({ kind, address: BigInt(page * pageBytes), sizeBytes: 1 })));
}

function one(kind: ReferenceKind, address: number, sizeBytes: number): ReferenceTrace {
  return ReferenceTrace.from([{ kind, address: BigInt(address), sizeBytes }]);
}

describe('the TLB hierarchy', () => {
  it('sends fetches to L1I and everything else to L1D, and shares L2', () => {
    const counts = countTlb(
      ReferenceTrace.from([
        { kind: 'fetch', address: 0n, sizeBytes: 4 },
        { kind: 'load', address: 8n, sizeBytes: 4 },
        { kind: 'store', address: 16n, sizeBytes: 4 },
      ]),
      small,
    );
    expect(counts).toEqual({
      lookups: 3,
      l1i: { hits: 0, misses: 1 },
      l1d: { hits: 1, misses: 1 },
      l2: { hits: 1, misses: 1 },
    });
  });

  it('evicts the least recently used page of the set, not the oldest', () => {
    // Even pages share a set of two ways: 0 is used again after 2, so 4 displaces 2.
    expect(countTlb(touching('load', [0, 2, 0, 4, 0]), small).l1d).toEqual({ hits: 2, misses: 3 });
    expect(countTlb(touching('load', [0, 2, 0, 4, 2]), small).l1d).toEqual({ hits: 1, misses: 4 });
  });

  it('keeps a page most recently used while other references go to the other first level', () => {
    const page = (kind: ReferenceKind, number: number): Reference => ({
      kind,
      address: BigInt(number * pageBytes),
      sizeBytes: 1,
    });
    const trace = ReferenceTrace.from([
      page('load', 0),
      page('fetch', 2),
      page('load', 2),
      page('fetch', 4),
      page('load', 0),
      page('load', 4),
      page('load', 0),
    ]);
    expect(countTlb(trace, small).l1d).toEqual({ hits: 2, misses: 3 });
  });

  it('does not renew a page in L2 by a hit in L1', () => {
    // The hits on page 0 stay within L1D, so the three entries of L2 go to 2, 3 and 4, and page 0 misses there when it
    // returns.
    const counts = countTlb(touching('load', [0, 1, 0, 2, 0, 3, 4, 0]), config('2', '2', '3'));
    expect(counts).toMatchObject({ l1d: { hits: 2, misses: 6 }, l2: { hits: 0, misses: 6 } });
  });

  it.each([
    ['fetch', 1, 2],
    ['load', 1, 2],
    ['store', 1, 2],
    ['modify', 2, 4],
  ] as const)('counts a %s as %i look-up within a page and as %i across a boundary', (kind, within, across) => {
    expect(countTlb(one(kind, pageBytes - 8, 8), small).lookups).toBe(within);
    expect(countTlb(one(kind, pageBytes - 8, 9), small).lookups).toBe(across);
    expect(countTlb(one(kind, pageBytes - 1, 2), small).lookups).toBe(across);
  });

  it('reads both pages of a straddling modify before it writes either', () => {
    // With one entry, read p, read p+1, write p, write p+1 misses four times; page by page it would miss twice.
    expect(countTlb(one('modify', pageBytes - 1, 2), config('1', '1', '16x4')).l1d).toEqual({ hits: 0, misses: 4 });
  });

  it('takes a size of zero, which packed records can say, for one byte', () => {
    expect(countTlb(one('load', pageBytes, 0), small).lookups).toBe(1);
  });

  it('tells pages apart by every bit of a 64-bit address', () => {
    const addresses = [0n, 1n << 32n, 1n << 44n, 1n << 55n, 1n << 63n, 0xffff_ffff_ffff_f000n];
    const trace = ReferenceTrace.from(
      [...addresses, ...addresses].map((address) => ({ kind: 'load' as const, address, sizeBytes: 1 })),
    );
    expect(countTlb(trace, config('8', '8', '8')).l1d).toEqual({ hits: addresses.length, misses: addresses.length });
  });

  it('stays warm between runs', () => {
    const hierarchy = new TlbHierarchy(small);
    hierarchy.run(touching('load', [0, 1]));
    hierarchy.run(touching('load', [1, 0]));
    expect(hierarchy.counts.l1d).toEqual({ hits: 2, misses: 2 });
  });

  it('covers more with larger pages', () => {
    const trace = touching('load', [0, 1, 2, 511, 512]);
    expect(countTlb(trace, { ...small, pageShift: 21 }).l1d).toEqual({ hits: 3, misses: 2 });
  });

  it('refuses a page shift out of range and an impossible geometry', () => {
    expect(() => new TlbHierarchy({ ...small, pageShift: 11 })).toThrow(
      'mmu: tlb hierarchy: page shift must be 12 to 30 (11)',
    );
    expect(() => new TlbHierarchy({ ...small, pageShift: 31 })).toThrow(RangeError);
    expect(() => new TlbHierarchy({ ...small, l2: { entries: 63, ways: 4, sets: 16 } })).toThrow(
      '63 entries do not divide into 4 ways',
    );
  });
});

describe('the TLB hierarchy and the naive reference agree', () => {
  const geometry = fc
    .record({ sets: fc.constantFrom(1, 2, 4, 8), ways: fc.integer({ min: 1, max: 6 }) })
    .map(({ sets, ways }) => tlbGeometry(sets * ways, ways));
  const pageShift = fc.constantFrom(12, 14, 16, 21, 30);
  // Few pages, many of the references across a boundary: a trace must come back to what it has just left.
  const reference = fc.record({
    kind: fc.constantFrom('fetch', 'load', 'store', 'modify'),
    page: fc.oneof(fc.constantFrom(1, 2), fc.integer({ min: 0, max: 12 })),
    region: fc.oneof(
      { weight: 12, arbitrary: fc.constant(0n) },
      fc.constantFrom(0xffff_f000n, 1n << 47n, 0xfff_ffff_ffffn),
    ),
    offset: fc.oneof(fc.integer({ min: 0, max: 63 }), fc.integer({ min: -16, max: -1 })),
    sizeBytes: fc.integer({ min: 0, max: 63 }),
  });

  it('on random traces, geometries and page sizes', () => {
    fc.assert(
      fc.property(
        fc.array(reference, { maxLength: 300 }),
        geometry,
        geometry,
        geometry,
        pageShift,
        (list, l1i, l1d, l2, shift) => {
          const trace = ReferenceTrace.from(
            list.map(({ kind, page, region, offset, sizeBytes }) => {
              const address = ((region + BigInt(page)) << BigInt(shift)) + BigInt(offset);
              return { kind, address: BigInt.asUintN(63, address), sizeBytes };
            }),
          );
          const shapes = { l1i, l1d, l2, pageShift: shift };
          expect(countTlb(trace, shapes)).toEqual(naiveCountTlb(trace, shapes));
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('counts of the fixture traces, frozen from the naive reference', () => {
  const fixtures = join(import.meta.dirname, '../../test-data');

  it.each([
    ['ls-20k.lackey.txt.gz', '64x4', '64x4', '1536x12', 20059, [14124, 72], [5797, 66], [4, 134]],
    ['ls-20k.lackey.txt.gz', '16x4', '32x4', '512x4', 20059, [14001, 195], [5733, 130], [191, 134]],
    ['ls-20k.lackey.txt.gz', '4x2', '4x2', '16x4', 20059, [13716, 480], [4826, 1037], [742, 775]],
    ['ls-300.lackey.txt', '4x2', '4x2', '16x4', 299, [231, 2], [63, 3], [0, 5]],
    ['sort-50k.u64.gz', '64x4', '64x4', '1536x12', 50243, [34518, 3], [15421, 301], [167, 137]],
    ['sort-50k.u64.gz', '16x4', '32x4', '512x4', 50243, [34518, 3], [15313, 409], [275, 137]],
    ['sort-50k.u64.gz', '4x2', '4x2', '16x4', 50243, [34518, 3], [12093, 3629], [3067, 565]],
    ['sort-1k.u64', '4x2', '4x2', '16x4', 1006, [683, 3], [254, 66], [49, 20]],
  ] as const)('%s in %s, %s, %s', async (name, l1i, l1d, l2, lookups, l1iCounts, l1dCounts, l2Counts) => {
    const trace = await readReferenceTrace(join(fixtures, name));
    const counts = countTlb(trace, config(l1i, l1d, l2));
    const [iHits, iMisses] = l1iCounts;
    const [dHits, dMisses] = l1dCounts;
    const [hits, misses] = l2Counts;
    expect(counts).toEqual({
      lookups,
      l1i: { hits: iHits, misses: iMisses },
      l1d: { hits: dHits, misses: dMisses },
      l2: { hits, misses },
    });
  });
});
