/** A search on `arm` leaves out of its states what nobody will look at: it finds the same, and its schedules happen. */
import { entryBranch, entryChoice, TabulatedExecutor, type System } from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { searchDepthFirst, searchLevels } from './outcome.ts';
import { planOf } from './plan.ts';
import { armRecipes, build, naiveSearch } from './random-system.test-support.ts';
import { endsIn } from './replay.ts';
import type { ExploreOptions, Problem } from './result.ts';
import { Watch } from './watch.ts';

/** Small enough for a search that keeps the reachable set of every state. */
const STATES_MAX = 300;
const deep = process.env['SHOOTDOWN_DEEP'] === '1';
const limits = deep ? { numRuns: 2_000, interruptAfterTimeLimit: 40_000 } : { numRuns: 5, seed: 5 };

const named = (problems: readonly Pick<Problem, 'kind' | 'property'>[]): string[] =>
  problems.map(({ kind, property }) => `${kind} ${property}`).sort();

/** An executor that knows nothing of the search, where a schedule leads. */
function after(system: System, schedule: readonly number[]): TabulatedExecutor {
  const executor = new TabulatedExecutor(system);
  for (const [i, entry] of schedule.entries())
    expect(executor.step(entryChoice(entry), entryBranch(entry)), `step ${i} is enabled`).toBe(true);
  return executor;
}

describe('a search on arm', () => {
  it.each([{}, { reduction: false }, { search: 'dfs' }] satisfies ExploreOptions[])(
    'finds what a search finds that leaves nothing out: %o',
    (options) =>
      fc.assert(
        fc.asyncProperty(armRecipes, async (recipe) => {
          const naive = naiveSearch(build(recipe), STATES_MAX);
          fc.pre(naive !== null);
          const result = await explore(build(recipe), { ...options, all: true, interleavingsStatesMax: 0 });
          // A routine that stores again and again may fill a location, of which nothing is claimed.
          fc.pre(result.stoppedBy !== 'messages');
          expect(result.complete).toBe(true);
          expect(named(result.problems)).toEqual([...(naive?.problems.keys() ?? [])].sort());
          expect(result.sometimes.filter((s) => s.witnessed).map((s) => s.name)).toEqual([...(naive?.sometimes ?? [])]);
        }),
        limits,
      ),
  );

  it.each([
    ['breadth first', searchLevels],
    ['depth first', searchDepthFirst],
  ] as const)('finds no violation that is none when it begins with knowing nothing, %s', (_name, search) =>
    fc.assert(
      fc.asyncProperty(armRecipes, async (recipe) => {
        const naive = naiveSearch(build(recipe), STATES_MAX);
        fc.pre(naive !== null);
        const plan = { ...planOf(build(recipe), {}), reduction: true, warmUp: false, smallFirst: false };
        const { findings, stopped } = await search(plan, new Watch({}));
        fc.pre(stopped === null || stopped === 'violation');
        const problems = [...(naive?.problems.keys() ?? [])].filter((key) => !key.startsWith('sometimes'));
        expect(findings.all.length > 0).toBe(problems.length > 0);
        expect(problems).toEqual(expect.arrayContaining(named(findings.all)));
      }),
      limits,
    ),
  );

  it.each([
    ['breadth first', searchLevels],
    ['depth first', searchDepthFirst],
  ] as const)('has schedules that lead to what it says, %s', (_name, search) =>
    fc.assert(
      fc.asyncProperty(armRecipes, async (recipe) => {
        const system = build(recipe);
        fc.pre(naiveSearch(system, STATES_MAX) !== null);
        const plan = { ...planOf(system, {}), reduction: true, smallFirst: false };
        const outcome = await search(plan, new Watch({}));
        for (const [property, schedule] of outcome.witnesses) {
          const { store } = after(system, schedule);
          expect(system.properties.find(({ name }) => name === property)?.check((word) => store.read(word))).toBe(true);
        }
        const [first] = outcome.findings.all;
        if (first?.kind !== 'step' && first?.kind !== 'always') return;
        const executor = after(system, outcome.scheduleTo(first));
        expect(endsIn(system, executor, first)()).toBe(true);
      }),
      limits,
    ),
  );
});
