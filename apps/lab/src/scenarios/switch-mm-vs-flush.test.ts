import { STALE_TRANSLATION } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { bothWays, counterexampleOf, expectPoints, rowsOf, searchOnce, systemsOf } from './matrix.test-support.ts';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';

const systemOf = systemsOf(switchMmVsFlush);
const searched = searchOnce(systemOf);

describe('switch-mm-vs-flush', () => {
  it.each(rowsOf(switchMmVsFlush))('%s on %s: %s, reduced or not', async (name, model, expected) => {
    const { property } = await bothWays(() => systemOf(name, model), expected, searched(name, model));
    expect(property).toBe(expected === 'safe' ? null : STALE_TRANSLATION);
  });

  it.each([
    ['before', 'sc'],
    ['stable-backport', 'sc'],
    ['bit-already-set', 'tso'],
  ] as const)('%s on %s: the counterexample reads as it always did', async (name, model) => {
    await expect(await counterexampleOf(systemOf(name, model), searched(name, model))).toMatchFileSnapshot(`golden/switch-mm-vs-flush.${name}.txt`);
  });

  it.each(switchMmVsFlush.variants.map((variant) => variant.name))('%s: every point of its routines says all that the future depends on', (name) => {
    expectPoints(systemOf(name));
  });
});
