import { explore, resolveScenario } from '@shootdown/explorer';
import { expect, test } from 'vitest';
import { sleeperAndWaker } from './scenario.ts';

const verdictOf = async (variant: string, memoryModel: 'sc' | 'tso'): Promise<string> => {
  const resolved = resolveScenario([sleeperAndWaker], { scenario: sleeperAndWaker.name, variant, memoryModel });
  return (await explore(resolved.build())).verdict;
};

test('a wake-up is lost without barriers, on tso only', async () => {
  expect(await verdictOf('no-barriers', 'sc')).toBe('safe');
  expect(await verdictOf('no-barriers', 'tso')).toBe('violation');
  expect(await verdictOf('barriers', 'tso')).toBe('safe');
});
