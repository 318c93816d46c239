/** Steps that nobody can perform: made while no routine runs, performed a second time, made later than they are. */
import { describe, expect, it } from 'vitest';
import { DirectExecutor } from '../execute/direct.ts';
import { LiveExecutor } from '../execute/live.ts';
import { TabulatedExecutor } from '../execute/tabulated.ts';
import { RandomScheduler, runScheduler } from '../schedule/schedulers.ts';
import type { Region } from '../state/words.ts';
import { SystemBuilder } from '../system/system.ts';
import { BLOCKED, defineOperation, operation, perform, type OperationDefinition, type Steps } from './operation.ts';
import { load, nop, store } from './operations.ts';
import { assertThat, inlined, point, program, routine } from './routine.ts';
import { noted, noteEverything } from './noted.ts';
import { noteLater, refuseStrays } from './unbegun.ts';

type Body = (shared: Region) => Steps<unknown>;
const executors = [TabulatedExecutor, DirectExecutor, LiveExecutor];

/** Runs one routine on one processor; returns how it ended, or the message. */
function ran(body: Body, Executor: (typeof executors)[number] = TabulatedExecutor): string {
  const builder = new SystemBuilder({ maxHistory: 50 });
  const shared = builder.region('shared', 4);
  builder.processor({ name: 'CPU0', tasks: [program(routine('victim', body), shared)] });
  try {
    return runScheduler(new Executor(builder.build()), new RandomScheduler(1), 100).end;
  } catch (error) {
    return (error as Error).message;
  }
}

const NOBODY = 'was made while no routine ran';

describe('steps that are made while no routine runs', () => {
  it('are refused when the next routine goes on, and once', () => {
    for (const Executor of executors) {
      void load(0 as never);
      expect(ran(() => nop(), Executor)).toContain(`routine: victim: step 0: load ${NOBODY}`);
      expect(ran(() => nop(), Executor)).toBe('rest');
    }
  });

  it('as by an operation that should write by itself', () => {
    const WRITES = defineOperation({
      name: 'clear_bit',
      perform(cx, { a }) {
        void store(a as never, 0);
        return cx.read(a);
      },
    });
    const body: Body = function* (shared) {
      yield* perform(operation(WRITES, shared.at(0)));
      yield* nop();
    };
    for (const Executor of executors)
      expect(ran(body, Executor)).toContain(`routine: victim: step 1 (after clear_bit): store ${NOBODY}`);
  });

  it('by a callback', async () => {
    const body: Body = function* (shared) {
      void Promise.resolve().then(() => void store(shared.at(0), 1));
      yield* nop();
    };
    expect(ran(body)).toBe('rest');
    await Promise.resolve();
    expect(() => refuseStrays('explore')).toThrow(`explore: store ${NOBODY}`);
    expect(() => refuseStrays('explore')).not.toThrow();
  });

  it('are fine if they are run by hand', () => {
    expect([...(load(0 as never) as Iterable<unknown>)]).toHaveLength(1);
    for (let i = 0; i < 1000; i++) void [...(nop() as Iterable<unknown>)];
    expect(ran(() => nop())).toBe('rest');
  });
});

describe('steps that are performed twice', () => {
  const inline = inlined(function* set(shared: Region): Steps {
    yield* store(shared.at(0), 1);
  });
  const plain = noted(function* clear(shared: Region): Steps {
    yield* store(shared.at(0), 0);
  });
  const user = noteEverything.made(function* add(shared: Region): Steps {
    yield* store(shared.at(0), 1 + (yield* load(shared.at(0))));
  }, 'add');
  const again = (what: string): string => `: ${what} was performed already: steps can be performed once, so make them`;
  it.each<[string, (shared: Region) => Steps<unknown>, string]>([
    ['an operation', (shared) => store(shared.at(0), 1), 'store'],
    ['a routine', routine('pte_clear', inline), 'pte_clear()'],
    ['an inlined one', inline, 'set()'],
    ['a generator function that is noted', plain, 'clear()'],
    ['one of a user’s', user, 'add()'],
    ['an assertion that holds', () => assertThat(true, 'kept'), 'assertThat(kept)'],
    ['a point', () => point('loop'), 'point(loop)'],
  ])('%s', (_, make, what) => {
    for (const Executor of executors)
      expect(
        ran(function* (shared) {
          yield* nop();
          const steps = make(shared);
          yield* steps;
          yield* steps;
        }, Executor),
      ).toContain(again(what));
  });

  it('made when the machine was built: a second run would find them at their end', () => {
    const steps = noteEverything.made(function* once(): Steps {
      yield* nop();
    }, 'once');
    const made = steps();
    const body: Body = function* () {
      yield* made;
    };
    expect(ran(body)).toContain('once() was made outside of a routine: steps can be performed once');
  });
});

describe('what a user’s code makes of text', () => {
  it('by GeneratorFunction', () => {
    noteEverything.constructors();
    noteEverything.constructors();
    const GeneratorFunction = Object.getPrototypeOf(function* () {}).constructor as new (
      ...text: string[]
    ) => (...args: unknown[]) => Steps;
    const clear = new GeneratorFunction('nop', 'yield* nop();');
    expect(clear).toBeInstanceOf(GeneratorFunction);
    expect(ran(() => clear(nop))).toBe('rest');
    const forgets: Body = function* () {
      yield* nop();
      void clear(nop);
      yield* nop();
    };
    expect(ran(forgets)).toBe(
      'routine: victim: step 1 (after nop): anonymous() was made and never begun: write yield* before it',
    );
  });

  it('an async function* has no steps', () => {
    const clear = noteEverything.made(async function* () {} as unknown as () => Steps, 'clear');
    expect(
      ran(function* () {
        void clear();
        yield* nop();
      }),
    ).toBe('routine: victim: step 0: clear(): an async function* makes no steps: write function* without async');
  });
});

it('what a routine begins for later is refused', () => {
  noteLater('a timer');
  const body: Body = function* () {
    noteLater('a timer');
    yield* nop();
  };
  for (const Executor of executors)
    expect(ran(body, Executor)).toBe(
      'routine: victim: step 0: a timer was begun in a routine: nobody performs what it does later',
    );
});

it('a condition of steps is named, not the loop that it never ends', () => {
  const body: Body = function* (shared) {
    while ((load(shared.at(0)) as unknown) !== 0) yield* nop();
  };
  expect(ran(body)).toBe('routine: victim: step 0: load was made and never begun: write yield* before it');
});

describe('an operation of a user’s own', () => {
  const body =
    (definition: OperationDefinition): Body =>
    (shared) =>
      perform(operation(definition, shared.at(1)));
  it('that is BLOCKED must have changed nothing', () => {
    const TAKES = defineOperation({
      name: 'take',
      perform(cx, { a }) {
        cx.write(a, 1);
        return BLOCKED;
      },
    });
    for (const Executor of executors)
      expect(ran(body(TAKES), Executor)).toMatch(
        /^routine: victim: (?:step 0: )?take: is BLOCKED, but has changed shared\[1\]$/,
      );
  });

  it.each([0, -1])('that has %i outcomes', (outcomes) => {
    const NONE = defineOperation({ name: 'none', branches: () => outcomes, perform: () => 0 });
    expect(ran(body(NONE))).toContain(`none: outcomes: there must be at least 1 (${outcomes})`);
  });
});

it.each([true, false])('a routine that calls itself for ever is told so (with operations: %s)', (works) => {
  const again = routine('again', function* (): Steps {
    if (works) yield* point('deeper');
    yield* again();
  }) as () => Steps;
  for (const Executor of executors)
    expect(ran(again, Executor)).toBe(
      'routine: again: step 0: 1000 calls within one another: a routine that calls itself for ever',
    );
});

describe('what an operation says of itself', () => {
  it.each<[object, string]>([
    [{ lable: 'set' }, 'operation: store: unknown option lable: did you mean label? (have: label, fact, source, unmod'],
    [5 as unknown as object, 'operation: store: expected an object of label, fact, source, unmodelled (5)'],
    ['set' as unknown as object, 'operation: store: expected an object of label'],
  ])('%s', (saying, message) => {
    expect(ran((shared) => store(shared.at(0), 1, saying))).toContain(message);
  });
});
