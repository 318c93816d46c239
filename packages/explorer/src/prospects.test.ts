/** A search on `arm` leaves out of its states what nobody will look at: it finds the same, and its schedules happen. */
import {
  assertThat,
  DATA_RACE,
  defineOperation,
  entryBranch,
  entryChoice,
  load,
  operation,
  perform,
  program,
  routine,
  smp_load_acquire,
  smp_mb,
  smp_store_release,
  store,
  SystemBuilder,
  TabulatedExecutor,
  waitFor,
  xchgOrdered,
  type Address,
  type OperationContext,
  type Steps,
  type System,
} from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { interruptibleMachine } from './interruptible.test-support.machine.ts';
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
  it.each([{ reduction: true }, { reduction: false }, { search: 'dfs' }] satisfies ExploreOptions[])(
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

describe('a plain access of a word that everybody sees alike', () => {
  /** One processor hands the word to another by a flag; nothing else of memory is of use to either. */
  function handedOver(publish: (flag: Address) => Steps<unknown>): System {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const [word, flag] = ['word', 'flag'].map((name) => builder.region(name, 1, { memory: 'strong' }).at(0)) as [
      Address,
      Address,
    ];
    const first = routine('first', function* (): Steps {
      yield* store(word, 1);
      yield* publish(flag);
    });
    const second = routine('second', function* (): Steps {
      yield* waitFor(flag, -1, 1);
      yield* store(word, 2);
    });
    for (const [name, task] of Object.entries({ first, second })) builder.processor({ name, tasks: [program(task)] });
    return builder.build();
  }

  it.each([{ reduction: true }, { reduction: false }, { search: 'dfs' }] satisfies ExploreOptions[])(
    'follows another one that has been handed on, though nobody looks at messages: %o',
    async (options) => {
      expect(
        await explore(
          handedOver((flag) => smp_store_release(flag, 1)),
          options,
        ),
      ).toMatchObject({
        verdict: 'safe',
      });
      expect(
        await explore(
          handedOver((flag) => xchgOrdered('relaxed', flag, 1)),
          options,
        ),
      ).toMatchObject({
        property: DATA_RACE,
      });
    },
  );
});

describe('a message that becomes the newest one', () => {
  const COUNT = defineOperation({
    name: 'count',
    perform(cx, op) {
      cx.write(op.a, cx.read(op.a) + 1);
      return 0;
    },
  });
  const PUT = defineOperation({
    name: 'put',
    perform(cx, op) {
      cx.write(op.a, 1);
      return 0;
    },
  });

  /** Whoever sees x counted sees what those have done who have seen it before: a store that is not y is after them. */
  function counted(by: 'an operation' | 'hardware of a CPU' | 'hardware of nobody'): System {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const [x, y] = [builder.region('x', 1).at(0), builder.region('y', 1).at(0)];
    const seen = builder.region('seen', 2, { memory: 'ghost' });
    const reader = routine('reader', function* (): Steps {
      yield* store(y, 1);
      yield* smp_mb();
      if ((yield* load(x)) === 0) yield* store(seen.at(0), 1);
    });
    const later = routine('later', function* (): Steps {
      if ((yield* smp_load_acquire(x)) === 1 && (yield* load(y)) === 0) yield* store(seen.at(1), 1);
    });
    const counter = routine('counter', function* (): Steps {
      if (by === 'an operation') yield* perform(operation(COUNT, x));
    });
    if (by !== 'an operation') {
      const poked = (cx: OperationContext): void => {
        if (cx.read(x) === 0) cx.write(x, 1);
      };
      builder.component({ name: 'device', machine: interruptibleMachine, effects: { poked } });
      builder.spontaneous({ name: 'device', kind: 'hardware', component: 'device', message: { type: 'poke' } });
    }
    for (const [name, task] of Object.entries({ reader, later })) builder.processor({ name, tasks: [program(task)] });
    const component = by === 'hardware of a CPU' ? { component: 'device' } : {};
    builder.processor({ name: 'counter', tasks: [program(counter)], ...component });
    builder.property({
      name: 'not both',
      kind: 'finally',
      why: 'store buffering with barriers',
      reads: [seen.at(0), seen.at(1)],
      check: (read) => read(seen.at(0)) === 0 || read(seen.at(1)) === 0,
    });
    return builder.build();
  }

  it.each(['an operation', 'hardware of a CPU', 'hardware of nobody'] as const)(
    'is after those who have read the one before it: by %s',
    async (by) => {
      for (const reduction of [true, false])
        expect(await explore(counted(by), { reduction })).toMatchObject({ verdict: 'safe' });
    },
  );

  it('is of interest to its processor as long as it may come', async () => {
    const published = (put: (x: Address) => Steps<unknown>): System => {
      const builder = new SystemBuilder({ memoryModel: 'arm' });
      const [x, y] = [builder.region('x', 1).at(0), builder.region('y', 1).at(0)];
      const writer = routine('writer', function* (): Steps {
        yield* store(y, 1);
        yield* smp_mb();
        yield* put(x);
      });
      const reader = routine('reader', function* (): Steps {
        if ((yield* smp_load_acquire(x)) === 1)
          yield* assertThat((yield* load(y)) === 1, 'what was published is there');
      });
      for (const [name, task] of Object.entries({ writer, reader }))
        builder.processor({ name, tasks: [program(task)] });
      return builder.build();
    };
    for (const put of [(x: Address) => store(x, 1), (x: Address) => perform(operation(PUT, x))])
      for (const reduction of [true, false])
        expect(await explore(published(put), { reduction })).toMatchObject({ verdict: 'safe' });
  });
});
