import {
  choose,
  entryBranch,
  entryChoice,
  program,
  routine,
  store,
  SystemBuilder,
  TabulatedExecutor,
  type System,
} from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { searchDepthFirst, searchLevels } from './outcome.ts';
import { planOf } from './plan.ts';
import {
  build,
  messageRecipes,
  naiveSearch,
  recipes,
  symmetricRecipes,
  type Naive,
  type Recipe,
} from './random-system.test-support.ts';
import { endsIn } from './replay.ts';
import type { ExploreOptions, ExploreResult } from './result.ts';
import { Watch } from './watch.ts';

/** Small enough for a search that keeps the reachable set of every state. */
const STATES_MAX = 600;
const runs = process.env['SHOOTDOWN_DEEP'] === '1' ? 2_000 : 12;

const kinds = (problems: ExploreResult['problems']): string[] =>
  problems.map(({ kind, property }) => `${kind} ${property}`).sort();

/** Replays a schedule and asserts that the problem shows at its end and nowhere before. */
function expectShows(system: System, result: ExploreResult): void {
  const plain = { ...system, symmetric: [] };
  const executor = new TabulatedExecutor(plain);
  const schedule = result.schedule ?? [];
  schedule.forEach((entry, i) => {
    expect(executor.step(entryChoice(entry), entryBranch(entry)), `step ${i} is enabled`).toBe(true);
    if (i < schedule.length - 1) expect(executor.failed, `step ${i} violates nothing`).toBe(false);
  });
  if (result.kind === null) return;
  expect(endsIn(plain, executor, { kind: result.kind, property: result.property ?? '', length: 0 })()).toBe(true);
}

async function compare(recipe: Recipe, naive: Naive, options: ExploreOptions): Promise<void> {
  const system = build(recipe);
  const result = await explore(system, { ...options, all: true, interleavingsStatesMax: 0 });
  expect(result.complete).toBe(true);
  expect(kinds(result.problems)).toEqual([...naive.problems.keys()].sort());
  expect(result.sometimes.filter((s) => s.witnessed).map((s) => s.name)).toEqual([...naive.sometimes]);
  if (options.reduction === false && options.symmetry !== true) {
    expect(result).toMatchObject({
      states: naive.states,
      transitions: naive.transitions,
      violatingTransitions: naive.violatingTransitions,
    });
  }
}

describe('explore against a search that keeps whole states in a Map', () => {
  const check = (arbitrary: fc.Arbitrary<Recipe>, options: ExploreOptions) =>
    fc.assert(
      fc.asyncProperty(arbitrary, async (recipe) => {
        const naive = naiveSearch(build(recipe), STATES_MAX);
        fc.pre(naive !== null);
        if (naive !== null) await compare(recipe, naive, options);
      }),
      { numRuns: runs },
    );

  it('stops at a shortest violation, the same with and without reduction', () =>
    fc.assert(
      fc.asyncProperty(fc.oneof(recipes, messageRecipes, symmetricRecipes), async (recipe) => {
        const system = build(recipe);
        const naive = naiveSearch(system, STATES_MAX);
        fc.pre(naive !== null);
        if (naive === null) return;
        const plain = await explore(system, { reduction: false });
        const reduced = await explore(system);
        const deep = await explore(system, { search: 'dfs' });
        expect([reduced.verdict, reduced.property, reduced.schedule?.length, reduced.loopStart === null]).toEqual([
          plain.verdict,
          plain.property,
          plain.schedule?.length,
          plain.loopStart === null,
        ]);
        expect([deep.verdict === 'bounded', deep.problems.length === 0]).toEqual([
          plain.verdict === 'bounded',
          plain.problems.length === 0,
        ]);
        // A deadlock in which messages still go to and fro is reported as one, but something is enabled there.
        const shown = [plain, reduced, deep].filter(
          ({ kind }) =>
            kind !== null &&
            [...naive.problems.keys()].some((key) => key.startsWith(kind) && !/livelock|sometimes/.test(key)),
        );
        for (const result of shown) {
          expectShows(system, result);
          if (result.loopStart === null) expect(result.problems[0]?.length).toBe(result.schedule?.length);
        }
        const lengths = [...naive.problems]
          .filter(([key]) => /^(step|always|deadlock)/.test(key))
          .map(([, length]) => length);
        if (plain.kind === 'step' || plain.kind === 'always') expect(plain.schedule?.length).toBe(Math.min(...lengths));
      }),
      { numRuns: runs },
    ));

  it.each([{ reduction: false }, {}, { search: 'dfs' }] as const)(
    'names the problem first that it shows: %o',
    async (options) => {
      const recipe: Recipe = {
        memoryModel: 'tso',
        routines: [
          [
            { op: 'store', word: 0, value: 0 },
            { op: 'store', word: 0, value: 0 },
          ],
          [{ op: 'if', lines: [{ op: 'add', word: 0 }] }],
          [
            { op: 'choose' },
            { op: 'if', lines: [{ op: 'load', word: 0 }, { op: 'choose' }] },
            { op: 'if', lines: [{ op: 'nop' }] },
            { op: 'assert', value: 1 },
          ],
        ],
        handler: [{ op: 'nop' }],
        components: 'none',
        always: { words: [0, 0], declared: false },
        finally: 0,
        sometimes: 0,
        symmetric: false,
        watched: false,
      };
      const { kind, property, schedule, problems } = await explore(build(recipe), options);
      expect(problems[0]).toEqual({ kind, property, length: schedule?.length });
    },
  );

  it('finds the same states, transitions and problems without reduction', () => check(recipes, { reduction: false }));
  it('finds the same problems with reduction', () => check(recipes, {}));
  it('finds the same problems with reduction when processors interrupt one another', () => check(messageRecipes, {}));
  it('finds the same depth first', () => check(recipes, { search: 'dfs', reduction: false }));
  it('finds the same problems depth first with reduction', () => check(recipes, { search: 'dfs' }));
  it('finds the same comparing whole states', () => check(recipes, { exact: true, reduction: false }));
  it.each([
    ['breadth first', searchLevels],
    ['depth first', searchDepthFirst],
  ] as const)('%s with a reduction that starts from nothing starts over until it knows enough', (_name, search) =>
    fc.assert(
      fc.asyncProperty(fc.oneof(recipes, messageRecipes), async (recipe) => {
        const system = build(recipe);
        const naive = naiveSearch(system, STATES_MAX);
        fc.pre(naive !== null);
        const { findings, stopped } = await search({ ...planOf(system, { all: true }), warmUp: false }, new Watch({}));
        expect(stopped).toBe(null);
        expect(kinds(findings.all)).toEqual(
          [...(naive?.problems.keys() ?? [])].filter((key) => !key.startsWith('sometimes')).sort(),
        );
      }),
      { numRuns: runs },
    ),
  );
  it('finds the same problems with interchangeable processors', () =>
    check(symmetricRecipes, { reduction: false, symmetry: true }));
  it('finds the same problems with interchangeable processors and reduction', () => check(symmetricRecipes, {}));
});

describe('a search that its reduction makes larger', () => {
  /** Reduction takes all of the first processor before the second, which breaks the property at once. */
  function detour(): System {
    const builder = new SystemBuilder();
    const alarm = builder.region('alarm', 1).at(0);
    const own = builder.region('own', 2);
    const first = routine('first', function* () {
      const [a, b] = [yield* choose(12), yield* choose(12)];
      yield* store(own.at(0), 12 * a + b);
    });
    const second = routine('second', function* () {
      const [a, b] = [yield* choose(10), yield* choose(12)];
      if (a === 9 && b === 11) yield* store(alarm, 1);
      yield* store(own.at(1), 12 * a + b);
    });
    builder.processor({ name: 'CPU0', tasks: [program(first)] });
    builder.processor({ name: 'CPU1', tasks: [program(second)] });
    const check = (read: (address: number) => number): boolean => read(alarm) === 0;
    builder.property({ name: 'no alarm', kind: 'always', why: 'a test', reads: [alarm], check });
    return builder.build();
  }

  it('is the one without, unless reduction was asked for', async () => {
    const system = detour();
    const plain = await explore(system, { reduction: false });
    const reduced = await explore(system, { reduction: true });
    expect(plain.states).toBeGreaterThan(1_000);
    expect(reduced.states).toBeGreaterThan(2 * plain.states);
    expect(reduced).toMatchObject({ reduction: true, schedule: plain.schedule });
    const { states, transitions, depth, schedule } = plain;
    expect(await explore(system)).toMatchObject({ reduction: false, states, transitions, depth, schedule });
  });

  it('does not happen where there is nothing to find: reduction leaves states out and adds none', () =>
    fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const none = { interleavingsStatesMax: 0, bounds: { maxStates: STATES_MAX } } as const;
        const plain = await explore(build(recipe), { ...none, reduction: false });
        fc.pre(plain.verdict === 'safe');
        const reduced = await explore(build(recipe), { ...none, reduction: true });
        expect(reduced.states).toBeLessThanOrEqual(plain.states);
      }),
      { numRuns: Math.ceil(runs / 4) },
    ));
});
