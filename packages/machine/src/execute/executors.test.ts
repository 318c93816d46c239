import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DirectExecutor } from './direct.ts';
import type { Executor } from './executor.ts';
import { entryBranch, entryChoice } from '../schedule/schedule.ts';
import { LiveExecutor } from './live.ts';
import { load, nop, rest, store } from '../routine/operations.ts';
import { ThrownError } from '../state/errors.ts';
import { Random } from '../state/random.ts';
import { assertThat, count, program, routine } from '../routine/routine.ts';
import { RandomScheduler, runScheduler } from '../schedule/schedulers.ts';
import { SystemBuilder } from '../system/system.ts';
import type { System } from '../system/specs.ts';
import {
  deviceSystem,
  interruptSystem,
  memorySystem,
  oneProcessor,
  oneWord,
  send,
  tell,
} from './systems.test-support.ts';
import { TabulatedExecutor } from './tabulated.ts';
import { chosenMachine, listenerMachine, processorMachine } from './processor.test-support.machine.ts';

const SCHEDULES = process.env['SHOOTDOWN_DEEP'] === '1' ? 1000 : 120;
const STEPS = 200;

interface Trio {
  readonly tabulated: TabulatedExecutor;
  readonly others: readonly Executor[];
}

const trioOf = (system: System): Trio => ({
  tabulated: new TabulatedExecutor(system),
  others: [new LiveExecutor(system), new DirectExecutor(system)],
});

/** What a step did, as far as an observer can tell. */
function observed(executor: Executor): string {
  const { violation, fingerprint, branchCount } = executor;
  const pending = executor.system.processors.map((p) => executor.pendingOperation(p.index)?.definition.name ?? '-');
  return `${fingerprint} ${branchCount} ${violation?.property ?? 'ok'} ${pending.join()}`;
}

/** Asks vitest only when there is something to report: a call of expect() takes longer than a step. */
function expectAll(others: readonly Executor[], expected: string): void {
  for (const other of others) if (observed(other) !== expected) expect(observed(other)).toBe(expected);
}

/** Drives one random schedule through all executors; returns the number of steps that happened. */
function drive({ tabulated, others }: Trio, seed: number): number {
  const random = new Random(seed);
  const scheduler = new RandomScheduler(seed);
  for (const executor of [tabulated, ...others]) executor.reset();
  expectAll(others, observed(tabulated));
  let steps = 0;
  for (; steps < STEPS; steps++) {
    // A choice out of the blue first: what one executor refuses the others must refuse, and be none the worse for it.
    const choice = random.below(tabulated.system.choices.length);
    const branch = random.below(3);
    let entry = choice + 256 * branch;
    let happened = tabulated.step(choice, branch);
    if (!happened) {
      if (others.some((other) => other.step(choice, branch)))
        throw new Error(`${choice}/${branch} is refused by the tabulated executor only`);
      entry = scheduler.next(tabulated);
      happened = entry >= 0;
    }
    if (!happened) break;
    for (const other of others) {
      if (!other.step(entryChoice(entry), entryBranch(entry)))
        throw new Error(`${entryChoice(entry)}/${entryBranch(entry)} happens with the tabulated executor only`);
    }
    expectAll(others, observed(tabulated));
  }
  for (const component of tabulated.system.components) {
    for (const other of others)
      expect(other.describeComponent(component.index)).toBe(tabulated.describeComponent(component.index));
  }
  return steps;
}

describe('live, tabulated and direct execution agree', () => {
  const trios = [
    trioOf(interruptSystem('tso')),
    trioOf(interruptSystem('sc')),
    trioOf(deviceSystem('tso')),
    trioOf(deviceSystem('sc')),
    trioOf(memorySystem('tso')),
    trioOf(memorySystem('sc')),
  ];

  it(`on ${SCHEDULES} random schedules of ${STEPS} steps, after every step`, () => {
    let steps = 0;
    fc.assert(
      fc.property(fc.constantFrom(...trios), fc.integer(), (trio, seed) => {
        steps += drive(trio, seed);
      }),
      { numRuns: SCHEDULES },
    );
    expect(steps).toBe(SCHEDULES * STEPS);
  });

  it('and XState was asked a few hundred times at most', () => {
    const { tabulated } = trios[0] as Trio;
    for (let seed = 0; seed < 20; seed++) runScheduler(tabulated, new RandomScheduler(seed), STEPS);
    expect(tabulated.xstateCalls).toBeGreaterThan(10);
    expect(tabulated.xstateCalls).toBeLessThan(300);
  });
});

describe('components alike', () => {
  it('are asked about together, and have states and effects of their own', () => {
    const said: string[] = [];
    const machine = (devices: number): TabulatedExecutor => {
      const builder = new SystemBuilder();
      for (let i = 0; i < devices; i++)
        builder.component({
          name: `device${i}`,
          machine: listenerMachine,
          effects: { heard: () => void said.push(`device${i}`) },
        });
      builder.processor({
        name: 'P0',
        tasks: [
          program(
            routine('P0', function* () {
              for (let i = 0; i < devices; i++) yield* tell(i, { type: 'note', n: 1 });
            }),
          ),
        ],
      });
      const executor = new TabulatedExecutor(builder.build());
      while (executor.step(0));
      return executor;
    };
    const one = machine(1);
    const three = machine(3);
    expect(three.xstateCalls).toBe(one.xstateCalls);
    expect(new Set([0, 1, 2].map((i) => three.store.read(three.system.components[i]?.address ?? -1))).size).toBe(3);
    expect(said).toEqual(['device0', 'device0', 'device1', 'device2']);
  });

  it.each(
    [TabulatedExecutor, DirectExecutor, LiveExecutor].flatMap((Executor) =>
      [(id: number): unknown => ({ id }), (id: number): unknown => ({ answer: () => id })].map(
        (inputOf) => [Executor, inputOf] as const,
      ),
    ),
  )('are not those with another input', (Executor, inputOf) => {
    const said: unknown[] = [];
    const builder = new SystemBuilder();
    for (const id of [1, 2])
      builder.component({
        name: `device${id}`,
        machine: chosenMachine,
        input: inputOf(id),
        effects: { heard: (_cx, { n }) => void said.push(n) },
      });
    builder.processor({
      name: 'P0',
      tasks: [
        program(
          routine('P0', function* () {
            for (const device of [0, 1]) yield* tell(device, { type: 'note', n: 0 });
          }),
        ),
      ],
    });
    const executor = new Executor(builder.build());
    while (executor.step(0));
    expect(said).toEqual([1, 2]);
  });
});

describe('a fingerprint', () => {
  it('is the same in an executor that has discovered its states in another order', () => {
    const warm = new TabulatedExecutor(interruptSystem('tso'));
    for (let seed = 100; seed < 120; seed++) runScheduler(warm, new RandomScheduler(seed), STEPS);
    const cold = new TabulatedExecutor(interruptSystem('tso'));
    for (let seed = 0; seed < 20; seed++) {
      runScheduler(warm, new RandomScheduler(seed), STEPS);
      runScheduler(cold, new RandomScheduler(seed), STEPS);
      expect(warm.fingerprint).toBe(cold.fingerprint);
    }
  });

  it('comes back when every step is undone', () => {
    for (const system of [interruptSystem('tso'), deviceSystem('sc'), memorySystem('tso')]) {
      const executor = new TabulatedExecutor(system);
      const scheduler = new RandomScheduler(7);
      const marks = [];
      for (let i = 0; i < STEPS; i++) {
        const { mark, lo, hi } = executor.store;
        marks.push({
          mark,
          lo,
          hi,
          words: Array.from(executor.store.words),
          observed: observed(executor).split(' ')[0],
        });
        scheduler.next(executor);
      }
      for (const { mark, lo, hi, words, observed: before } of marks.reverse()) {
        executor.store.undo(mark, lo, hi);
        expect(Array.from(executor.store.words)).toEqual(words);
        expect(executor.fingerprint).toBe(before);
      }
    }
  });

  it('an interrupt that changed nothing leaves no trace in it', () => {
    const builder = new SystemBuilder();
    builder.component({ name: 'cpu', machine: processorMachine });
    const handler = program(
      routine('handler', function* () {
        yield* nop();
        yield* nop();
      }),
    );
    builder.processor({
      name: 'P0',
      component: 'cpu',
      tasks: [program(routine('task', () => rest()))],
      handlers: { a: handler },
    });
    builder.spontaneous({ name: 'irq', kind: 'hardware', component: 'cpu', message: { type: 'irq', vector: 'a' } });
    const system = builder.build();
    for (const executor of [new TabulatedExecutor(system), new LiveExecutor(system), new DirectExecutor(system)]) {
      const before = executor.fingerprint;
      for (let i = 0; i < 3; i++) {
        expect([executor.step(1), executor.step(0), executor.step(0)]).toEqual([true, true, true]);
        expect(executor.fingerprint).toBe(before);
      }
      expect(executor.atRest()).toBe(true);
    }
  });

  it('a routine that received -1 first is not in the state of one that has returned', () => {
    const body = routine('body', function* (times: number) {
      for (let i = 0; i < times; i++) yield* load(0 as never);
    });
    const fingerprintAfter = (times: number): string => {
      const builder = new SystemBuilder();
      builder.region('word', 1, { initial: -1 });
      builder.processor({ name: 'P0', tasks: [program(body, times)] });
      const executor = new TabulatedExecutor(builder.build());
      executor.step(0);
      return executor.fingerprint;
    };
    expect(fingerprintAfter(2)).not.toBe(fingerprintAfter(1));
  });
});

describe('a long run', () => {
  it.each([LiveExecutor, DirectExecutor])('keeps the writes of the last step and no more (%o)', (Kind) => {
    const executor = new Kind(memorySystem('tso'));
    runScheduler(executor, new RandomScheduler(3), 2000);
    expect(executor.store.mark).toBeLessThan(20);
  });

  it('runs in the same memory however long it is: a direct executor has no table of routine states', () => {
    const executor = new DirectExecutor(memorySystem('sc'));
    runScheduler(executor, new RandomScheduler(3), 5000);
    expect(executor).not.toHaveProperty('nodes');
    expect(new TabulatedExecutor(memorySystem('sc'))).toHaveProperty('nodes');
  });
});

describe('symmetric processors', () => {
  const system = (symmetric: boolean): System => {
    const builder = new SystemBuilder();
    const body = program(
      routine('body', function* () {
        yield* nop();
        yield* nop();
      }),
    );
    for (const name of ['P0', 'P1', 'P2']) builder.processor({ name, tasks: [body] });
    if (symmetric) builder.symmetric('P0', 'P1', 'P2');
    return builder.build();
  };

  it('may trade places: one fingerprint', () => {
    const after = (symmetric: boolean, ...choices: number[]): string => {
      const executor = new TabulatedExecutor(system(symmetric));
      for (const choice of choices) executor.step(choice);
      return executor.fingerprint;
    };
    expect(after(true, 0, 0, 1)).toBe(after(true, 2, 1, 2));
    expect(after(true, 0, 0)).not.toBe(after(true, 0, 1));
    expect(after(false, 0)).not.toBe(after(false, 1));
  });

  it('must run the same program', () => {
    const builder = new SystemBuilder();
    const body = routine('body', () => nop());
    for (const name of ['P0', 'P1']) builder.processor({ name, tasks: [program(body)] });
    builder.symmetric('P0', 'P1');
    expect(() => new TabulatedExecutor(builder.build())).toThrow(
      'system: symmetric: P1 and P0 do not run the same programs',
    );
  });
});

describe('interrupt handlers', () => {
  it('one without operations has returned at once: the processor goes on', () => {
    const builder = new SystemBuilder();
    builder.component({ name: 'cpu', machine: processorMachine });
    const counts = program(routine('counts', () => count('interrupts')));
    builder.processor({
      name: 'P0',
      component: 'cpu',
      tasks: [program(routine('task', () => nop()))],
      handlers: { a: counts },
    });
    builder.spontaneous({ name: 'irq', kind: 'hardware', component: 'cpu', message: { type: 'irq', vector: 'a' } });
    const system = builder.build();
    for (const executor of [new TabulatedExecutor(system), new LiveExecutor(system), new DirectExecutor(system)]) {
      const counted: string[] = [];
      executor.observe = true;
      executor.onCount = (processor, counter) => counted.push(`${processor} ${counter}`);
      expect(executor.step(1)).toBe(true);
      expect(counted).toEqual(['0 interrupts']);
      expect(executor.describeComponent(0)).toContain('open');
      expect(executor.step(0)).toBe(true);
      expect(executor.atRest()).toBe(true);
    }
  });

  it.each([['a vector without a handler', 'b', 'component: cpu: no handler for interrupt b']])(
    '%s is a mistake',
    (_, vector, message) => {
      const builder = new SystemBuilder();
      builder.component({ name: 'cpu', machine: processorMachine });
      builder.processor({
        name: 'P0',
        component: 'cpu',
        tasks: [program(routine('task', () => nop()))],
        handlers: { a: program(routine('h', () => nop())) },
      });
      builder.spontaneous({ name: 'irq', kind: 'hardware', component: 'cpu', message: { type: 'irq', vector } });
      expect(() => new TabulatedExecutor(builder.build()).step(1)).toThrow(message);
    },
  );
});

it.each(
  [TabulatedExecutor, LiveExecutor, DirectExecutor].flatMap((Kind) =>
    (['sc', 'tso', 'arm'] as const).map((model) => [Kind, model] as const),
  ),
)('a watcher is told whose store it is (%o, %s)', (Kind, memoryModel) => {
  const builder = new SystemBuilder({ memoryModel });
  const words = builder.region('word', 2);
  const writers = builder.region('writer', 2, { memory: 'ghost' });
  builder.watch(words, (cx, address) => cx.write(writers.at(address - words.base), cx.processor + 1));
  const body = routine('body', (own: number) => store(words.at(own), 1));
  for (const own of [0, 1]) builder.processor({ name: `CPU${own}`, tasks: [program(body, own)] });
  const executor = new Kind(builder.build());
  for (const choice of executor.system.choices.keys()) expect(executor.step(choice)).toBe(true);
  expect([0, 1].map((own) => executor.store.words[writers.at(own)])).toEqual([1, 2]);
});

describe('mistakes in the model', () => {
  const executors = [TabulatedExecutor, LiveExecutor, DirectExecutor];

  it.each(executors)('a routine that throws stops the step (%o)', (Kind) => {
    const executor = new Kind(
      oneProcessor(
        () =>
          function* () {
            yield* nop();
            throw new RangeError('no such level');
          },
      ),
    );
    expect(() => executor.step(0)).toThrow('routine: body: step 1 (after nop): threw RangeError: no such level');
  });

  it.each(executors)('a routine that throws before its first operation (%o)', (Kind) => {
    const system = oneProcessor(
      () =>
        function* () {
          yield* count('nothing');
          throw new RangeError('no such level');
        },
    );
    expect(() => new Kind(system)).toThrow('routine: body: step 0: threw RangeError: no such level');
  });

  it.each(executors)(
    'a watcher that throws where no routine does anything is named by what it looks at (%o)',
    (Kind) => {
      const builder = new SystemBuilder({ memoryModel: 'tso' });
      const words = builder.region('word', 1);
      builder.watch(words, () => {
        throw new TypeError('no such word');
      });
      const body = routine('body', () => store(words.at(0), 1));
      builder.processor({ name: 'CPU0', tasks: [program(body)] });
      const executor = new Kind(builder.build());
      expect(executor.step(0)).toBe(true);
      expect(() => executor.step(1)).toThrow(new ThrownError('drain CPU0: threw TypeError: no such word'));
    },
  );

  it.each(executors)('a component that throws is named with its state (%o)', (Kind) => {
    const executor = new Kind(
      oneProcessor((builder) => {
        const listener = builder.component({ name: 'listener', machine: listenerMachine });
        return () => tell(listener, { type: 'poison' });
      }),
    );
    expect(() => executor.step(0)).toThrow(
      'component: listener: poison in {"context":{"last":0},"value":"listening"}: Error: the listener fell over',
    );
  });

  it.each([TabulatedExecutor, DirectExecutor])(
    'an action that would act outside the component is refused, not forgotten (%o)',
    (Kind) => {
      const executor = new Kind(
        oneProcessor((builder) => {
          const listener = builder.component({ name: 'listener', machine: listenerMachine });
          return () => tell(listener, { type: 'leak' });
        }),
      );
      expect(() => executor.step(0)).toThrow('xstate: action leak: a component is closed');
    },
  );

  it.each(executors)('an emitted event that nothing handles (%o)', (Kind) => {
    const executor = new Kind(
      oneProcessor((builder) => {
        const listener = builder.component({
          name: 'listener',
          machine: listenerMachine,
          effects: { seen: () => undefined },
        });
        return () => tell(listener, { type: 'note', n: 1 });
      }),
    );
    expect(() => executor.step(0)).toThrow(
      'component: listener: emitted heard, which nothing handles (have: send, interrupt, switch, migrate, give, seen)',
    );
  });

  it.each(executors)(
    'a property that fails before the first operation is violated in the initial state (%o)',
    (Kind) => {
      const executor = new Kind(
        oneProcessor(
          () =>
            function* () {
              yield* assertThat(false, 'true is false');
              yield* nop();
            },
        ),
      );
      expect(executor.failed).toBe(true);
      expect(runScheduler(executor, new RandomScheduler(1), 10)).toMatchObject({
        schedule: [],
        end: 'violation',
        violation: { property: 'true is false' },
      });
    },
  );

  it.each(executors)('a reset forgets the violation of the run before (%o)', (Kind) => {
    const executor = new Kind(
      oneProcessor(
        () =>
          function* () {
            yield* nop();
            yield* assertThat(false, 'true is false');
            yield* nop();
          },
      ),
    );
    executor.step(0);
    expect(executor.failed).toBe(true);
    executor.reset();
    expect(executor.failed).toBe(false);
  });

  it('there is no such choice, no such channel', () => {
    const executor = new TabulatedExecutor(oneProcessor(() => () => send(3, { type: 'hello' }, true)));
    expect(() => executor.step(5)).toThrow('schedule: step: no choice 5 (this system has 1)');
    expect(() => executor.step(0)).toThrow('wire: send: no channel 3 (message hello)');
  });

  it.each(executors)('a branch that an operation does not have is refused (%o)', (Kind) => {
    const executor = new Kind(
      oneProcessor((builder) => {
        const word = oneWord(builder, 'word');
        return function* () {
          yield* load(word);
          yield* nop();
        };
      }),
    );
    const before = executor.fingerprint;
    expect([executor.step(0, 1), executor.step(0, 0), executor.step(0, 1), executor.step(0, 0)]).toEqual([
      false,
      true,
      false,
      true,
    ]);
    expect(executor.fingerprint).not.toBe(before);
  });
});

describe('SystemBuilder', () => {
  const task = program(routine('task', () => nop()));

  it.each<[string, (builder: SystemBuilder) => unknown, string]>([
    [
      'two processors of one name',
      (b) => [b.processor({ name: 'P', tasks: [task] }), b.processor({ name: 'P', tasks: [task] })],
      'system: processor: name taken twice (P)',
    ],
    ['a processor without a task', (b) => b.processor({ name: 'P', tasks: [] }), 'system: processor: P has no task'],
    [
      'a processor of a component that is not there',
      (b) => b.processor({ name: 'P', tasks: [task], component: 'cpu' }),
      'system: P: no component cpu (have: none)',
    ],
    [
      'a channel to nowhere',
      (b) => [b.component({ name: 'c', machine: listenerMachine }), b.channel({ name: 'ch', to: 'd', policy: 'fifo' })],
      'system: ch: no component d (have: c)',
    ],
    [
      'a level channel for two messages',
      (b) => [
        b.component({ name: 'c', machine: listenerMachine }),
        b.channel({ name: 'ch', to: 'c', policy: 'level', capacity: 2 }),
      ],
      'system: channel: ch is level and wants capacity 2: it holds one message',
    ],
    [
      'a symmetry of unknown processors',
      (b) => [b.processor({ name: 'P', tasks: [task] }), b.symmetric('P', 'Q')],
      'system: symmetric: no processor Q (have: P)',
    ],
    [
      'more choices than a schedule entry can name',
      (b) => [
        b.component({ name: 'c', machine: listenerMachine }),
        Array.from({ length: 32_768 }, (_, i) => b.channel({ name: `ch${i}`, to: 'c', policy: 'level' })),
      ],
      'system: build: 32768 choices, at most 32767',
    ],
  ])('refuses %s', (_, declare, message) => {
    const build = (): System => {
      const builder = new SystemBuilder();
      declare(builder);
      return builder.build();
    };
    expect(build).toThrow(message);
  });
});
