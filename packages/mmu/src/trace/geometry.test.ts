import { describe, expect, it } from 'vitest';
import { formatTlbGeometry, parseTlbGeometry, tlbEntriesMax, tlbGeometry } from './geometry.ts';

describe('a TLB geometry', () => {
  it.each([
    ['64x4', { entries: 64, ways: 4, sets: 16 }],
    ['1536x12', { entries: 1536, ways: 12, sets: 128 }],
    ['64x1', { entries: 64, ways: 1, sets: 64 }],
    ['64x64', { entries: 64, ways: 64, sets: 1 }],
    ['64', { entries: 64, ways: 64, sets: 1 }],
    ['63', { entries: 63, ways: 63, sets: 1 }],
  ])('reads %s as entries x ways', (text, geometry) => {
    expect(parseTlbGeometry(text)).toEqual(geometry);
  });

  it('is written back in the long form', () => {
    expect(formatTlbGeometry(parseTlbGeometry('64'))).toBe('64x64');
    expect(formatTlbGeometry(parseTlbGeometry('1536x12'))).toBe('1536x12');
  });

  it.each([
    ['63x4', 'mmu: tlb geometry: 63 entries do not divide into 4 ways (63x4)'],
    [
      '96x4',
      'mmu: tlb geometry: 96 entries in 4 ways make 24 sets, not a power of two; the nearest below is 64x4 (96x4)',
    ],
    ['4x8', 'mmu: tlb geometry: 8 ways need at least 8 entries (4x8)'],
    ['0x4', 'mmu: tlb geometry: entries and ways must be whole numbers of at least 1 (0x4)'],
    ['4x0', 'mmu: tlb geometry: entries and ways must be whole numbers of at least 1 (4x0)'],
    ['65537', `mmu: tlb geometry: 65537 entries exceed the limit of ${tlbEntriesMax} (65537x65537)`],
  ])('rejects %s and says why', (text, message) => {
    expect(() => parseTlbGeometry(text)).toThrow(expect.objectContaining({ name: 'TlbGeometryError', message }));
  });

  it.each(['', 'x4', '64x', '64x4x2', '-64x4', '6.4x2', '64 x 4', '0x', 'big\nx4', '9'.repeat(400)])(
    'rejects %j in one line',
    (text) => {
      expect(() => parseTlbGeometry(text)).toThrow(/^mmu: tlb geometry: .+ \(.*\)$/);
    },
  );

  it('can be made from numbers, under the same rules', () => {
    expect(tlbGeometry(512, 4)).toEqual({ entries: 512, ways: 4, sets: 128 });
    expect(() => tlbGeometry(1.5, 1)).toThrow('whole numbers');
  });
});
