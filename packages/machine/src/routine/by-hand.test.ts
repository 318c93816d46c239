/** Steps that are run with next(), a loop or a pattern instead of `yield*`. */
import { describe, expect, it } from 'vitest';
import { DirectExecutor } from '../execute/direct.ts';
import { LiveExecutor } from '../execute/live.ts';
import { TabulatedExecutor } from '../execute/tabulated.ts';
import { RandomScheduler, runScheduler } from '../schedule/schedulers.ts';
import type { Region } from '../state/words.ts';
import { SystemBuilder } from '../system/system.ts';
import { noted, noteEverything, resumed } from './noted.ts';
import type { Mark, Operation, Steps } from './operation.ts';
import { load, nop, rest, store } from './operations.ts';
import { inlined, point, program, routine } from './routine.ts';

type Body = (shared: Region) => Steps<unknown>;
const executors = [TabulatedExecutor, DirectExecutor, LiveExecutor];

/** Runs one routine on one processor; returns how it ended, or the message. */
function ran(body: Body, Executor: (typeof executors)[number] = TabulatedExecutor): string {
  const builder = new SystemBuilder();
  const shared = builder.region('shared', 4);
  builder.processor({ name: 'CPU0', tasks: [program(routine('victim', body), shared)] });
  try {
    return runScheduler(new Executor(builder.build()), new RandomScheduler(1), 100).end;
  } catch (error) {
    return (error as Error).message;
  }
}

function* run(by: (steps: Steps) => unknown, steps: Steps): Steps {
  yield* nop();
  by(steps);
  yield* nop();
}

function firstOf(steps: Steps): unknown {
  const [first] = steps as Iterable<unknown>;
  return first;
}

function forOf(steps: Steps): void {
  for (const step of steps as Iterable<unknown>) void step;
}

const two = noted(function* two(shared: Region): Steps {
  yield* store(shared.at(0), 1);
  yield* store(shared.at(0), 2);
});

const raw = function* (shared: Region): Steps {
  yield* store(shared.at(0), 1);
  yield* store(shared.at(0), 2);
};
const user = noteEverything.made(function* two(shared: Region): Steps {
  yield* store(shared.at(0), 1);
  yield* store(shared.at(0), 2);
}, 'two');
type Maker = (shared: Region) => Steps;
type Yielded = Operation | Mark;
const each = (steps: Steps): Iterable<Yielded> => steps as Iterable<Yielded>;

describe('steps that are run by hand and handed aside', () => {
  it.each<[string, Body]>([
    ['spread', (shared) => run((steps) => void [...(steps as Iterable<unknown>)], store(shared.at(0), 1))],
    ['destructured', (shared) => run(firstOf, store(shared.at(0), 1))],
    ['in a for...of', (shared) => run(forOf, store(shared.at(0), 1))],
    ['in Array.from()', (shared) => run((steps) => Array.from(steps as Iterable<unknown>), store(shared.at(0), 1))],
    ['with next()', (shared) => run((steps) => steps.next(0), store(shared.at(0), 1))],
    ['with next() of a generator', (shared) => run((steps) => steps.next(0), two(shared))],
    ['two at a time', (shared) => run((steps) => [steps.next(0), steps.next(0)], two(shared))],
  ])('steps that are run by hand, %s', (_, body) => {
    for (const Executor of executors)
      expect(ran(body, Executor)).toMatch(/^routine: victim: step 1 \(after nop\): store was run by hand/);
  });

  it.each([raw, two, user])('what next() answers still holds when others have performed steps', (made) => {
    for (const Executor of executors) {
      const performed: string[] = [];
      const builder = new SystemBuilder();
      const shared = builder.region('shared', 4);
      const byHand = routine('byHand', function* () {
        const steps = made(shared);
        for (let next = steps.next(0); next.done !== true;) {
          const result = yield next.value;
          performed.push((next.value as Operation).definition.name);
          next = steps.next(result);
        }
      });
      const other = routine('other', function* () {
        for (let i = 0; i < 4; i++) yield* nop();
      });
      [byHand, other].forEach((body, i) => builder.processor({ name: `CPU${i}`, tasks: [program(body)] }));
      const executor = new Executor(builder.build());
      for (const choice of [1, 0, 1, 0]) expect(executor.step(choice)).toBe(true);
      expect(performed.slice(-2)).toEqual(['store', 'store']);
    }
  });

  it('steps that a helper yields in another form are fine', () => {
    const labelled = function* (steps: Steps<number>): Steps<number> {
      let received = 0;
      for (;;) {
        const next = resumed(steps, received);
        if (next.done === true) return next.value;
        received = yield { ...next.value };
      }
    };
    const body: Body = function* (shared) {
      yield* labelled(load(shared.at(0)));
      yield* labelled(store(shared.at(1), 1) as unknown as Steps<number>);
    };
    for (const Executor of executors) expect(ran(body, Executor)).toBe('rest');
  });
});

const LEFT = 'was run by hand (next(), for...of, a pattern) and left, so nobody performs what follows: write yield*';

describe('steps of which the rest is left', () => {
  const withNext = (make: Maker): Body =>
    function* (shared) {
      const first = make(shared).next();
      yield first.value as Yielded;
      yield* nop();
    };
  const inLoop = (make: Maker): Body =>
    function* (shared) {
      for (const step of each(make(shared))) {
        yield step;
        break;
      }
    };
  const inPattern = (make: Maker): Body =>
    function* (shared) {
      const [first] = each(make(shared));
      yield first as Yielded;
    };
  const ended = (make: Maker): Body =>
    function* (shared) {
      const steps = make(shared);
      yield steps.next().value as Yielded;
      steps.return(undefined);
    };
  const restsThen = (make: Maker): Body =>
    function* (shared) {
      yield make(shared).next().value as Yielded;
      yield* rest();
    };
  const forEver = (make: Maker): Body =>
    function* (shared) {
      for (;;) {
        yield* point('again');
        yield make(shared).next().value as Yielded;
      }
    };

  it.each<[string, (make: Maker) => Body]>([
    ['after next()', withNext],
    ['by break', inLoop],
    ['by a pattern', inPattern],
    ['by return()', ended],
    ['for resting', restsThen],
    ['in a loop that never ends', forEver],
  ])('%s', (_, body) => {
    for (const make of [two, user])
      for (const Executor of executors) expect(ran(body(make), Executor)).toMatch(`: two() ${LEFT}`);
  });

  it('of a generator function that nobody notes, where its step hears of it', () => {
    for (const body of [inLoop, inPattern, ended]) expect(ran(body(raw))).toMatch(`: store ${LEFT}`);
    // The README says so.
    expect(ran(withNext(raw))).toBe('rest');
  });

  it('in a helper that is left itself', () => {
    const helper = function* (shared: Region): Steps {
      yield* two(shared);
    };
    expect(ran(inLoop(helper))).toMatch(`: two() ${LEFT}`);
  });

  it('is no matter if they are run to their end, by whomever', () => {
    const byHand = (make: Maker): Body =>
      function* (shared) {
        const steps = make(shared);
        for (let next = steps.next(); next.done !== true;) next = steps.next(yield next.value);
      };
    const begun = (make: Maker): Body =>
      function* (shared) {
        const steps = make(shared);
        yield steps.next().value as Yielded;
        yield* steps;
      };
    const loop = (make: Maker): Body =>
      function* (shared) {
        for (const step of each(make(shared))) yield step;
      };
    for (const body of [byHand, begun, loop])
      for (const make of [two, user, raw])
        for (const Executor of executors) expect(ran(body(make), Executor)).toBe('rest');
  });

  it('is no matter at a point that is theirs', () => {
    const points = noted(function* points(shared: Region): Steps {
      for (let i = 0; i < 3; i++) {
        yield* point('theirs', i);
        yield* store(shared.at(0), i);
      }
    });
    const body: Body = function* (shared) {
      const steps = points(shared);
      for (let next = steps.next(); next.done !== true;) next = steps.next(yield next.value);
    };
    expect(ran(body)).toBe('rest');
  });
});

describe('a result that is lost', () => {
  const LOST = 'was run by hand (next(), for...of), so its result is lost: write yield* before it';
  const read = function* (shared: Region): Steps {
    if ((yield* load(shared.at(0))) === 0) yield* store(shared.at(1), 1);
  };
  const callee = inlined(function* callee(shared: Region): Steps<number> {
    return yield* load(shared.at(0));
  });
  const calls = function* (shared: Region): Steps {
    if ((yield* callee(shared)) === 0) yield* store(shared.at(1), 1);
  };
  it.each<[string, Maker, string]>([
    ['of an operation', read, 'load'],
    ['of a call', calls, 'callee()'],
  ])('%s', (_, make, what) => {
    const body: Body = function* (shared) {
      for (const step of each(make(shared))) yield step;
    };
    for (const Executor of executors) expect(ran(body, Executor)).toMatch(`: ${what} ${LOST}`);
  });

  it('is none of a call that returns nothing', () => {
    const nothing = inlined(function* nothing(): Steps {
      yield* nop();
    });
    const body: Body = function* () {
      for (const step of each(nothing())) yield step;
    };
    for (const Executor of executors) expect(ran(body, Executor)).toBe('rest');
  });
});
