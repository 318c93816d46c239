/**
 * Contiguous blocks of the real sizes (4K, 64K and 16K pages) are too much for a search: random and PCT schedules of
 * every variant that is safe. `npm run test:deep` runs ten thousand of each; `npm test` a few.
 */
import { fuzz, resolveScenario, type Scenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { DEEP } from '../matrix.test-support.ts';
import * as contpteScenarios from './index.ts';

/** CONT_PTES by granule. */
const SIZES = DEEP ? [16, 32, 128] : [16];
const RUNS = DEEP ? 10_000 : 5;
const STEPS_MAX = 20_000;

const all = Object.values(contpteScenarios) as unknown as Scenario[];
const safe = all.flatMap((scenario) =>
  scenario.variants
    .filter(({ expected }) => expected === 'safe')
    .flatMap(({ name }) => SIZES.map((block) => [scenario.name, name, block] as const)),
);
function systemOf(scenario: string, variant: string, block: number) {
  return resolveScenario(all, { scenario, variant, parameters: { block } }).build();
}

describe('contiguous blocks of full size', () => {
  it.each(safe)('%s %s, %i entries', async (scenario, variant, block) => {
    for (const kind of ['random', 'pct'] as const) {
      const found = await fuzz(systemOf(scenario, variant, block), { kind, seed: 1, runs: RUNS, stepsMax: STEPS_MAX });
      expect([found.verdict, found.property, found.runs]).toEqual(['bounded', null, RUNS]);
    }
  });
});
