import { describe, expect, test } from 'vitest';
import { LINUX_PAT, arm64, mairMemoryType, patMemoryType, stage2MemoryType } from './index.ts';

test('IA32_PAT as Linux programs it', () => {
  const names = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => patMemoryType(LINUX_PAT, index).name);
  expect(names).toEqual(['WB', 'WC', 'UC-', 'UC', 'WB', 'WP', 'UC-', 'WT']);
});

test('IA32_PAT as the processor resets it', () => {
  const names = [0, 1, 2, 3].map((index) => patMemoryType(0x0007_0406_0007_0406n, index).name);
  expect(names).toEqual(['WB', 'WT', 'UC-', 'UC']);
});

describe('MAIR', () => {
  test.each([
    [0x00n, 'Device-nGnRnE', 'device'],
    [0x04n, 'Device-nGnRE', 'device'],
    [0x08n, 'Device-nGRE', 'device'],
    [0x0cn, 'Device-GRE', 'device'],
    [0x44n, 'Normal-NC', 'uncached'],
    [0xbbn, 'Normal-WT', 'cached'],
    [0xffn, 'Normal-WB', 'cached'],
    [0xf4n, 'Normal-oWB-iNC', 'cached'],
    [0xf0n, 'Normal-WB-tagged', 'cached'],
    [0x77n, 'Normal-WBt', 'cached'],
    [0x33n, 'Normal-WTt', 'cached'],
    [0x02n, 'reserved', 'reserved'],
    [0x50n, 'reserved', 'reserved'],
  ])('%i is %s', (attribute, name, kind) => {
    expect(mairMemoryType(attribute << 16n, 2)).toEqual({ name, kind });
  });

  test('a register or index that is none is refused', () => {
    expect(() => mairMemoryType(0n, 8)).toThrow('page-table: mair: an index is 0 to 7 (8)');
    expect(() => patMemoryType(-1n, 0)).toThrow('page-table: pat: a register has 64 bits (-0x1)');
  });
});

describe('stage 2 MemAttr', () => {
  test.each([
    [arm64.MT_S2_NORMAL, false, 'Normal-WB'],
    [arm64.MT_S2_DEVICE_nGnRE, false, 'Device-nGnRE'],
    [0b0101, false, 'Normal-NC'],
    [0b1001, false, 'Normal-oWT-iNC'],
    [0b0100, false, 'reserved'],
    [arm64.MT_S2_FWB_NORMAL, true, 'Normal-WB'],
    [arm64.MT_S2_FWB_DEVICE_nGnRE, true, 'Device-nGnRE'],
    [0b0101, true, 'Normal-NC'],
    [0b0111, true, 'stage 1'],
    [0b0100, true, 'reserved'],
  ])('%i with FWB %s is %s', (memAttr, fwb, name) => {
    expect(stage2MemoryType(memAttr, fwb).name).toBe(name);
  });

  test('a value of more than four bits is refused', () => {
    expect(() => stage2MemoryType(16, false)).toThrow('page-table: stage2: MemAttr is 0 to 15 (16)');
  });
});
