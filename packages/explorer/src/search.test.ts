import {
  acquireWord,
  assertThat,
  atomicAdd,
  choose,
  defineOperation,
  load,
  nop,
  operation,
  perform,
  point,
  program,
  rest,
  routine,
  store,
  SystemBuilder,
  waitFor,
  type Steps,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { contextSwitches } from './counterexample.ts';
import { explore } from './explore.ts';
import { fuzz } from './fuzz.ts';
import type { Progress } from './result.ts';
import { collisionOdds, FingerprintTable } from './storage.ts';

/** A system of one routine per processor. */
function systemOf(make: (builder: SystemBuilder) => readonly (() => Steps)[]): System {
  const builder = new SystemBuilder();
  make(builder).forEach((body, i) =>
    builder.processor({ name: `CPU${i}`, tasks: [program(routine(`routine${i}`, body))] }),
  );
  return builder.build();
}

/** `count` processors that take `steps` steps each and have nothing to do with one another. */
const independent = (count: number, steps: number): System =>
  systemOf((builder) => {
    const words = builder.region('word', count);
    return Array.from(
      { length: count },
      (_, me) =>
        function* () {
          for (let i = 0; i < steps; i++) yield* store(words.at(me), i + 1);
        },
    );
  });

/** Flag and data: the reader needs the writer's two stores, and the idler only gets in the way. */
const needle = (): System =>
  systemOf((builder) => {
    const words = builder.region('word', 2);
    return [
      function* () {
        yield* nop();
        yield* nop();
      },
      function* () {
        yield* store(words.at(0), 1);
        yield* store(words.at(1), 1);
      },
      function* () {
        const flag = yield* load(words.at(1));
        const data = yield* load(words.at(0));
        yield* assertThat(flag + data < 2, 'the reader does not see both');
      },
    ];
  });

describe('what a search reports', () => {
  it('does without reduction where a space is small, and says so', async () => {
    expect(await explore(independent(3, 3))).toMatchObject({ verdict: 'safe', states: 64, reduction: false });
    expect(await explore(independent(3, 10))).toMatchObject({ verdict: 'safe', states: 31, reduction: true });
  });

  it('counts interleavings of the whole system, reduced or not', async () => {
    const expected = '1680';
    expect(await explore(independent(3, 3), { reduction: true })).toMatchObject({
      verdict: 'safe',
      interleavings: expected,
      states: 10,
    });
    expect(await explore(independent(3, 3), { reduction: false })).toMatchObject({
      interleavings: expected,
      states: 64,
      transitions: 144,
      depth: 9,
    });
    expect(await explore(independent(3, 3), { search: 'dfs', interleavingsStatesMax: 63 })).toMatchObject({
      interleavings: null,
    });
  });

  it('gives a shortest counterexample with the fewest context switches', async () => {
    const system = needle();
    const result = await explore(system);
    expect(result).toMatchObject({
      verdict: 'violation',
      kind: 'step',
      property: 'the reader does not see both',
      schedule: [1, 1, 2, 2],
      shortest: true,
    });
    expect(contextSwitches(system, result.schedule ?? [])).toBe(1);
    expect((await explore(system, { search: 'dfs' })).schedule).toEqual([1, 1, 2, 2]);
  });

  it('names a deadlock', async () => {
    const system = systemOf((builder) => {
      const lock = builder.region('lock', 2);
      const both = (first: number) =>
        function* () {
          yield* acquireWord(lock.at(first), 1, 1);
          yield* acquireWord(lock.at(1 - first), 1, 1);
          yield* atomicAdd(lock.at(0), -1);
          yield* atomicAdd(lock.at(1), -1);
        };
      return [both(0), both(1)];
    });
    expect(await explore(system)).toMatchObject({ verdict: 'deadlock', property: 'no deadlock', schedule: [0, 1] });
  });

  it('tells a livelock from a loop that may be left, and shows one round of it', async () => {
    const spin = (stop: boolean): System =>
      systemOf((builder) => {
        const word = builder.region('word', 2);
        return [
          function* () {
            do yield* point('spin');
            while ((yield* load(word.at(0))) === 0);
          },
          function* () {
            yield* store(word.at(1), 1);
            if (stop) yield* store(word.at(0), 1);
          },
        ];
      });
    expect(await explore(spin(true))).toMatchObject({ verdict: 'safe', livelockChecked: true, interleavings: null });
    expect(await explore(spin(false))).toMatchObject({
      verdict: 'violation',
      kind: 'livelock',
      property: 'no livelock',
      schedule: [1, 0],
      loopStart: 1,
    });
    expect(await explore(spin(false), { search: 'dfs' })).toMatchObject({ verdict: 'violation', kind: 'livelock' });
  });

  it('a processor that rests is no deadlock, and `finally` holds there', async () => {
    const system = (value: number): System => {
      const builder = new SystemBuilder();
      const word = builder.region('word', 1);
      const body = routine('body', function* () {
        yield* store(word.at(0), value);
        yield* rest();
      });
      builder.processor({ name: 'CPU0', tasks: [program(body)] });
      builder.property({
        name: 'the word is 1',
        kind: 'finally',
        why: 'test',
        reads: [word.base],
        check: (read) => read(word.base) === 1,
      });
      return builder.build();
    };
    expect(await explore(system(1))).toMatchObject({ verdict: 'safe' });
    expect(await explore(system(2))).toMatchObject({ verdict: 'violation', kind: 'finally', schedule: [0] });
  });

  it('an unmet `sometimes` is a violation, but not while states are missing', async () => {
    const system = (): System => {
      const builder = new SystemBuilder();
      const word = builder.region('word', 1);
      const body = routine('body', function* () {
        for (let i = 1; i < 9; i++) yield* store(word.at(0), i);
      });
      builder.processor({ name: 'CPU0', tasks: [program(body)] });
      for (const value of [3, 9])
        builder.property({
          name: `it is ${value}`,
          kind: 'sometimes',
          why: 'test',
          reads: [word.base],
          check: (read) => read(word.base) === value,
        });
      return builder.build();
    };
    const witness = { name: 'it is 3', witnessed: true, schedule: [0, 0, 0] };
    expect(await explore(system())).toMatchObject({
      verdict: 'violation',
      kind: 'sometimes',
      property: 'it is 9',
      schedule: null,
      sometimes: [witness, { name: 'it is 9', witnessed: false }],
    });
    expect(await explore(system(), { bounds: { maxDepth: 5 } })).toMatchObject({
      verdict: 'bounded',
      property: null,
      sometimes: [witness, {}],
    });
  });

  it('lists what was never exercised', async () => {
    const system = systemOf((builder) => {
      const word = builder.region('word', 1);
      return [
        function* () {
          yield* waitFor(word.at(0), 1, 1, { label: 'wait for godot' });
          yield* choose(2);
        },
        function* () {
          if ((yield* choose(3, { label: 'pick' })) === 1) yield* nop({ label: 'picked 1' });
        },
      ];
    });
    const { coverage } = await explore(system);
    expect(coverage.routines).toEqual([
      { routine: 'routine0', steps: 1, performed: 0, operations: [], neverPerformed: ['wait for godot'] },
      { routine: 'routine1', steps: 2, performed: 2, operations: ['pick', 'picked 1'], neverPerformed: [] },
    ]);
    expect(coverage.choicesNeverTaken).toEqual(['CPU0']);
    expect(coverage.outcomesNeverTaken).toEqual([]);
  });
});

describe('bounds', () => {
  it('reports what it has seen in a state that there is no room for', async () => {
    const bounded = (kind: 'always' | 'sometimes', maxStates: number) => {
      const system = systemOf((builder) => {
        const words = builder.region('word', 3);
        builder.property({
          kind,
          name: 'the last word',
          why: 'test',
          reads: [words.at(2)],
          check: (read) => (read(words.at(2)) === 0) === (kind === 'always'),
        });
        return [0, 1, 2].map(
          (own) =>
            function* () {
              yield* store(words.at(own), 1);
            },
        );
      });
      return explore(system, { reduction: false, bounds: { maxStates } });
    };
    // States: the first one, then one per processor; the third of these has no room.
    for (const maxStates of [3, 4]) {
      expect(await bounded('always', maxStates)).toMatchObject({
        verdict: 'violation',
        stoppedBy: 'violation',
        states: maxStates,
        schedule: [2],
      });
    }
    expect((await bounded('sometimes', 3)).sometimes).toEqual([
      { name: 'the last word', witnessed: true, schedule: [2] },
    ]);
  });

  it.each([1, 2, 5])('finds no livelock where a search of %i states ends for want of room', async (maxStates) => {
    // Depth first, the states that there is room for are left for good, but not by a way that is known.
    for (const search of ['bfs', 'dfs'] as const)
      expect(await explore(independent(2, 5), { search, reduction: false, bounds: { maxStates } })).toMatchObject({
        verdict: 'bounded',
        stoppedBy: 'max-states',
        states: maxStates,
      });
  });

  it('says which bound it hit', async () => {
    const system = independent(4, 5);
    const plain = { reduction: false } as const;
    expect(await explore(system, { ...plain, bounds: { maxStates: 100 } })).toMatchObject({
      verdict: 'bounded',
      stoppedBy: 'max-states',
      complete: false,
    });
    expect(await explore(system, { ...plain, search: 'dfs', bounds: { maxStates: 100 } })).toMatchObject({
      verdict: 'bounded',
      stoppedBy: 'max-states',
    });
    expect(await explore(system, { bounds: { maxDepth: 3 } })).toMatchObject({
      verdict: 'bounded',
      stoppedBy: 'max-depth',
      states: 35,
      depth: 3,
      reduction: false,
    });
    expect(await explore(independent(8, 8), { ...plain, bounds: { timeoutSeconds: 0.1 } })).toMatchObject({
      verdict: 'bounded',
      stoppedBy: 'timeout',
    });
  });

  it('bounds preemptions: with none, each processor runs until it is done', async () => {
    expect(await explore(independent(3, 4), { bounds: { preemptions: 0 } })).toMatchObject({
      verdict: 'bounded',
      stoppedBy: 'preemptions',
    });
    expect(await explore(needle(), { bounds: { preemptions: 0 } })).toMatchObject({
      verdict: 'violation',
      shortest: false,
    });
    expect(await explore(independent(1, 4), { bounds: { preemptions: 0 } })).toMatchObject({
      verdict: 'safe',
      complete: true,
    });
  });

  it('names the problem that it shows, if depth first another one was met', async () => {
    const system = systemOf((builder) => {
      const word = builder.region('word', 1);
      const body = (property: string, steps: number) =>
        function* () {
          for (let i = 0; i < steps; i++) yield* store(word.at(0), i);
          yield* assertThat(false, property);
        };
      return [body('far', 5), body('near', 1)];
    });
    const deep = await explore(system, { search: 'dfs' });
    expect(deep).toMatchObject({ property: 'near', schedule: { length: 1 } });
    expect(deep.problems.map(({ property }) => property)).toEqual(['near', 'far']);
  });

  it.each(['cancelled', 'timeout'] as const)(
    'ends between two slow steps, the random ones before the search too: %s',
    async (stoppedBy) => {
      let performed = 0;
      const slow = defineOperation({
        name: 'slow',
        perform: () => {
          performed++;
          for (const until = performance.now() + 1; performance.now() < until;);
          return 0;
        },
      });
      const system = systemOf(() =>
        [1, 2].map(
          () =>
            function* () {
              for (let i = 0; i < 1000; i++) yield operation(slow, 0, 0, 0, undefined);
            },
        ),
      );
      const wish = stoppedBy === 'timeout' ? { bounds: { timeoutSeconds: 0.01 } } : { signal: AbortSignal.abort() };
      expect(await explore(system, wish)).toMatchObject({ verdict: 'bounded', stoppedBy });
      expect(performed).toBeLessThan(5_000);
    },
  );

  it('can be cancelled, and says what it knows', async () => {
    const controller = new AbortController();
    const seen: Progress[] = [];
    const timer = setTimeout(() => controller.abort(), 1_200);
    const result = await explore(independent(8, 8), {
      reduction: false,
      signal: controller.signal,
      onProgress: (progress) => seen.push(progress),
    });
    clearTimeout(timer);
    expect(result).toMatchObject({ verdict: 'bounded', stoppedBy: 'cancelled' });
    expect(result.states).toBeGreaterThan(1_000);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen[0]).toMatchObject({ queue: expect.any(Number), depth: expect.any(Number) });
  });

  it.each([
    [{ search: 'dfs', exact: true }, 'exact comparison does not go with dfs'],
    [{ search: 'dfs', bounds: { maxDepth: 3 } }, 'max-depth does not go with dfs'],
    [{ workers: 2 }, 'several workers does not go with a system that no module can build'],
    [{ workers: 0 }, 'explore: workers: must be a whole number from 1 (0)'],
    [{ bounds: { maxStates: 0 } }, 'explore: bounds: maxStates must be at least 1 (0)'],
  ] as const)('refuses %j', async (options, message) => {
    await expect(explore(independent(1, 1), options)).rejects.toThrow(message);
  });

  it('names a routine that loops without a point', async () => {
    const system = systemOf((builder) => {
      const word = builder.region('word', 1);
      return [
        function* () {
          while ((yield* load(word.at(0))) === 0);
        },
      ];
    });
    await expect(explore(system)).rejects.toThrow(/routine: routine0: .*without a point/);
  });
});

describe('symmetry', () => {
  it('refuses processors that are not interchangeable', async () => {
    const builder = new SystemBuilder();
    const word = builder.region('word', 1);
    const sign = defineOperation({
      name: 'sign',
      perform(cx) {
        cx.write(word.base, 1 + cx.processor);
        return 0;
      },
    });
    const signs = routine('signs', function* () {
      yield* perform(operation(sign));
    });
    const same = program(signs);
    for (const name of ['CPU0', 'CPU1']) builder.processor({ name, tasks: [same] });
    builder.symmetric('CPU0', 'CPU1');
    await expect(explore(builder.build())).rejects.toThrow(/CPU0 and CPU1 are declared interchangeable, but/);
  });
});

describe('fuzz', () => {
  it.each(['random', 'pct'] as const)('%s finds the needle, and the same one for the same seed', async (kind) => {
    const options = { kind, seed: 1, runs: 1_000, stepsMax: 20 };
    const system = needle();
    const result = await fuzz(system, options);
    expect(result).toMatchObject({
      verdict: 'violation',
      property: 'the reader does not see both',
      contextSwitches: 1,
    });
    expect(result.schedule?.toSorted((a, b) => a - b)).toEqual([1, 1, 2, 2]);
    expect({ ...(await fuzz(system, options)), seconds: 0 }).toEqual({ ...result, seconds: 0 });
    expect(await fuzz(system, { ...options, seed: result.seed ?? 0, runs: 1 })).toMatchObject({
      schedule: result.schedule,
    });
  });

  it('pct changes priorities within a run, however long runs may get', async () => {
    // The reader has to be stopped between its loads, which takes one change of priorities.
    const torn = systemOf((builder) => {
      const words = builder.region('word', 2);
      return [
        function* () {
          yield* store(words.at(0), 1);
          yield* store(words.at(1), 1);
        },
        function* () {
          const data = yield* load(words.at(0));
          const flag = yield* load(words.at(1));
          yield* assertThat(flag === 0 || data === 1, 'the reader has what the flag says');
        },
      ];
    });
    const runs = 150;
    let found = 0;
    for (let seed = 0; seed < runs; seed++) {
      const { verdict } = await fuzz(torn, { kind: 'pct', seed, runs: 1, stepsMax: 1_000_000, pctDepth: 2 });
      if (verdict === 'violation') found++;
    }
    // At least 1/(n k^(d-1)) with n = 2 processors and k = 5 steps; half of it leaves room for chance.
    expect(found).toBeGreaterThan(runs / (2 * 5) / 2);
  });

  it('proves nothing', async () => {
    expect(await fuzz(independent(2, 2), { kind: 'random', seed: 0, runs: 5, stepsMax: 10 })).toMatchObject({
      verdict: 'bounded',
      runs: 5,
      steps: 20,
      schedule: null,
    });
  });
});

describe('the table of fingerprints', () => {
  it('keeps apart and finds again what was added, through growth and forgetting', () => {
    const table = new FingerprintTable();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 10_000; i++) expect(table.add(i * 4096, ~i)).toBe(~i);
      for (let i = 0; i < 10_000; i++) expect(table.add(i * 4096, ~i)).toBe(i);
      expect([table.count, table.find(4096, ~1), table.find(4096, 1)]).toEqual([10_000, 1, -1]);
      table.forget();
      expect([table.count, table.find(4096, ~1)]).toEqual([0, -1]);
    }
  });

  it('knows the odds', () => {
    expect(collisionOdds(1)).toBe(0);
    expect(collisionOdds(1_000_000)).toBeCloseTo(2.7e-8, 9);
    expect(collisionOdds(2 ** 33)).toBeGreaterThan(0.86);
  });
});
