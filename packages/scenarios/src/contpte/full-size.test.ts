/**
 * Contiguous blocks of the real sizes (4K, 64K and 16K pages) are too much for a search: random and PCT schedules of
 * every variant that is safe. `npm run test:deep` runs ten thousand of each with 16, fewer with more, whose schedules
 * are as much longer; `npm test` a few of one variant.
 */
import { fuzz, resolveScenario, type Scenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { DEEP } from '../matrix.test-support.ts';
import * as contpteScenarios from './index.ts';

/** CONT_PTES of 4K, 64K and 16K pages, and how many schedules of each kind. */
const SIZES = DEEP
  ? [
      { block: 16, runs: 10_000 },
      { block: 32, runs: 1000 },
      { block: 128, runs: 100 },
    ]
  : [
      { block: 16, runs: 2 },
      { block: 32, runs: 1 },
      { block: 128, runs: 1 },
    ];
/** What unfolds: `npm test` looks at that with every size. */
const EVERY_SIZE = new Set(['contpte-unfold']);
const STEPS_MAX = 20_000;
const HOURS = 3 * 3_600_000;

const all = Object.values(contpteScenarios) as unknown as Scenario[];
const safe = all.flatMap((scenario) =>
  scenario.variants
    .filter(({ expected }) => expected === 'safe')
    .slice(0, DEEP ? undefined : 1)
    .flatMap(({ name }) =>
      SIZES.filter(({ block }) => DEEP || block === 16 || EVERY_SIZE.has(scenario.name)).map(
        ({ block, runs }) => [scenario.name, name, block, runs] as const,
      ),
    ),
);
function systemOf(scenario: string, variant: string, block: number) {
  return resolveScenario(all, { scenario, variant, parameters: { block } }).build();
}

describe('contiguous blocks of full size', () => {
  it.each(safe)('%s %s, %i entries', { timeout: HOURS }, async (scenario, variant, block, runs) => {
    for (const kind of ['random', 'pct'] as const) {
      const found = await fuzz(systemOf(scenario, variant, block), { kind, seed: 1, runs, stepsMax: STEPS_MAX });
      expect([found.verdict, found.property, found.runs]).toEqual(['bounded', null, runs]);
    }
  });
});
