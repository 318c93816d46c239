import { expect, test } from 'vitest';
import { comparePublished, publishedRows } from './published.ts';

const deep = process.env['SHOOTDOWN_DEEP'] === '1';

test('every published number has its parameters and its source', () => {
  expect(publishedRows.length).toBeGreaterThan(20);
  for (const { setup, source } of publishedRows) expect(Math.min(setup.length, source.length)).toBeGreaterThan(15);
});

test('a row says how far it is off, and why if that is more than 2x', async () => {
  const cheap = publishedRows.filter(({ what }) => deep || what.startsWith('flush_tlb_mm_range() of 1 page'));
  const { rows } = await comparePublished(undefined, cheap);
  for (const { variant, factor, why } of rows) {
    if (typeof factor !== 'number') continue;
    expect.soft(String(why).length > 0, String(variant)).toBe(factor > 2);
  }
});
