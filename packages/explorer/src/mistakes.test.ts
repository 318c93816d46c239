/** Mistakes that a search must not swallow: each is one line, whatever the verdict would have been. */
import {
  assertThat,
  defineOperation,
  load,
  nop,
  operation,
  perform,
  point,
  program,
  Random,
  routine,
  store,
  SystemBuilder,
  type Address,
  type Property,
  type Region,
  type Steps,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { fuzz } from './fuzz.ts';
import type { ExploreOptions } from './result.ts';
import { resolveScenario, type Scenario } from './scenario.ts';
import { takeAsVerified } from './verify.ts';

type Body = (shared: Region) => Steps<unknown>;

function systemOf(bodies: readonly Body[], properties: (shared: Region) => readonly Property[] = () => []): System {
  const builder = new SystemBuilder();
  const shared = builder.region('shared', 4);
  bodies.forEach((body, i) =>
    builder.processor({ name: `CPU${i}`, tasks: [program(routine(`task${i}`, body), shared)] }),
  );
  for (const property of properties(shared)) builder.property(property);
  return builder.build();
}

const writes: Body = function* (shared) {
  yield* store(shared.at(0), 1);
};

async function said(system: System, options: ExploreOptions = {}): Promise<string> {
  try {
    return (await explore(system, options)).verdict;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a property', () => {
  const property = (check: Property['check'], reads?: readonly number[]): Property => ({
    name: 'p',
    kind: 'always',
    why: '',
    check,
    ...(reads && { reads }),
  });
  it.each<[string, (shared: Region) => Property, string]>([
    [
      'that reads a word which it does not list',
      (shared) => property((read) => read(shared.at(0)) + read(shared.at(1)) < 5, [shared.at(0)]),
      'property: p: check reads shared[1] (word 1), which is not in its reads',
    ],
    [
      'that throws',
      () => property(() => (undefined as unknown as { x: boolean }).x),
      'property: p: check threw TypeError: ',
    ],
    [
      'that promises',
      () => property((() => Promise.resolve(true)) as never),
      'property: p: check returned a Promise, which is neither true nor false',
    ],
    [
      'that forgets to return',
      () => property((() => {}) as never),
      'property: p: check returned undefined, which is neither true nor false',
    ],
    [
      'that reads what is no word',
      () => property((read) => read(99) === 0),
      'property: p: check reads 99, which is the address of no word',
    ],
  ])('%s', async (_, make, message) => {
    for (const search of ['bfs', 'dfs'] as const)
      expect(
        await said(
          systemOf([writes], (shared) => [make(shared)]),
          { search },
        ),
      ).toContain(message);
    await expect(
      fuzz(
        systemOf([writes], (shared) => [make(shared)]),
        { kind: 'random', seed: 1, runs: 2, stepsMax: 10 },
      ),
    ).rejects.toThrow(message);
  });

  it.each<[string, () => Property['check']]>([
    [
      'that counts',
      () => {
        let asked = 0;
        return (read) => ++asked > 3 || read(0) === 0;
      },
    ],
    [
      'that remembers what it has read',
      () => {
        let before = 0;
        return (read) => {
          const held = before === 0 || read(1) === 0;
          before = read(0);
          return held;
        };
      },
    ],
    ['that tosses a coin', () => (read) => Math.random() < 0.5 || read(0) === 0],
  ])('%s', async (_, make) => {
    const slow: Body = function* (shared) {
      for (let i = 0; i < 20; i++) yield* store(shared.at(2), i);
      yield* store(shared.at(0), 1);
      yield* store(shared.at(2), 0);
    };
    expect(await said(systemOf([slow], () => [property(make())]))).toMatch(
      /^property: p: check is not deterministic: after the same values it reads or answers otherwise/,
    );
  });

  it('whose check of the words at once answers otherwise, or has words that do not follow one another', async () => {
    const words = (reads: readonly number[]): Property => ({
      ...property((read) => read(0) === 0),
      reads,
      checkWords: (words) => words[0] !== 0,
    });
    expect(await said(systemOf([writes], () => [words([0, 1])]))).toMatch(/^property: p: checkWords and check differ/);
    expect(() => systemOf([writes], () => [words([0, 2])])).toThrow(
      'system: property: p: checkWords: the words in its reads do not follow one another',
    );
  });

  it('may answer with a number', async () => {
    const answers = (shared: Region): Property =>
      property(((read) => read(shared.at(0)) + 1) as Property['check'] & (() => never));
    expect(await said(systemOf([writes], (shared) => [answers(shared)]))).toBe('safe');
  });
});

describe('a point that lies', () => {
  const loops: Body = function* (shared) {
    for (let i = 0; i < 3; i++) {
      yield* point('loop');
      yield* load(shared.at(0));
    }
    yield* store(shared.at(1), 1);
    yield* assertThat(false, 'never reached, says the point');
  };
  it('a livelock that rests on it is none', async () => {
    for (const search of ['bfs', 'dfs'] as const)
      expect(await said(systemOf([loops]), { search })).toMatch(
        /^explore: the livelock rests on a point that does not hold: routine: task0: point .*loop\(\)/,
      );
  });

  it('one that hides a violation is found in the share that every search looks at', async () => {
    // Whether the loop was left early is forgotten.
    const forgets: Body = function* (shared) {
      let seen = 0;
      for (let i = 0; i < 2; i++) {
        yield* point('round', i);
        seen += yield* load(shared.at(0));
      }
      yield* point('after');
      yield* load(shared.at(1));
      yield* assertThat(seen !== 1, 'seen half');
    };
    const refused = expect.stringMatching(/point .*: two histories reach it/);
    for (const verifyPoints of [false, true])
      expect(await said(systemOf([writes, forgets]), { verifyPoints })).toEqual(refused);
    // What is taken as verified is not, unless all is to be looked at.
    const trusted = systemOf([writes, forgets]);
    takeAsVerified(trusted);
    expect([await said(trusted), await said(trusted, { verifyPoints: true })]).toEqual(['safe', refused]);
  });
});

describe('what is not deterministic', () => {
  it('a routine whose only run would have done', async () => {
    let runs = 0;
    const counts: Body = function* (shared) {
      yield* load(shared.at(0));
      yield* store(shared.at(0), ++runs);
    };
    expect(await said(systemOf([counts]))).toMatch(/^routine: task0: step 1: not deterministic: store /);
  });

  it('a routine that no longer does what it did when it was new', async () => {
    let begun = 0;
    const tired: Body = function* (shared) {
      if (++begun > 2) return;
      yield* store(shared.at(0), 1);
    };
    expect(await said(systemOf([tired]))).toMatch(/not deterministic: /);
    begun = 0;
    const mine = scenario(() => systemOf([tired]));
    await expect(explore(resolveScenario([mine], { scenario: 'mine' }).build())).rejects.toThrow('not deterministic');
  });

  /** What may fall one way or the other, whenever it is asked. */
  const coins: Record<string, (coin: () => boolean) => System> = {
    'an assertion': (coin) =>
      systemOf([
        function* () {
          yield* nop();
          yield* assertThat(coin(), 'heads');
        },
      ]),
    'an assertion before everything': (coin) =>
      systemOf([
        function* () {
          if (coin()) yield* assertThat(false, 'tails');
          yield* nop();
        },
      ]),
    'a store that seldom happens': (coin) =>
      systemOf([
        function* (shared) {
          yield* nop();
          if (coin() && coin() && coin()) yield* store(shared.at(0), 1);
        },
      ]),
    'what a routine captures': (coin) => {
      const heads = coin();
      return systemOf([
        function* () {
          yield* nop();
          if (heads) yield* assertThat(false, 'tails');
        },
      ]);
    },
    'what a check captures': (coin) => {
      const heads = coin();
      return systemOf([writes], (shared) => [
        {
          name: 'p',
          kind: 'always',
          why: '',
          reads: [shared.at(0)],
          check: (read) => heads || read(shared.at(0)) === 0,
        },
      ]);
    },
    'the result of an operation': (coin) =>
      systemOf([
        function* (shared) {
          const got = yield operation(defineOperation({ name: 'toss', perform: () => (coin() ? 1 : 0) }), 0, 0, 0);
          if (got === 1) yield* store(shared.at(1), 1);
        },
      ]),
  };
  it.each(Object.keys(coins))('a coin that decides %s', async (what) => {
    for (let seed = 1; seed <= 5; seed++) {
      const random = new Random(seed);
      const tossing = scenario(() => (coins[what] as (typeof coins)[string])(() => random.below(2) === 0));
      const found = (async () => await explore(resolveScenario([tossing], { scenario: 'mine' }).build()))();
      await expect(found, `seed ${seed}`).rejects.toThrow('not deterministic');
    }
  });

  const scenario = (build: () => System): Scenario => ({
    name: 'mine',
    title: '',
    variants: [{ name: 'v', expected: 'safe', source: '', summary: '' }],
    build,
  });
  it('tracks that are no names of words', () => {
    const mine = { ...scenario(() => systemOf([])), tracks: ['pte', 1] as readonly string[] };
    expect(() => resolveScenario([mine], { scenario: 'mine' })).toThrow(
      /^scenario: mine: tracks: expected a list of beginnings of names of words/,
    );
  });

  it('a build', () => {
    let builds = 0;
    const made = (body: () => Body) => scenario(() => systemOf([body()]));
    const counting = made(() => {
      const mine = ++builds;
      return function* (shared) {
        yield* store(shared.at(0), mine);
      };
    });
    expect(() => resolveScenario([counting], { scenario: 'mine' }).build()).toThrow(
      /^scenario: mine: build: not deterministic: task0 goes on differently at step 0 of a run/,
    );
    let more = 0;
    const growing = scenario(() => systemOf(Array.from({ length: ++more }, () => writes)));
    expect(() => resolveScenario([growing], { scenario: 'mine' }).build()).toThrow('not deterministic: it has');
  });

  it.each<[string, () => unknown, string]>([
    ['nothing', () => undefined, 'scenario: mine: build: got undefined instead of a System: return builder.build()'],
    [
      'a promise',
      () => Promise.resolve(systemOf([writes])),
      'got a promise instead of a System: build must not be async',
    ],
    ['a builder', () => new SystemBuilder(), 'got a SystemBuilder instead of a System'],
  ])('a build that returns %s', (_, build, message) => {
    expect(() => resolveScenario([scenario(build as () => System)], { scenario: 'mine' }).build()).toThrow(message);
  });

  it.each<[string, object, string]>([
    [
      'an expectation that is no word',
      { expected: 'save' },
      'variant v: expected: "save" is none of safe, violation, deadlock: did you mean safe?',
    ],
    [
      'one for a model that is none',
      { expected: { tso: 'safe', tsoo: 'safe' } },
      'variant v: expected: unknown option tsoo: did you mean tso?',
    ],
    [
      'an expectation elsewhere that is no word',
      { expectedOn: { arm: 'violated' } },
      'variant v: expectedOn: arm: "violated" is none of safe, violation, deadlock',
    ],
    [
      'one elsewhere for a model that is none',
      { expectedOn: { x86: 'safe' } },
      'variant v: expectedOn: unknown option x86 (have: sc, tso, arm)',
    ],
    [
      'a routine in place of none',
      { replace: { taks0: routine('taks0', function* () {}) } },
      'no routine of mine / v taks0 (have: task0): did you mean task0?',
    ],
    ['a parameter that is none', { parameters: { n: 1 } }, 'no parameter of mine / v n (have: none)'],
    ['a near miss', { memoryModl: 'tso' }, 'variant v: unknown option memoryModl: did you mean memoryModel?'],
  ])('a variant with %s', (_, changes, message) => {
    const wrong = {
      ...scenario(() => systemOf([writes])),
      variants: [{ name: 'v', expected: 'safe', source: '', summary: '', ...changes }],
    };
    expect(() => resolveScenario([wrong as Scenario], { scenario: 'mine' })).toThrow(message);
  });

  it('no variant at all', () => {
    const none = { ...scenario(() => systemOf([writes])), variants: [] };
    expect(() => resolveScenario([none], { scenario: 'mine' })).toThrow(
      'scenario: mine: variants: the list is empty: a scenario has one at least',
    );
  });

  it('a variant may have options of its own', () => {
    const own = {
      ...scenario(() => systemOf([writes])),
      variants: [{ name: 'v', expected: 'safe', source: '', summary: '', design: 3 }],
    };
    expect(resolveScenario([own as Scenario], { scenario: 'mine' }).variant.name).toBe('v');
  });
});

describe('options and values', () => {
  it('unknown options are refused, with the nearest that there is', async () => {
    expect(await said(systemOf([writes]), { serch: 'dfs' } as ExploreOptions)).toContain(
      'unknown option serch: did you mean search?',
    );
    expect(await said(systemOf([writes]), { bounds: { maxState: 3 } } as ExploreOptions)).toContain(
      'did you mean maxStates?',
    );
    expect(await said({} as System)).toBe('explore: got {} instead of a System: return builder.build()');
  });

  it('an address or a result that is none ends a reduced search, which started over for ever', async () => {
    const wrong: Body = () => load(100_000 as Address);
    expect(await said(systemOf([wrong]))).toContain('load: 100000 is the address of no word');
    const result: Body = () =>
      perform(operation(defineOperation({ name: 'odd', perform: () => undefined as unknown as number })));
    expect(await said(systemOf([result]))).toContain(
      'routine: task0: step 0: odd: result: undefined is no 32-bit integer',
    );
  });

  it('1 << 31 deadlocks nobody', async () => {
    const high: Body = function* (shared) {
      yield* store(shared.at(0), 1 << 31);
      yield* assertThat((yield* load(shared.at(0))) === 1 << 31, 'kept');
    };
    expect(await said(systemOf([high, high]))).toBe('safe');
  });

  it('a system of more than 256 choices is searched, shown and replayed', async () => {
    const bodies = Array.from(
      { length: 300 },
      (_, i): Body =>
        function* (shared) {
          if (i < 298) return;
          const seen = yield* load(shared.at(0));
          yield* store(shared.at(0), seen + 1);
          yield* assertThat((yield* load(shared.at(0))) === 1, 'alone');
        },
    );
    for (const options of [{}, { search: 'dfs' }, { reduction: false, exact: true }] as const) {
      const result = await explore(systemOf(bodies), options);
      expect([result.verdict, result.property]).toEqual(['violation', 'alone']);
      expect(new Set(result.schedule?.map((entry) => entry % 256))).toEqual(new Set([298 % 256, 299 % 256]));
    }
  });
});
