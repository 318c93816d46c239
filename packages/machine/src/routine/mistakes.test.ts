/** First slips of newcomers: each ends in one line that names the routine and the step. */
import { describe, expect, it } from 'vitest';
import { DirectExecutor } from '../execute/direct.ts';
import { LiveExecutor } from '../execute/live.ts';
import { TabulatedExecutor } from '../execute/tabulated.ts';
import { RandomScheduler, runScheduler } from '../schedule/schedulers.ts';
import { Frames, type EntryPointer } from '../state/frames.ts';
import { FrameKind } from '../state/frame-kind.ts';
import type { Address, Region } from '../state/words.ts';
import { SystemBuilder } from '../system/system.ts';
import { recordTrace } from '../trace/trace.ts';
import { BLOCKED, defineOperation, operation, perform, type OperationDefinition, type Steps } from './operation.ts';
import { load, nop, rest, store, waitFor, xchg } from './operations.ts';
import { assertThat, count, each, inlined, point, program, routine, type Program } from './routine.ts';
import { noted, noteMethods } from './noted.ts';

type Body = (shared: Region, frames: Frames) => Steps<unknown>;
const executors = [TabulatedExecutor, DirectExecutor, LiveExecutor];

/** Runs one routine on one processor; returns how it ended, or the message. */
function ran(body: Body, Executor: (typeof executors)[number] = TabulatedExecutor): string {
  const builder = new SystemBuilder();
  const shared = builder.region('shared', 4);
  const frames = new Frames(builder, { tables: 2, entriesPerTable: 2, pages: 2, initialTables: [[1, 2]] });
  const p: Program = program(routine('victim', body), shared, frames);
  builder.processor({ name: 'CPU0', tasks: [p] });
  try {
    return runScheduler(new Executor(builder.build()), new RandomScheduler(1), 100).end;
  } catch (error) {
    return (error as Error).message;
  }
}

describe('a forgotten yield*', () => {
  const helper = routine('helper', function* (): Steps {
    yield* nop();
  });
  const inline = inlined(function* freeing(): Steps {
    yield* nop();
  });
  const plain = noted(function* clear(shared: Region): Steps {
    yield* store(shared.at(0), 0);
  });
  class Kernel {
    static {
      noteMethods(this);
    }
    *free(shared: Region): Steps {
      yield* store(shared.at(0), 0);
    }
  }
  const kernel = new Kernel();

  it.each<[string, Body, string]>([
    [
      'before an operation',
      function* (shared) {
        yield* load(shared.at(0));
        void store(shared.at(0), 1);
        yield* nop();
      },
      'routine: victim: step 1 (after load): store was made and never begun: write yield* before it',
    ],
    [
      'before an operation of frames',
      function* (_, frames) {
        const table = yield* frames.alloc(FrameKind.table);
        void frames.free(table);
      },
      'routine: victim: step 1 (after alloc_page(GFP_PGTABLE)): free_page(0x1) was made and never begun: write yield* before it',
    ],
    [
      'before a routine',
      function* () {
        yield* nop();
        void helper();
      },
      'routine: victim: step 1 (after nop): helper() was made and never begun: write yield* before it',
    ],
    [
      'before an inlined routine',
      function* () {
        void inline();
        yield* nop();
      },
      'routine: victim: step 0: freeing() was made and never begun: write yield* before it',
    ],
    [
      'before an assertion that holds',
      function* () {
        void assertThat(true, 'nothing is lost');
        yield* nop();
      },
      'routine: victim: step 0: assertThat(nothing is lost) was made and never begun: write yield* before it',
    ],
    [
      'before a point, and a count',
      function* () {
        void count('faults');
        void point('here');
        yield* nop();
      },
      'routine: victim: step 0: count(faults) was made and never begun: write yield* before it',
    ],
    [
      'before a generator function that is noted',
      function* (shared) {
        void plain(shared);
        yield* nop();
      },
      'routine: victim: step 0: clear() was made and never begun: write yield* before it',
    ],
    [
      'before a method of a class that is noted',
      function* (shared) {
        void kernel.free(shared);
        yield* nop();
      },
      'routine: victim: step 0: free() was made and never begun: write yield* before it',
    ],
    [
      'in a loop that never ends',
      function* (shared) {
        for (;;) {
          yield* point('loop');
          void store(shared.at(0), 1);
          yield* nop();
        }
      },
      'routine: victim: step 0: store was made and never begun: write yield* before it',
    ],
    [
      'before resting for good',
      function* (shared) {
        void store(shared.at(0), 1);
        yield* rest();
      },
      'routine: victim: step 0: store was made and never begun: write yield* before it',
    ],
    [
      'in a callee',
      function* () {
        yield* routine('callee', function* (): Steps {
          void nop({ label: 'flush()' });
          yield* nop();
        })();
        yield* nop();
      },
      'routine: callee: step 0: flush() was made and never begun: write yield* before it',
    ],
    [
      'of which only the star',
      function* (shared) {
        yield* nop();
        yield load(shared.at(0)) as never;
      },
      'routine: victim: step 1 (after nop): yielded something that is no operation (load): use yield* with the operations',
    ],
    [
      'before what is returned',
      function* (shared) {
        yield* nop();
        return helper() ?? shared;
      },
      'routine: victim: step 1 (after nop): helper() was made and never begun: write yield* before it',
    ],
    [
      'before a plain generator that is returned',
      function* () {
        yield* nop();
        return (function* (): Steps {
          yield* nop();
        })();
      },
      'routine: victim: step 1 (after nop): returns a generator, which was never begun: write yield* before it',
    ],
    [
      'before a value',
      function* (shared) {
        yield* store(shared.at(0), load(shared.at(1)) as unknown as number);
      },
      'routine: victim: step 0: store: load gives steps and no value: write yield* before it',
    ],
  ])('%s', (_, body, message) => {
    for (const Executor of executors) expect(ran(body, Executor)).toBe(message);
  });

  it('steps that are begun later, or by a callee, are fine', () => {
    const later = inlined(function* (steps: Steps<number>): Steps<number> {
      yield* nop();
      return yield* steps;
    });
    const ended = ran(function* (shared) {
      const either = shared.cells > 1 ? load(shared.at(0)) : load(shared.at(1));
      yield* either;
      yield* later(load(shared.at(2)));
      yield* plain(shared);
      // A routine whose body is a function that hands over the steps of another.
      yield* routine('wrapper', () => plain(shared))();
      yield* kernel.free(shared);
    });
    expect(ended).toBe('rest');
  });
});

describe('an assertion', () => {
  it.each<[unknown, string]>([
    [Promise.resolve(false), 'a Promise'],
    [undefined, 'undefined'],
    ['no', '"no"'],
    [{}, '{}'],
  ])('of %s', (condition, shown) => {
    const body: Body = () => assertThat(condition as boolean, 'nothing is lost');
    expect(ran(body)).toBe(
      `routine: victim: step 0: assertThat: "nothing is lost": ${shown} is neither true nor false`,
    );
  });
});

describe('steps that are run a second time', () => {
  const again = 'was performed already: steps can be performed once, so make them again';
  const stores = function* (): Steps {
    yield* store(0 as Address, 1);
  };
  /** What is made once, and is at its end when a second executor comes. */
  it.each<[string, () => Body, string]>([
    [
      'as the body of a routine',
      () => {
        const steps = stores();
        return () => steps;
      },
      'routine: victim: step 0: what victim() returns',
    ],
    [
      'an inlined routine that makes none anew',
      () => {
        const steps = stores();
        const callee = inlined(() => steps);
        return function* () {
          yield* callee();
        };
      },
      'routine: victim: step 0: what an inlined routine() returns',
    ],
  ])('%s', (_, make, before) => {
    for (const Executor of executors) {
      const builder = new SystemBuilder();
      const shared = builder.region('shared', 4);
      const frames = new Frames(builder, { tables: 1, entriesPerTable: 1, pages: 1 });
      builder.processor({ name: 'CPU0', tasks: [program(routine('victim', make()), shared, frames)] });
      const system = builder.build();
      const twice = () => [1, 2].map((seed) => runScheduler(new Executor(system), new RandomScheduler(seed), 100));
      expect(twice).toThrow(`${before} ${again}`);
    }
  });

  it('in one run of a routine', () => {
    const body: Body = function* () {
      const steps = store(0 as Address, 1);
      yield* steps;
      yield* steps;
    };
    expect(ran(body)).toBe(`routine: victim: step 1 (after store): store ${again}`);
  });

  it('as what a program starts with', () => {
    const steps = stores();
    const builder = new SystemBuilder();
    builder.region('shared', 1);
    builder.processor({ name: 'CPU0', tasks: [{ name: 'victim', start: () => steps }] });
    const system = builder.build();
    runScheduler(new TabulatedExecutor(system), new RandomScheduler(1), 100);
    expect(() => runScheduler(new TabulatedExecutor(system), new RandomScheduler(1), 100)).toThrow(
      `routine: victim: step 0: what start() of victim returns ${again}`,
    );
  });
});

describe('a text that nobody would read', () => {
  const long = 'x'.repeat(100_000);
  it('is no name', () => {
    expect(() => routine(long, () => nop())).toThrow('routine: name: 100000 characters are too many, at most 1000');
    expect(ran(() => assertThat(true, long))).toContain('assertThat: name: 100000 characters are too many');
    const builder = new SystemBuilder();
    expect(() => builder.property({ name: long, kind: 'always', why: '', check: () => true })).toThrow(
      /^system: .* too many/,
    );
  });

  it('is cut where it is shown', () => {
    const builder = new SystemBuilder();
    const victim = routine('victim', () => nop({ label: long, fact: () => long }));
    builder.processor({ name: 'CPU0', tasks: [program(victim)] });
    const [step] = recordTrace(new TabulatedExecutor(builder.build()), [0]).steps;
    for (const text of [step?.text, step?.facts[0]]) expect(text).toMatch(/^x{1000}\.\.\. \(100000 characters\)$/);
  });
});

describe('values and addresses', () => {
  const wrong: [string, unknown][] = [
    ['NaN', Number.NaN],
    ['undefined', undefined],
    ['"1"', '1'],
    ['1.5', 1.5],
    ['4294967296', 2 ** 32],
  ];
  it.each([[[1, 2]], [undefined], [-1], [0.5]])('%j is no number of rounds', (count) => {
    expect(ran(() => each(count as number, () => nop() as never))).toMatch(
      /^routine: victim: step 0: each: expected a whole number of rounds/,
    );
  });

  it.each(wrong)('%s is no value', (text, value) => {
    const stored = ran(function* (shared) {
      yield* nop();
      yield* store(shared.at(0), value as number);
    });
    expect(stored).toBe(`routine: victim: step 1 (after nop): store: ${text} is no 32-bit integer`);
    const BAD = defineOperation({ name: 'bad', perform: () => value as number });
    const returned = ran(() => perform(operation(BAD)));
    expect(returned).toBe(`routine: victim: step 0: bad: result: ${text} is no 32-bit integer`);
    const WRITES = defineOperation({
      name: 'writes',
      perform(cx) {
        cx.write(0, value as number);
        return 0;
      },
    });
    expect(ran(() => perform(operation(WRITES)))).toBe(
      `routine: victim: step 0: writes: words: write: ${text} is no 32-bit integer (address 0)`,
    );
  });

  it('an operation that cannot be performed is none', () => {
    expect(ran(() => perform(operation({ name: 'idle' } as OperationDefinition)))).toMatch(
      /^routine: victim: step 0: yielded something that is no operation/,
    );
  });

  it.each<[string, Body, string]>([
    [
      'an address beyond the machine',
      () => load(100_000 as Address),
      'load: 100000 is the address of no word (there are 19)',
    ],
    ['a negative one', () => store(-1 as Address, 0), 'store: -1 is the address of no word (there are 19)'],
    [
      'a region',
      (shared) => xchg(shared as unknown as Address, 0),
      'xchg: {"name":"shared","base":0,"cells":4} is no address',
    ],
    ['nothing', () => load(undefined as unknown as Address), 'load: undefined is no address'],
    ['a truth value', () => store(true as unknown as Address, 1), 'store: true is no address'],
    [
      'an entry pointer',
      (_, frames) => load(frames.entry(0, 0) as unknown as Address),
      'load: {"frame":0,"index":0,"address":12} is no address',
    ],
    [
      'a region for an entry pointer',
      (shared, frames) => frames.read(shared as unknown as EntryPointer),
      'frames: read: expected an entry pointer, as entry(frame, index) makes it ({"name":"shared","base":0,"cells":4})',
    ],
    [
      'a number for an entry pointer',
      (_, frames) => frames.write(3 as unknown as EntryPointer, 1),
      'frames: write: expected an entry pointer, as entry(frame, index) makes it (3)',
    ],
    ['no frame', (_, frames) => frames.free(undefined as unknown as number), 'frames: undefined is no frame'],
    [
      'a frame that does not exist',
      (_, frames) => frames.free(9),
      'free_page(0x9): frames: free of frame 9: no such frame (0 .. 3)',
    ],
    [
      'a cell that does not exist',
      (shared) => load(shared.at(4)),
      'threw RangeError: layout: at: index 4 outside shared[4]',
    ],
    ['half a cell', (shared) => load(shared.at(0.5)), 'threw RangeError: layout: at: index 0.5 outside shared[4]'],
    [
      'an address in an operation of one’s own',
      () => perform(operation(defineOperation({ name: 'peek', perform: (cx) => cx.read(99) }))),
      'peek: words: read: 99 is the address of no word (there are 19)',
    ],
    [
      'a promise for a result',
      () =>
        perform(
          operation(defineOperation({ name: 'angry', perform: () => new Promise(() => 0) as unknown as number })),
        ),
      'angry: result: a Promise is no 32-bit integer',
    ],
  ])('%s', (_, body, message) => {
    for (const Executor of executors) {
      const said = ran(function* (shared, frames) {
        yield* nop();
        yield* body(shared, frames);
      }, Executor);
      expect(said).toMatch(/^routine: victim: /);
      expect(said).toContain(message);
    }
  });

  it('1 << 31 is a value like any other', () => {
    for (const Executor of executors) {
      const ended = ran(function* (shared) {
        yield* store(shared.at(0), 1 << 31);
        yield* waitFor(shared.at(0), 0x8000_0000, 0x8000_0000);
        yield* assertThat((yield* load(shared.at(0))) === 1 << 31, 'kept');
        yield* assertThat((yield* xchg(shared.at(0), 0)) === 1 << 31, 'exchanged');
      }, Executor);
      expect(ended).toBe('rest');
    }
    expect(Number.isInteger(BLOCKED) && (BLOCKED | 0) === BLOCKED).toBe(false);
  });
});

describe('a routine that is not deterministic', () => {
  const programOf = (value: () => number): Program =>
    program(
      routine('moody', function* (): Steps {
        const first = yield* load(0 as Address);
        yield* store(0 as Address, value());
        yield* store(0 as Address, first);
      }),
    );
  it.each<[string, () => () => number]>([
    [
      'a closure that counts',
      () => {
        let calls = 0;
        return () => calls++;
      },
    ],
    ['Math.random', () => () => Math.floor(Math.random() * 2 ** 30)],
  ])('%s', (_, make) => {
    const builder = new SystemBuilder();
    builder.region('shared', 1);
    builder.processor({ name: 'CPU0', tasks: [programOf(make())] });
    const { nodes } = new TabulatedExecutor(builder.build());
    const stores = nodes.next(nodes.root(0), 0);
    nodes.next(stores, 0);
    // Back to an old node: the routine is run again up to there.
    expect(() => nodes.next(stores, 1)).toThrow(/^routine: moody: step 1: not deterministic: store /);
  });
});

describe('the builder', () => {
  const p = program(routine('task', () => nop()));
  const builder = (): SystemBuilder => new SystemBuilder();
  it.each<[string, () => unknown, string]>([
    [
      'an option misspelt',
      () => new SystemBuilder({ memoryModl: 'tso' } as object),
      'system: new: unknown option memoryModl: did you mean memoryModel? (have: memoryModel, storeBufferEntries, maxHistory, weak)',
    ],
    [
      'a model that is none',
      () => new SystemBuilder({ memoryModel: 'TSO' as 'tso' }),
      'system: new: memoryModel: "TSO" is none of',
    ],
    [
      'a kind that is none',
      () => builder().property({ name: 'p', kind: 'allways' as 'always', why: '', check: () => true }),
      'system: property: p: kind: "allways" is none of always, sometimes, finally: did you mean always?',
    ],
    [
      'a check that is async',
      () => builder().property({ name: 'p', kind: 'always', why: '', check: (async () => true) as never }),
      'system: property: p: check: it must return true or false, so it cannot be async or a generator',
    ],
    [
      'two properties of one name',
      () => {
        const twice = builder();
        for (let i = 0; i < 2; i++) twice.property({ name: 'p', kind: 'always', why: '', check: () => true });
      },
      'system: property: name taken twice (p)',
    ],
    [
      'a word that is none in reads',
      () => {
        const b = builder();
        b.processor({ name: 'CPU0', tasks: [p] });
        b.property({ name: 'p', kind: 'always', why: '', reads: [77], check: () => true });
        b.build();
      },
      'system: property: p: reads: 77 is the address of no word',
    ],
    [
      'a program without a name',
      () => program(function* () {} as never),
      "program: expected a routine, which has a name: program(routine('name', function* () { ... }), ...) (the function (without a name))",
    ],
    [
      'a routine for a program',
      () => builder().processor({ name: 'CPU0', tasks: [routine('task', () => nop()) as never] }),
      'system: processor: CPU0: task 0: expected a program, as program(routine, ...arguments) makes it',
    ],
    [
      'steps for a program',
      () => builder().processor({ name: 'CPU0', tasks: [routine('task', () => nop())() as never] }),
      'system: processor: CPU0: task 0: expected a program, as program(routine, ...arguments) makes it (the steps of task())',
    ],
    [
      'a region of text',
      () => builder().region('r', 1, { initial: 'x' as never }),
      'layout: region: r: initial: "x" is no 32-bit integer',
    ],
    [
      'frames with an option that is none',
      () => new Frames(builder(), { tables: 1, entriesPerTable: 1, pages: 1, initialPage: 1 } as never),
      'frames: new: unknown option initialPage: did you mean initialPages?',
    ],
    [
      'an operation without a name',
      () => defineOperation({ perform: () => 0 } as never),
      'operation: define: name is missing',
    ],
  ])('%s', (_, work, message) => {
    expect(work).toThrow(message);
  });
});
