/**
 * Contiguous blocks of the real sizes (4K, 64K and 16K pages) are too much for a search: random and PCT schedules of
 * every variant that is safe. `npm run test:deep` runs ten thousand of each with each size; `npm test` a few of one
 * variant per scenario. One of them by command:
 *
 * ```
 * shootdown explore contpte-zap --variant part --set block=16 --fuzz pct --runs 10000
 * ```
 */
import { fuzz, resolveScenario, type Scenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { DEEP } from '../matrix.test-support.ts';
import * as contpteScenarios from './index.ts';

/** CONT_PTES of 4K, 64K and 16K pages, and how many schedules of each kind. */
const SIZES = DEEP
  ? [
      { block: 16, runs: 10_000 },
      { block: 32, runs: 10_000 },
      { block: 128, runs: 10_000 },
    ]
  : [
      { block: 16, runs: 3 },
      { block: 32, runs: 2 },
      { block: 128, runs: 1 },
    ];
/** What unfolds: `npm test` looks at that with every size. */
const EVERY_SIZE = new Set(['contpte-unfold']);
const STEPS_MAX = 20_000;
const HOUR = 3_600_000;

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

/** A livelock is not to be seen in a schedule. */
const LIVELOCKS = new Set(['gathered-noop-test-no-dbm', 'set-access-flags-no-tlbi']);
/** Bugs that take hundreds of schedules, or thousands. */
const DEEP_BUGS = new Set(['whole/no-flush', 'batched/flush-after-unlock']);
const BUG_RUNS = DEEP ? 10_000 : 100;
const bugs = all.flatMap((scenario) =>
  scenario.variants
    .filter(({ name, expected }) => expected === 'violation' && !LIVELOCKS.has(name))
    .filter(({ name }) => DEEP || !DEEP_BUGS.has(name))
    .map(({ name }) => [scenario.name, name, BUG_RUNS] as const),
);

function systemOf(scenario: string, variant: string, block: number) {
  return resolveScenario(all, { scenario, variant, parameters: { block } }).build();
}

describe('contiguous blocks of full size', () => {
  it.each(safe)('%s %s, %i entries', { timeout: HOUR }, async (scenario, variant, block, runs) => {
    for (const kind of ['random', 'pct'] as const) {
      const found = await fuzz(systemOf(scenario, variant, block), { kind, seed: 1, runs, stepsMax: STEPS_MAX });
      expect([found.verdict, found.property, found.runs]).toEqual(['bounded', null, runs]);
    }
  });

  it.each(bugs)('%s %s, 16 entries: PCT finds what is wrong', { timeout: HOUR }, async (scenario, variant, runs) => {
    const options = { kind: 'pct', seed: 1, runs, stepsMax: STEPS_MAX } as const;
    expect((await fuzz(systemOf(scenario, variant, 16), options)).verdict).toBe('violation');
  });
});
