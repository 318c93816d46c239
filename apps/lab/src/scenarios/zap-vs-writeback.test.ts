import { explore } from '@shootdown/explorer';
import { filemap } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { bothWays, counterexampleOf, expectAgreement, expectPoints, MODELS, rowsOf, searchOnce, systemsOf } from './matrix.test-support.ts';
import { zapVsWriteback } from './zap-vs-writeback.ts';

const { LOST_DIRTY } = filemap;
const systemOf = systemsOf(zapVsWriteback);
const searched = searchOnce(systemOf);

describe('zap-vs-writeback', () => {
  it.each(rowsOf(zapVsWriteback))('%s on %s: %s, reduced or not', async (name, model, expected) => {
    const { property } = await bothWays(() => systemOf(name, model), expected, searched(name, model));
    expect(property).toBe(expected === 'safe' ? null : LOST_DIRTY);
  });

  it.each(['v3.15', 'v6.2/flush-after-ptl'])('%s violates nothing else: the folio is dropped too early, or nobody ever learns of the write', async (name) => {
    const { problems } = await explore(systemOf(name), { all: true });
    expect(new Set(problems.map(({ property, kind }) => `${kind}: ${property}`))).toEqual(new Set([`step: ${LOST_DIRTY}`, `finally: ${LOST_DIRTY}`]));
  });

  it.each(['v3.15', 'v6.2/flush-after-ptl'])('%s: the counterexample reads as it always did', async (name) => {
    await expect(await counterexampleOf(systemOf(name), searched(name))).toMatchFileSnapshot(`golden/zap-vs-writeback.${name.replaceAll('/', '-')}.txt`);
  });

  it.each(zapVsWriteback.variants.map((variant) => variant.name))('%s: every point of its routines says all that the future depends on', (name) => {
    expectPoints(systemOf(name));
  });

  it.each(MODELS)('v6.2 runs the same with live actors on %s', (model) => {
    expectAgreement(systemOf('v6.2', model));
  });
});
