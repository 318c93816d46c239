/** State of the module that routines share, which is no word of the machine: no verdict may rest on it. */
import {
  assertThat,
  defineOperation,
  load,
  operation,
  perform,
  program,
  routine,
  store,
  SystemBuilder,
  type Region,
  type Steps,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './explore.ts';
import { fuzz } from './fuzz.ts';
import type { ExploreOptions } from './result.ts';
import { resolveScenario, type Scenario } from './scenario.ts';

type Body = (shared: Region) => Steps<unknown>;

function systemOf(bodies: Readonly<Record<string, Body>>): System {
  const builder = new SystemBuilder();
  const shared = builder.region('shared', 4);
  for (const [name, body] of Object.entries(bodies))
    builder.processor({ name: `CPU of ${name}`, tasks: [program(routine(name, body), shared)] });
  return builder.build();
}

/** A system whose state outside of the words is as old as the system. */
function builtFrom(make: () => Readonly<Record<string, Body>>): System {
  const mine: Scenario = {
    name: 'mine',
    title: '',
    variants: [{ name: 'v', expected: 'safe', source: '', summary: '' }],
    build: () => systemOf(make()),
  };
  return resolveScenario([mine], { scenario: 'mine' }).build();
}

async function said(system: () => System, options: ExploreOptions = {}): Promise<string> {
  try {
    return (await explore(system(), options)).verdict;
  } catch (error) {
    return (error as Error).message;
  }
}

/** Does something for a while. */
function* busy(shared: Region, rounds: number): Steps {
  for (let i = 0; i < rounds; i++) yield* store(shared.at(0), i);
}

/** By shape of what is shared: who writes, and who reads. */
const shapes: Readonly<Record<string, () => Readonly<Record<string, Body>>>> = {
  'a flag that one sets and another reads': () => {
    let stopped = false;
    return {
      *stop(shared) {
        yield* busy(shared, 2);
        stopped = true;
        yield* store(shared.at(1), 1);
      },
      *work(shared) {
        yield* load(shared.at(0));
        if (!stopped) yield* store(shared.at(2), 1);
      },
    };
  },
  'a flag that is set before another begins, and read late': () => {
    let stopped = false;
    return {
      *stop(shared) {
        yield* load(shared.at(1));
        stopped = true;
      },
      *work(shared) {
        yield* busy(shared, 6);
        if (!stopped) yield* store(shared.at(2), 1);
      },
    };
  },
  'the same the other way round': () => {
    let stopped = false;
    return {
      *work(shared) {
        yield* busy(shared, 6);
        if (!stopped) yield* store(shared.at(2), 1);
      },
      *stop(shared) {
        yield* load(shared.at(1));
        stopped = true;
      },
    };
  },
  'a flag that is set by two, and read by one between them': () => {
    let stopped = false;
    const stop: Body = function* (shared) {
      yield* load(shared.at(1));
      stopped = true;
    };
    return {
      stop,
      *work(shared) {
        yield* busy(shared, 6);
        if (!stopped) yield* store(shared.at(2), 1);
      },
      stop_too: stop,
    };
  },
  'a flag that is set around a section': () => {
    let held = false;
    return {
      *owner(shared) {
        yield* load(shared.at(0));
        held = true;
        yield* store(shared.at(1), 1);
        held = false;
        yield* store(shared.at(1), 0);
      },
      *other(shared) {
        yield* load(shared.at(2));
        if (held) yield* store(shared.at(2), 1);
      },
    };
  },
  'a flag that only an assertion looks at': () => {
    let held = false;
    return {
      *owner(shared) {
        held = true;
        yield* store(shared.at(1), 1);
        held = false;
        yield* store(shared.at(1), 0);
      },
      *other(shared) {
        yield* load(shared.at(2));
        yield* assertThat(!held, 'nobody holds it');
        yield* load(shared.at(2));
      },
    };
  },
  'the name of an owner, which the owner reads again': () => {
    let owner = '';
    const take = (me: string): Body =>
      function* (shared) {
        owner = me;
        yield* store(shared.at(1), 1);
        if (owner !== me) yield* store(shared.at(2), 1);
      };
    return { one: take('one'), two: take('two') };
  },
  'a property of an object': () => {
    const lock = { users: 0 };
    const enter: Body = function* (shared) {
      lock.users++;
      yield* load(shared.at(1));
      const alone = lock.users === 1;
      lock.users--;
      yield* store(shared.at(2), alone ? 1 : 2);
    };
    return { one: enter, two: enter };
  },
  'a list that one fills and another empties': () => {
    const queue: number[] = [];
    return {
      *producer(shared) {
        yield* load(shared.at(1));
        queue.push(7);
        yield* store(shared.at(1), 1);
      },
      *consumer(shared) {
        yield* load(shared.at(1));
        yield* store(shared.at(2), queue.pop() ?? 0);
      },
    };
  },
  'a map from who to what': () => {
    const pages = new Map<string, number>();
    return {
      *mapper(shared) {
        yield* load(shared.at(1));
        pages.set('page', 3);
        yield* store(shared.at(1), 1);
        pages.delete('page');
      },
      *walker(shared) {
        yield* load(shared.at(1));
        yield* store(shared.at(2), pages.get('page') ?? 0);
      },
    };
  },
  'a flag of its own, set in an earlier call': () => {
    let begun = false;
    return {
      *once(shared) {
        for (let call = 0; call < 2; call++) {
          if (!begun) yield* store(shared.at(1), 1);
          begun = true;
          yield* load(shared.at(1));
        }
      },
    };
  },
};

const wrong = /^(?:scenario: mine: build|explore|fuzz|routine: \w+(?:: step \d+)?): .*not deterministic/;

describe('state outside of the words', () => {
  it.each(Object.keys(shapes))('%s', async (name) => {
    const make = shapes[name] as () => Readonly<Record<string, Body>>;
    for (const options of [{}, { search: 'dfs' }, { reduction: true }, { verifyPoints: true }] as const)
      expect(await said(() => builtFrom(make), options)).toMatch(wrong);
    const sample = async (): Promise<unknown> =>
      await fuzz(builtFrom(make), { kind: 'random', seed: 1, runs: 5, stepsMax: 50 });
    await expect(sample()).rejects.toThrow(wrong);
  });

  it('is noticed in a system that no scenario builds, as long as what is set is reset', async () => {
    for (const name of ['a flag that is set around a section', 'a map from who to what', 'a property of an object'])
      expect(await said(() => systemOf((shapes[name] as () => Readonly<Record<string, Body>>)()))).toMatch(wrong);
  });

  it('that operations share', async () => {
    let held = false;
    const hold = defineOperation({
      name: 'hold',
      perform: (ctx, { a }) => {
        held = a === 1;
        ctx.write(0, a);
        return 0;
      },
    });
    const look = defineOperation({
      name: 'look',
      perform: (ctx) => {
        ctx.write(1, held ? 2 : 1);
        return 0;
      },
    });
    const bodies: Readonly<Record<string, Body>> = {
      *holder() {
        for (let round = 0; round < 3; round++) {
          yield* perform(operation(hold, 1));
          yield* perform(operation(hold, 0));
        }
      },
      *looker() {
        for (let round = 0; round < 3; round++) yield* perform(operation(look));
      },
    };
    expect(await said(() => systemOf(bodies))).toMatch(wrong);
  });

  it('that nobody looks at is nobody’s business', async () => {
    const statistics = { stores: 0, names: new Set<string>() };
    const counted: Body = function* (shared) {
      statistics.stores++;
      yield* store(shared.at(0), 1);
      statistics.names.add('counted');
      yield* store(shared.at(1), 1);
    };
    expect(await said(() => builtFrom(() => ({ counted, counted_too: counted })))).toBe('safe');
  });
});
