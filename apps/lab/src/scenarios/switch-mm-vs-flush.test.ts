import { expectedVerdict, explore } from '@shootdown/explorer';
import { recordTrace, TabulatedExecutor, type MemoryModel } from '@shootdown/machine';
import { STALE_TRANSLATION } from '@shootdown/mmu';
import { renderTrace } from '@shootdown/report';
import { describe, expect, it } from 'vitest';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const systemOf = (variant: string, memoryModel: MemoryModel = 'sc') => switchMmVsFlush.build({ variant, memoryModel, parameters: {} });

describe('switch-mm-vs-flush', () => {
  const rows = switchMmVsFlush.variants.flatMap((variant) => MODELS.map((model) => [variant.name, model, expectedVerdict(variant, model)] as const));

  it.each(rows)('%s on %s: %s, reduced or not', async (name, model, expected) => {
    const reduced = await explore(systemOf(name, model));
    expect(reduced.verdict).toBe(expected);
    expect(reduced.property).toBe(expected === 'safe' ? null : STALE_TRANSLATION);
    const full = await explore(systemOf(name, model), { reduction: false });
    expect(full.verdict).toBe(expected);
    expect(full.schedule?.length).toBe(reduced.schedule?.length);
  });

  it.each([
    ['before', 'sc'],
    ['stable-backport', 'sc'],
    ['bit-already-set', 'tso'],
  ] as const)('%s on %s: the counterexample reads as it always did', async (name, model) => {
    const system = systemOf(name, model);
    const { schedule } = await explore(system);
    await expect(renderTrace('text', recordTrace(new TabulatedExecutor(system), schedule ?? []))).toMatchFileSnapshot(`golden/switch-mm-vs-flush.${name}.txt`);
  });
});
