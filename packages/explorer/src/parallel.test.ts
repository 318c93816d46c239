import type { System } from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { searchLevels, type Outcome } from './outcome.ts';
import { ParallelSearch, type ShardApi } from './parallel.ts';
import { planOf, type Plan } from './plan.ts';
import { build, messageRecipes, naiveSearch, recipes, symmetricRecipes } from './random-system.test-support.ts';
import type { ExploreOptions } from './result.ts';
import { Shared, ShardWorker } from './shard-worker.ts';
import { Watch } from './watch.ts';

const runs = process.env['SHOOTDOWN_DEEP'] === '1' ? 1_000 : 40;
const STATES_MAX = 600;

/** A shard in this thread that gets copies of everything, as one in another thread would. */
function localShard(system: System, plan: Plan, own: number, owners: number): ShardApi {
  const shared = new Float64Array(Shared.first + owners * Shared.perWorker);
  const shard = new ShardWorker(plan.symmetry ? system : { ...system, symmetric: [] }, plan, own, owners, shared);
  return {
    expand: async (answers) => structuredClone(shard.expand(structuredClone(answers))),
    accept: async (discoveries, batches) =>
      structuredClone(shard.accept(structuredClone(discoveries), structuredClone(batches))),
    knowledge: async () => structuredClone(shard.knowledge()),
    restart: async (knowledge) => shard.restart(structuredClone(knowledge)),
    finish: async (answers) => structuredClone(shard.finish(structuredClone(answers))),
  };
}

/**
 * Everything about an outcome that must not depend on the number of shards. Which states of its last level a search
 * that hits the bound on states has room for does depend on it, and with that who comes to them.
 */
function comparable(outcome: Outcome, full: boolean): unknown {
  const of = (schedule: readonly number[]) => (full ? schedule.length : schedule);
  const { findings, witnesses, stopped, states, transitions, violatingTransitions, depth, taken } = outcome;
  return {
    findings: findings.all.map(({ kind, property, length, goals }) => ({
      kind,
      property,
      length,
      goals: full ? null : goals.length,
    })),
    schedules: findings.all.map((finding) => of(outcome.scheduleTo(finding))),
    witnesses: Object.fromEntries([...witnesses].map(([name, schedule]) => [name, of(schedule)])),
    stopped,
    states,
    transitions,
    violatingTransitions,
    depth,
    taken: [...taken],
  };
}

it('a shard says how far it is, however small its levels are', () => {
  const system = build(fc.sample(recipes, { seed: 1, numRuns: 1 })[0] as Parameters<typeof build>[0]);
  const shared = new Float64Array(Shared.first + Shared.perWorker);
  const shard = new ShardWorker(system, planOf(system, { reduction: false }), 0, 1, shared);
  const { discoveries } = shard.expand(null);
  const { states, queue } = shard.accept([discoveries], [null]);
  expect([...shared.subarray(Shared.first)]).toEqual([states, 0, queue]);
  shard.expand([new Int32Array([0])]);
  expect(shared[Shared.first + 1]).toBeGreaterThan(0);
});

describe('a search in several shards', () => {
  const options: fc.Arbitrary<ExploreOptions> = fc.record({
    reduction: fc.boolean(),
    all: fc.boolean(),
    bounds: fc.constantFrom({}, {}, { maxStates: 20 }, { maxDepth: 4 }, { preemptions: 1 }),
  });

  it.each([2, 3])('of %i is the same search as in one', (owners) =>
    fc.assert(
      fc.asyncProperty(
        fc.oneof(recipes, messageRecipes, symmetricRecipes),
        options,
        fc.boolean(),
        async (recipe, chosen, warmUp) => {
          fc.pre(naiveSearch(build(recipe), STATES_MAX) !== null);
          const plan: Plan = { ...planOf(build(recipe), chosen), warmUp };
          const alone = await searchLevels(plan, new Watch({}));
          const shards = Array.from({ length: owners }, (_, own) => localShard(build(recipe), plan, own, owners));
          const together = await new ParallelSearch(plan, shards).run();
          const full = alone.states === plan.bounds.maxStates;
          expect(comparable(together, full)).toEqual(comparable(alone, full));
        },
      ),
      { numRuns: runs },
    ),
  );
});
