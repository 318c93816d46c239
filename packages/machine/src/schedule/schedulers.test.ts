import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { entryBranch, entryChoice, scheduleEntry } from './schedule.ts';
import { LiveExecutor } from '../execute/live.ts';
import { choose, load, nop, store, waitFor } from '../routine/operations.ts';
import { Random } from '../state/random.ts';
import { assertThat, point, program, routine } from '../routine/routine.ts';
import { PctScheduler, RandomScheduler, replay, runScheduler } from './schedulers.ts';
import { SystemBuilder } from '../system/system.ts';
import type { System } from '../system/specs.ts';
import { deviceSystem, interruptSystem, memorySystem, oneProcessor, oneWord } from '../execute/systems.test-support.ts';
import { TabulatedExecutor } from '../execute/tabulated.ts';
import { recordTrace } from '../trace/trace.ts';
import { verifyPoints } from '../routine/verify-points.ts';

const systems = [interruptSystem('tso'), deviceSystem('sc'), memorySystem('tso')];

/** A bug of depth 2: P1 must come between two adjacent operations of P0. */
function race(): System {
  const builder = new SystemBuilder();
  const flag = oneWord(builder, 'flag');
  const body = routine('P0', function* () {
    for (let i = 0; i < 20; i++) yield* nop();
    yield* store(flag, 1);
    yield* store(flag, 0);
  });
  const observer = routine('P1', function* () {
    yield* assertThat((yield* load(flag)) === 0, 'the flag is never seen');
    yield* nop();
  });
  builder.processor({ name: 'P0', tasks: [program(body)] });
  builder.processor({ name: 'P1', tasks: [program(observer)] });
  return builder.build();
}

describe('schedule entries', () => {
  it('pack a choice and a branch', () => {
    fc.assert(
      fc.property(fc.nat(254), fc.nat(1_000_000), (choice, branch) => {
        const entry = scheduleEntry(choice, branch);
        expect([entryChoice(entry), entryBranch(entry)]).toEqual([choice, branch]);
      }),
    );
  });
});

describe.each([
  ['random', (seed: number) => new RandomScheduler(seed)],
  ['PCT', (seed: number) => new PctScheduler(seed, 3, 200)],
] as const)('the %s scheduler', (_, make) => {
  it('gives the same schedule for the same seed, and others for other seeds', () => {
    for (const system of systems) {
      const executor = new TabulatedExecutor(system);
      const run = (seed: number): string => JSON.stringify(runScheduler(executor, make(seed), 100));
      expect(run(5)).toBe(run(5));
      expect(new Set(Array.from({ length: 10 }, (__, seed) => run(seed))).size).toBeGreaterThan(5);
    }
  });

  it('gives a schedule that replays to the same fingerprint, with either executor', () => {
    for (const system of systems) {
      const executor = new TabulatedExecutor(system);
      for (let seed = 0; seed < 5; seed++) {
        const { schedule } = runScheduler(executor, make(seed), 150);
        const { fingerprint } = executor;
        const steps: number[] = [];
        replay(executor, schedule, (i) => steps.push(i));
        expect(executor.fingerprint).toBe(fingerprint);
        expect(steps).toHaveLength(schedule.length);
        const live = new LiveExecutor(system);
        replay(live, schedule);
        expect(live.fingerprint).toBe(fingerprint);
      }
    }
  });

  it('takes every branch in some run', () => {
    const executor = new TabulatedExecutor(oneProcessor(() => () => choose(3)));
    const seen = new Set(
      Array.from({ length: 60 }, (__, seed) => runScheduler(executor, make(seed), 10).schedule.map(entryBranch).join()),
    );
    expect([...seen].toSorted()).toEqual(['0', '1', '2']);
  });

  it('says how a run ended', () => {
    const rests = new TabulatedExecutor(oneProcessor(() => () => nop()));
    expect(runScheduler(rests, make(1), 10)).toMatchObject({ end: 'rest', schedule: [0] });
    const waits = new TabulatedExecutor(
      oneProcessor((builder) => {
        const word = oneWord(builder, 'word');
        return () => waitFor(word, 1, 1);
      }),
    );
    expect(runScheduler(waits, make(1), 10)).toEqual({ end: 'deadlock', schedule: [], violation: null });
    const runs = new TabulatedExecutor(
      oneProcessor(
        () =>
          function* () {
            for (;;) yield* nop();
          },
      ),
    );
    expect(runScheduler(runs, make(1), 10)).toMatchObject({
      end: 'steps',
      schedule: Array.from({ length: 10 }, () => 0),
    });
    const fails = new TabulatedExecutor(
      oneProcessor(
        () =>
          function* () {
            yield* nop();
            yield* assertThat(false, 'no');
            yield* nop();
          },
      ),
    );
    expect(runScheduler(fails, make(1), 10)).toMatchObject({
      end: 'violation',
      schedule: [0],
      violation: { property: 'no' },
    });
  });
});

describe('PCT', () => {
  it('finds a bug of depth 2 as often as its theorem promises', () => {
    const executor = new TabulatedExecutor(race());
    const runs = 2000;
    let found = 0;
    for (let seed = 0; seed < runs; seed++)
      if (runScheduler(executor, new PctScheduler(seed, 2, 24), 100).end === 'violation') found++;
    // At least 1/(n k^(d-1)) with n = 2 processors and k = 24 steps; a third of it leaves room for chance.
    expect(found).toBeGreaterThan(runs / (2 * 24) / 3);
  });

  it('lets others go on when one waits for them in a loop', () => {
    const builder = new SystemBuilder();
    const flag = builder.region('flag', 1).at(0);
    const sets = routine('sets', function* () {
      yield* store(flag, 1);
    });
    const waits = routine('waits', function* () {
      while ((yield* load(flag)) === 0) yield* point('spin');
    });
    builder.processor({ name: 'CPU0', tasks: [program(sets)] });
    builder.processor({ name: 'CPU1', tasks: [program(waits)] });
    const executor = new TabulatedExecutor(builder.build());
    for (let seed = 0; seed < 20; seed++)
      expect(runScheduler(executor, new PctScheduler(seed, 1, 5), 100).end).toBe('rest');
  });
});

it('the machine of the README comes to rest, whatever the schedule, and replays as a trace', () => {
  const builder = new SystemBuilder({ memoryModel: 'tso' });
  const x = builder.region('x', 1).at(0);
  const y = builder.region('y', 1).at(0);
  const writer = routine('writer', function* () {
    yield* store(x, 1);
    yield* store(y, 1);
  });
  const reader = routine('reader', function* () {
    while ((yield* load(y)) === 0) yield* point('spin');
    yield* assertThat((yield* load(x)) === 1, 'what was published is there');
  });
  builder.processor({ name: 'CPU0', tasks: [program(writer)] });
  builder.processor({ name: 'CPU1', tasks: [program(reader)] });
  const executor = new TabulatedExecutor(builder.build());
  for (let seed = 0; seed < 50; seed++) {
    const run = runScheduler(executor, new RandomScheduler(seed), 1000);
    expect(run.end).toBe('rest');
    expect(recordTrace(executor, run.schedule).steps.at(-1)?.text).toBe('READ_ONCE(x)');
  }
  expect(verifyPoints(executor.system.programs, executor.nodes)).toEqual([]);
});

describe('replay', () => {
  const executor = new TabulatedExecutor(oneProcessor(() => () => nop()));

  it.each([
    [[0, 0], 'schedule: step 1: P0 is not enabled there'],
    [[256], 'schedule: step 0: P0 is not enabled there'],
    [[3], 'schedule: step: no choice 3 (this system has 1)'],
    [[-1], 'schedule: step 0: not a schedule entry (-1)'],
    [[0.5], 'schedule: step 0: not a schedule entry (0.5)'],
    [[Number.NaN], 'schedule: step 0: not a schedule entry (NaN)'],
  ])('of %j stops with one line', (schedule, message) => {
    expect(() => replay(executor, schedule)).toThrow(message);
  });
});

describe('Random', () => {
  it('gives the same numbers for the same seed, for ever', () => {
    const random = new Random(1);
    expect([random.next(), random.next(), random.next()]).toMatchInlineSnapshot(`
      [
        1508790738,
        2424777603,
        3554464459,
      ]
    `);
  });

  it('below(n) stays below n and reaches all of it', () => {
    const random = new Random(42);
    const counts = Array.from({ length: 7 }, () => 0);
    for (let i = 0; i < 7000; i++) counts[random.below(7)]!++;
    for (const n of counts) expect(Math.abs(n - 1000)).toBeLessThan(200);
  });
});
