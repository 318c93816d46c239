import { describe, expect, it } from 'vitest';
import { isOff } from '../comparison.ts';
import { compareContpte } from './contpte.cost.ts';

describe('compare contpte', () => {
  it('gives the shape of the published numbers: dear without batches, next to nothing with them', async () => {
    const { rows, more } = await compareContpte();
    const of = (variant: string) => rows.find((row) => row.variant === variant);
    expect(rows.map(({ variant }) => variant)).toEqual(['before', 'basic', 'batch', 'inline', 'fold']);
    expect(of('basic')?.['fork']).toBeGreaterThan(200);
    expect(of('basic')?.['munmap']).toBeGreaterThan(200);
    for (const step of ['batch', 'inline', 'fold'])
      for (const what of ['fork', 'munmap']) expect(Math.abs(of(step)?.[what] as number)).toBeLessThan(3);
    // What is off by more than a factor of two says why.
    expect(of('basic')?.['reason']).toMatch(/fork on Altra, .*TLBI/);
    for (const row of more?.[0]?.rows ?? [])
      expect(row['reason'] !== '').toBe(isOff(row['change'] as number, row['published'] as number));
    const [elision, blocks, pages, mremap] = more?.[0]?.rows ?? [];
    // 80 % of the overhead of contpte_convert() is its TLBI (RFC of BBML2, December 2024).
    expect(elision?.['change']).toBeLessThan(-60);
    expect(blocks?.['change']).toBeLessThan(-50);
    expect(pages?.['change']).toBeGreaterThan(-20);
    expect(mremap?.['change']).toBeLessThan(-30);
  });
});
