import { expectedVerdict, explore, resolveScenario } from '@shootdown/explorer';
import { recordTrace, TabulatedExecutor, verifyPoints, type MemoryModel } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { renderTrace } from '@shootdown/report';
import { describe, expect, it } from 'vitest';
import { visited } from './local-states.test-support.ts';
import { paeLocklessRead } from './pae-lockless-read.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const MAIL_COLUMNS = 76;

const systemOf = (variant: string, memoryModel: MemoryModel = 'sc', parameters: Record<string, number> = {}) =>
  resolveScenario([paeLocklessRead], { scenario: 'pae-lockless-read', variant, memoryModel, parameters }).build();

describe('pae-lockless-read', () => {
  it.each(paeLocklessRead.variants.flatMap((v) => MODELS.map((model) => [v.name, model, expectedVerdict(v, model)] as const)))(
    '%s on %s: %s',
    async (name, model, expected) => {
      const result = await explore(systemOf(name, model), { interleavingsStatesMax: 0 });
      expect(result.verdict).toBe(expected);
      expect(result.property).toBe(expected === 'safe' ? null : gup.VALUE_WAS_IN_TABLE);
      expect(result.complete).toBe(expected === 'safe');
    },
    20_000,
  );

  it.each(['one-replacement', 'one-replacement/above-4g', 'native/one-zapper', 'kvm-pv', 'cmpxchg8b', 'recheck/three-replacements'])('%s: the same without reduction', async (name) => {
    const [reduced, full] = [await explore(systemOf(name), { interleavingsStatesMax: 0 }), await explore(systemOf(name), { reduction: false, interleavingsStatesMax: 0 })];
    expect([full.verdict, full.property, full.schedule?.length]).toEqual([reduced.verdict, reduced.property, reduced.schedule?.length]);
  });

  it.each(['native/flush-under-ptl', 'clear-counter', 'clear-counter/split-clear', 'cmpxchg8b'])('%s is right as well if the first page lies above 4 GiB', async (name) => {
    expect((await explore(systemOf(name, 'sc', { high: 1 }), { interleavingsStatesMax: 0 })).verdict).toBe('safe');
  });

  it.each(['kvm-pv', 'one-replacement/above-4g', 'native/one-zapper', 'native/refault/recheck'])('%s: the counterexample reads as it always did, and fits into a mail', async (name) => {
    const system = systemOf(name);
    const { schedule } = await explore(system);
    const text = renderTrace('text', recordTrace(new TabulatedExecutor(system), schedule ?? []));
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(MAIL_COLUMNS);
    await expect(text).toMatchFileSnapshot(`golden/pae-lockless-read.${name.replaceAll('/', '-')}.txt`);
  });

  it.each(paeLocklessRead.variants.map((variant) => variant.name))('%s: every point of its routines says all that the future depends on', (name) => {
    const executor = visited(systemOf(name), 3000);
    expect(verifyPoints(executor.system.programs, executor.nodes)).toEqual([]);
  });
});
