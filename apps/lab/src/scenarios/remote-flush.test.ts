import { STALE_TRANSLATION } from '@shootdown/mmu';
import { describe, expect, it } from 'vitest';
import { bothWays, counterexampleOf, expectAgreement, expectPoints, MODELS, rowsOf, searchOnce, systemsOf } from './matrix.test-support.ts';
import { remoteFlush } from './remote-flush.ts';

const NAMES = remoteFlush.variants.map((variant) => variant.name);
const systemOf = systemsOf(remoteFlush);
const searched = searchOnce(systemOf);

describe('remote-flush', () => {
  it.each(rowsOf(remoteFlush))('%s on %s: %s, reduced or not', async (name, model, expected) => {
    const { property } = await bothWays(() => systemOf(name, model), expected, searched(name, model));
    expect(property).toBe(expected === 'safe' ? null : STALE_TRANSLATION);
  });

  it.each([
    ['invlpgb/no-tlbsync', 'sc'],
    ['transition/no-wait', 'sc'],
    ['transition/bit-already-set', 'tso'],
  ] as const)('%s on %s: the counterexample reads as it always did', async (name, model) => {
    await expect(await counterexampleOf(systemOf(name, model), searched(name, model))).toMatchFileSnapshot(`golden/remote-flush.${name.replaceAll('/', '-')}.txt`);
  });

  it.each(NAMES)('%s: every point of its routines says all that the future depends on', (name) => {
    expectPoints(systemOf(name));
  });

  it.each(['hyper-v/refused', 'transition'].flatMap((name) => MODELS.map((model) => [name, model] as const)))('%s on %s runs the same with live actors', (name, model) => {
    expectAgreement(systemOf(name, model));
  });
});
