import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseTlbGeometry } from './geometry.ts';
import { readReferenceTrace } from './references.ts';
import { countTlb } from './tlb-hierarchy.ts';

// The traces that ship with the lab. Two C simulators written independently of this project agree on these counts.
const traces = join(import.meta.dirname, '../../../../apps/lab/data/traces');

const large = { l1i: parseTlbGeometry('64x4'), l1d: parseTlbGeometry('64x4'), l2: parseTlbGeometry('1536x12') };
const small = { l1i: parseTlbGeometry('16x4'), l1d: parseTlbGeometry('32x4'), l2: parseTlbGeometry('512x4') };

describe('counts of whole real traces', () => {
  it('ls, 1,648,226 references', async () => {
    const trace = await readReferenceTrace(join(traces, 'ls.lackey.txt.gz'));
    expect(trace.length).toBe(1_648_226);
    expect(countTlb(trace, large)).toEqual({
      lookups: 1_653_185,
      l1i: { hits: 1_212_051, misses: 732 },
      l1d: { hits: 439_725, misses: 677 },
      l2: { hits: 1_087, misses: 322 },
    });
    expect(countTlb(trace, small)).toMatchObject({
      lookups: 1_653_185,
      l1i: { misses: 7_597 },
      l1d: { misses: 5_389 },
      l2: { hits: 12_652, misses: 334 },
    });
  });

  it('sort on a 15 MB file, 3,000,000 references', async () => {
    const trace = await readReferenceTrace(join(traces, 'sort-3m.u64.gz'));
    expect(trace.length).toBe(3_000_000);
    expect(countTlb(trace, large)).toEqual({
      lookups: 3_013_582,
      l1i: { hits: 2_073_067, misses: 3 },
      l1d: { hits: 939_305, misses: 1_207 },
      l2: { hits: 992, misses: 218 },
    });
    expect(countTlb(trace, small)).toMatchObject({
      lookups: 3_013_582,
      l1i: { misses: 3 },
      l1d: { misses: 1_745 },
      l2: { hits: 1_530, misses: 218 },
    });
  });

  it('random updates, 1,000,000 references', async () => {
    const trace = await readReferenceTrace(join(traces, 'gups-1m.u64.gz'));
    expect(trace.length).toBe(1_000_000);
    expect(countTlb(trace, large)).toEqual({
      lookups: 1_062_500,
      l1i: { hits: 937_499, misses: 1 },
      l1d: { hits: 62_724, misses: 62_276 },
      l2: { hits: 5_427, misses: 56_850 },
    });
    expect(countTlb(trace, small)).toMatchObject({
      lookups: 1_062_500,
      l1i: { misses: 1 },
      l1d: { misses: 62_375 },
      l2: { hits: 1_749, misses: 60_627 },
    });
  });
});
