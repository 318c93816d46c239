import { describe, expect, it } from 'vitest';
import {
  atomicAdd,
  BLOCKED,
  Change,
  cmpxchg,
  count,
  defineOperation,
  DirectExecutor,
  formatMutation,
  inlined,
  LineWatcher,
  load,
  mutated,
  nop,
  operation,
  parseMutation,
  program,
  replaceRoutines,
  replay,
  routine,
  smp_mb,
  store,
  SystemBuilder,
  TabulatedExecutor,
  waitFor,
  xchg,
  type Address,
  type CodeLine,
  type MemoryModel,
  type Mutation,
  type Operation,
  type Steps,
  type System,
} from '../index.ts';

interface Words {
  readonly x: Address;
  readonly y: Address;
  readonly seen: Address;
}

/** A machine of one processor that runs `body`. */
function machine(body: (words: Words) => Steps, memoryModel: MemoryModel = 'sc'): { system: System; words: Words } {
  const builder = new SystemBuilder({ memoryModel });
  const words = {
    x: builder.region('x', 1).at(0),
    y: builder.region('y', 1).at(0),
    seen: builder.region('seen', 1).at(0),
  };
  builder.processor({ name: 'CPU0', tasks: [program(routine('body', () => body(words)))] });
  return { system: builder.build(), words };
}

/** Runs a system of one processor to its end, draining store buffers last; the words at the end. */
function run(system: System): TabulatedExecutor {
  const executor = new TabulatedExecutor(system);
  const drains = system.choices[1]?.kind === 'drain';
  for (let steps = 0; steps < 100 && (executor.step(0) || (drains && executor.step(1))); steps++);
  return executor;
}

function linesOf(system: System): CodeLine[] {
  const watcher = new LineWatcher(system);
  run(watcher.system);
  return watcher.lines();
}

const change = (word: string, what: string, routineName = 'body'): Mutation => ({
  routine: routineName,
  word,
  position: null,
  change: what,
});

describe('the lines of a system', () => {
  it('come in the order of the code, whichever is performed first', () => {
    const later = routine('later', function* ({ y }: Words): Steps {
      yield* store(y, 2, { label: 'y = 2' });
    });
    const { system } = machine(function* (words) {
      for (let i = 0; i < 2; i++) {
        if (i === 1) yield* store(words.y, 1, { label: 'y = 1' });
        yield* store(words.x, i, { label: `x = ${i}` });
      }
      yield* later(words);
      yield* load(words.seen);
    });
    const lines = linesOf(system);
    expect(lines.map(({ routine: name, step, text }) => `${name}/${step}: ${text}`)).toEqual([
      'body/y: y = 1',
      'body/x: x = *',
      'body/later: later()',
      'body/load: READ_ONCE(seen)',
      'later/y: y = 2',
    ]);
  });

  it('are told apart by their place when they begin with the same word', () => {
    const { system, words } = machine(function* ({ x, y }) {
      yield* store(x, 1);
      yield* store(y, 1);
    });
    const [first, second] = linesOf(system);
    expect([first?.step, second?.step]).toEqual(['store', 'store.2']);
    const { routine: name = '', word = '', position = null } = second ?? {};
    const { store: memory } = run(mutated(system, { routine: name, word, position, change: Change.leaveOut }).system);
    expect([memory.read(words.x), memory.read(words.y)]).toEqual([1, 0]);
  });

  it('have their place among those of the routine when a function without a name makes them', () => {
    const helper = inlined(function* (x: Address): Steps {
      yield* store(x, 1, { label: 'helper x = 1' });
    });
    const { system } = machine(function* ({ x, y }) {
      yield* helper(x);
      yield* store(y, 1, { label: 'y = 1' });
      yield* helper(x);
    });
    expect(linesOf(system).map(({ step }) => step)).toEqual(['helper', 'y', 'helper.2']);
  });

  it('stand where the operation says, if it does', () => {
    const source = { file: 'mm/mmu.c', line: 42 };
    const { system } = machine(function* ({ x }) {
      yield* store(x, 1, { source });
    });
    expect(linesOf(system)[0]?.source).toEqual(source);
  });

  it('say what can become of them', () => {
    const { system } = machine(function* ({ x, y }) {
      yield* store(x, 1);
      yield* smp_mb();
      yield* xchg(y, 1);
      yield* load(x);
      yield* load(x);
      yield* nop({ label: 'compute' });
    });
    expect(linesOf(system).map(({ step, changes }) => [step, ...changes])).toEqual([
      ['store', 'leave-out', 'swap-with-next'],
      ['smp_mb', 'leave-out', 'swap-with-next'],
      ['xchg', 'leave-out', 'load-then-store'],
      ['load'],
      ['load.2', 'leave-out-recheck'],
      ['compute'],
    ]);
    expect(
      linesOf(system)
        .filter(({ onlyCost }) => onlyCost)
        .map(({ text }) => text),
    ).toEqual(['compute']);
  });
});

describe('a line that is left out', () => {
  it('stores nothing, and stays a step', () => {
    const { system, words } = machine(function* ({ x, y }) {
      yield* store(x, 1, { label: 'x = 1' });
      yield* store(y, 1, { label: 'y = 1' });
    });
    const executor = new TabulatedExecutor(mutated(system, change('x', Change.leaveOut)).system);
    replay(executor, [0, 0]);
    expect([executor.store.read(words.x), executor.store.read(words.y)]).toEqual([0, 1]);
  });

  it('returns what it would have returned: an atomic what a plain load sees, in its own store buffer too', () => {
    const { system, words } = machine(function* ({ x, y, seen }) {
      yield* store(x, 5);
      const old = yield* xchg(x, 7, { label: 'exchange' });
      const counted = yield* atomicAdd(y, 1, { label: 'count' });
      yield* store(seen, old * 10 + counted);
    }, 'tso');
    const without = mutated(system, change('exchange', Change.leaveOut)).system;
    expect(run(without).store.read(words.seen)).toBe(51);
    expect(run(without).store.read(words.x)).toBe(5);
    expect(run(mutated(system, change('count', Change.leaveOut)).system).store.read(words.seen)).toBe(51);
  });

  it('waits for nothing if it is a wait, and returns the word', () => {
    const { system, words } = machine(function* ({ x, seen }) {
      yield* store(seen, (yield* waitFor(x, -1, 1, { label: 'wait' })) + 10);
    });
    expect(run(system).store.read(words.seen)).toBe(0);
    expect(run(mutated(system, change('wait', Change.leaveOut)).system).store.read(words.seen)).toBe(10);
  });

  it('fails nothing, and what it wrote is forgotten with it', () => {
    const TWICE = defineOperation({
      name: 'twice',
      perform(cx, op) {
        cx.write(op.a, cx.read(op.a) + 1);
        cx.write(op.a, cx.read(op.a) + 1);
        cx.fail('never', () => 'failed');
        return cx.read(op.a);
      },
    });
    const { system, words } = machine(function* ({ x, seen }) {
      yield* store(seen, yield operation(TWICE, x));
    });
    const executor = run(mutated(system, change('twice', Change.leaveOut)).system);
    expect([executor.store.read(words.x), executor.store.read(words.seen), executor.failed]).toEqual([0, 2, false]);
  });

  it('has what waits for others wait no longer', () => {
    const WAITS = defineOperation({
      name: 'waits',
      perform: (cx, op) => (cx.read(op.a) === 0 ? BLOCKED : 0),
    });
    const { system, words } = machine(function* ({ x, seen }) {
      yield operation(WAITS, x, 0, 0, undefined, { label: 'rendezvous' });
      yield* store(seen, 1);
    });
    expect(new TabulatedExecutor(system).step(0)).toBe(false);
    expect(run(mutated(system, change('rendezvous', Change.leaveOut)).system).store.read(words.seen)).toBe(1);
  });

  it('makes a call that returns nothing not happen', () => {
    const inner = routine('inner', function* ({ x }: Words): Steps {
      yield* store(x, 1);
    });
    const { system, words } = machine((all) => inner(all));
    expect(run(mutated(system, change('inner', Change.leaveOut)).system).store.read(words.x)).toBe(0);
  });

  it('says whether any run has come to it', () => {
    const { system } = machine(function* ({ x }) {
      yield* store(x, 1, { label: 'x = 1' });
    });
    const [meant, none] = ['x', 'y'].map((word) => mutated(system, change(word, Change.leaveOut)));
    for (const changed of [meant, none]) run((changed as typeof meant & object).system);
    expect([meant?.reached(), none?.reached()]).toEqual([true, false]);
  });
});

describe('a pair that is left out', () => {
  const ends = (end: 'open' | 'close', by: number) =>
    defineOperation({
      name: end,
      leftOut: () => 0,
      pair: (op: Operation) => ({ end, of: `lock ${op.a}` }),
      perform(cx, op) {
        if (by > 0 && cx.read(op.a) !== 0) return BLOCKED;
        cx.write(op.a, cx.read(op.a) + by);
        return 0;
      },
    });
  const [OPEN, CLOSE] = [ends('open', 1), ends('close', -1)];

  it('is left out at both ends, across calls, and no other lock is', () => {
    const unlock = routine('unlock', function* (word: Address): Steps {
      yield operation(CLOSE, word);
    });
    const { system, words } = machine(function* ({ x, y, seen }) {
      yield operation(OPEN, x, 0, 0, undefined, { label: 'lock_x' });
      yield operation(OPEN, y, 0, 0, undefined, { label: 'lock_y' });
      yield* store(seen, (yield* load(x)) * 10 + (yield* load(y)));
      yield* unlock(y);
      yield* unlock(x);
    });
    const executor = run(mutated(system, change('lock_x', Change.leaveOutPair)).system);
    expect([executor.store.read(words.seen), executor.store.read(words.x), executor.store.read(words.y)]).toEqual([
      1, 0, 0,
    ]);
    const changes = linesOf(system).filter(({ text }) => /lock|close/.test(text));
    expect(changes.map((line) => [line.step, ...line.changes])).toEqual([
      ['lock_x', 'leave-out-pair', 'swap-with-next'],
      ['lock_y', 'leave-out-pair', 'swap-with-next'],
      ['unlock', 'leave-out', 'swap-with-next'],
      ['unlock.2', 'leave-out'],
      ['close'],
    ]);
  });
});

describe('a read that is not made again', () => {
  const reader = (words: Words): Steps =>
    (function* (): Steps {
      const first = yield* load(words.x, { label: 'first x' });
      yield* again(words, first);
    })();
  const again = routine('again', function* ({ x, seen }: Words, first: number): Steps {
    const second = yield* load(x, { label: 'second x' });
    yield* store(seen, first === second ? 1 : 2);
  });

  it('believes what was read before, by the routine or by its callers', () => {
    const builder = new SystemBuilder();
    const words = {
      x: builder.region('x', 1).at(0),
      y: builder.region('y', 1).at(0),
      seen: builder.region('seen', 1).at(0),
    };
    builder.processor({ name: 'CPU0', tasks: [program(routine('body', () => reader(words)))] });
    builder.processor({
      name: 'CPU1',
      tasks: [
        program(
          routine('writer', function* () {
            yield* store(words.x, 1);
          }),
        ),
      ],
    });
    const system = builder.build();
    const between = [0, 1, 0, 0];
    const seenAfter = (meant: System): number => {
      const executor = new TabulatedExecutor(meant);
      replay(executor, between);
      return executor.store.read(words.seen);
    };
    expect(seenAfter(system)).toBe(2);
    expect(seenAfter(mutated(system, change('second', Change.recheck, 'again')).system)).toBe(1);
  });

  it('is made all the same when the routine has stored there itself', () => {
    const { system, words } = machine(function* ({ x, seen }) {
      yield* load(x, { label: 'first x' });
      yield* store(x, 3);
      yield* store(seen, yield* load(x, { label: 'second x' }));
    });
    const { system: changed, reached } = mutated(system, change('second', Change.recheck));
    expect([run(changed).store.read(words.seen), reached()]).toEqual([3, false]);
  });
});

describe('a system with routines replaced', () => {
  const { system, words } = machine(function* ({ x }) {
    yield* routine('step', () => store(x, 1))();
  });
  const replaced = replaceRoutines(system, { step: routine('step', () => store(words.x, 2, { label: 'x = 2' })) });

  it('is watched as it runs', () => {
    const watcher = new LineWatcher(replaced);
    expect(run(watcher.system).store.read(words.x)).toBe(2);
    expect(watcher.lines().map(({ text }) => text)).toContain('x = 2');
  });

  it('is what is changed', () => {
    expect(run(mutated(replaced, change('never', Change.leaveOut)).system).store.read(words.x)).toBe(2);
  });
});

describe('a read that decides a branch', () => {
  it('may always have one of the values that were seen', () => {
    const builder = new SystemBuilder();
    const x = builder.region('x', 1).at(0);
    const step = routine('step', function* (): Steps {
      if ((yield* load(x, { label: 'test x' })) === 0) yield* store(x, 1, { label: 'x = 1' });
      else yield* store(x, 2, { label: 'x = 2' });
    });
    builder.processor({ name: 'CPU0', tasks: [program(step)] });
    builder.processor({ name: 'CPU1', tasks: [program(step)] });
    const system = builder.build();
    const watcher = new LineWatcher(system);
    for (const schedule of [
      [0, 0, 1, 1],
      [1, 1, 0, 0],
    ])
      replay(new TabulatedExecutor(watcher.system), schedule);
    expect(watcher.lines()[0]?.changes).toEqual(['always-0', 'always-1']);
    const always = mutated(system, change('test', 'always-1', 'step')).system;
    expect(run(always).store.read(x)).toBe(2);
  });
});

describe('an atomic operation that is none any more', () => {
  it('loads in one step and stores in another', () => {
    const { system, words } = machine(function* ({ x, seen }) {
      const old = yield* cmpxchg(x, 0, 5, { label: 'cmpxchg x' });
      yield* store(seen, old + 1);
    });
    const executor = new TabulatedExecutor(mutated(system, change('cmpxchg', Change.loadThenStore)).system);
    replay(executor, [0]);
    expect(executor.store.read(words.x)).toBe(0);
    executor.step(0);
    expect(executor.store.read(words.x)).toBe(5);
    executor.step(0);
    expect(executor.store.read(words.seen)).toBe(1);
  });

  it('stores nothing if the comparison fails', () => {
    const { system, words } = machine(function* ({ x, seen }) {
      yield* store(seen, (yield* cmpxchg(x, 9, 5, { label: 'cmpxchg x' })) + 1);
    });
    const executor = run(mutated(system, change('cmpxchg', Change.loadThenStore)).system);
    expect([executor.store.read(words.x), executor.store.read(words.seen)]).toEqual([0, 1]);
  });
});

describe('neighbours that change places', () => {
  it('are performed the other way round, each with its own operands and result', () => {
    const { system, words } = machine(function* ({ x, seen }) {
      yield* store(x, 1, { label: 'x = 1' });
      const value = yield* load(x, { label: 'read x' });
      yield* store(seen, value + 10);
    });
    expect(run(mutated(system, change('x', Change.swap)).system).store.read(words.seen)).toBe(10);
    expect(run(system).store.read(words.seen)).toBe(11);
  });
});

it('calls that return nothing change places with their neighbours as well', () => {
  const inner = routine('inner', function* ({ x }: Words): Steps {
    yield* store(x, 1);
    yield* store(x, 2);
  });
  const { system, words } = machine(function* (all) {
    yield* inner(all);
    yield* count('counted');
    yield* store(all.seen, (yield* load(all.x, { label: 'read x' })) + 10);
  });
  expect(linesOf(system).find(({ step }) => step === 'inner')).toMatchObject({ next: 'read x' });
  expect(run(mutated(system, change('inner', Change.swap)).system).store.read(words.seen)).toBe(10);
});

it('two lines may be changed, one after the other', () => {
  const { system, words } = machine(function* ({ x, y, seen }) {
    yield* store(x, 1);
    yield* store(y, 1);
    yield* store(seen, 1);
  });
  const positions = linesOf(system).map(({ position }) => position);
  const without = (meant: System, which: number): System =>
    mutated(meant, { ...change('store', Change.leaveOut), position: positions[which] ?? null }).system;
  const { store: memory } = run(without(without(system, 0), 2));
  expect([memory.read(words.x), memory.read(words.y), memory.read(words.seen)]).toEqual([0, 1, 0]);
});

it('a weaker form is what the definition offers on the memory model in force', () => {
  const WEAK = defineOperation({ name: 'weak', perform: () => 2 });
  const STRONG = defineOperation({
    name: 'strong',
    perform: () => 1,
    weaker: (op, memoryModel) =>
      memoryModel === 'sc' ? [{ change: 'weak-instead', operation: { ...op, definition: WEAK } }] : [],
  });
  const body = function* ({ seen }: Words): Steps {
    yield* store(seen, yield operation(STRONG));
  };
  const { system, words } = machine(body);
  expect(linesOf(system)[0]?.changes).toContain('weak-instead');
  expect(linesOf(machine(body, 'tso').system)[0]?.changes).not.toContain('weak-instead');
  expect(run(mutated(system, change('strong', 'weak-instead')).system).store.read(words.seen)).toBe(2);
});

it('a changed system runs the same in every executor', () => {
  const { system, words } = machine(function* ({ x, seen }) {
    yield* store(x, 1, { label: 'x = 1' });
    yield* store(seen, (yield* load(x)) + 10);
  });
  const direct = new DirectExecutor(mutated(system, change('x', Change.leaveOut)).system);
  while (direct.step(0));
  expect(direct.store.read(words.seen)).toBe(10);
});

it('a mutation is written and read', () => {
  const name = { routine: 'guest access', step: 'pud_clear.2', change: 'leave-out' };
  expect(parseMutation(formatMutation(name))).toEqual(name);
  expect(() => parseMutation('pud_clear')).toThrow(/^mutation: expected routine\/step:change/);
});
