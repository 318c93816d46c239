import { describe, expect, test } from 'vitest';
import { DirectExecutor } from '../execute/direct.ts';
import { atomicAdd, load, work } from '../routine/operations.ts';
import type { Steps } from '../routine/operation.ts';
import { program, routine } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import type { CacheCosts } from './cache-lines.ts';
import { withCosts, x86Costs } from './cost.ts';
import { VirtualTimeScheduler } from './virtual-time.ts';

const FREE = withCosts(x86Costs, { load: 0, xchg: 0, wait: 0, big: 0 });
const CACHES: CacheCosts = {
  cpus: [0, 1, 2, 3],
  transfer: (from, to) => (Math.abs(from - to) > 1 ? 400 : 100),
  memory: () => 200,
  cacheOf: () => 0,
  cacheBytes: 1000,
  traffic: { big: 600 },
};

type Body = (word: (index: number) => ReturnType<ReturnType<SystemBuilder['region']>['at']>) => Steps;

/** Cycles that each processor has been busy with what it does to words of which two share a line. */
function busy(bodies: readonly Body[], caches = CACHES): readonly number[] {
  const builder = new SystemBuilder();
  const words = builder.region('words', 4, { lineWords: 2 });
  bodies.forEach((body, i) => {
    const run = routine(`body${i}`, () => body((index) => words.at(index)));
    builder.processor({ name: `P${i}`, tasks: [program(run)] });
  });
  const scheduler = new VirtualTimeScheduler(new DirectExecutor(builder.build()), { costs: FREE, caches });
  scheduler.advance(Number.POSITIVE_INFINITY);
  return scheduler.result().busyCycles;
}

const later = function* (): Steps {
  for (let i = 0; i < 100; i++) yield* work('compute');
};

describe('cache lines', () => {
  test('come from memory once, and cost nothing to whoever has them', () => {
    const reads: Body = function* (word) {
      for (let i = 0; i < 5; i++) yield* load(word(i % 2));
      for (let i = 0; i < 5; i++) yield* atomicAdd(word(0), 1);
    };
    expect(busy([reads])).toEqual([200]);
  });

  test('come from whoever has written them, from farther away for more, and are taken away from readers', () => {
    const writes: Body = function* (word) {
      yield* atomicAdd(word(0), 1);
      yield* later();
      yield* atomicAdd(word(0), 1);
    };
    const looks: Body = function* (word) {
      yield* work('compute');
      yield* load(word(1));
      yield* load(word(0));
    };
    const compute = 100 * 1000;
    expect(busy([writes, looks])).toEqual([200 + compute + 100, 1000 + 100]);
    const nothing: Body = function* () {
      yield* work('compute');
    };
    expect(busy([writes, nothing, looks]).at(2)).toBe(1000 + 400);
  });

  test('are on their way to one at a time: who wants them at once queues', () => {
    const adds: Body = function* (word) {
      yield* atomicAdd(word(0), 1);
    };
    const near = { ...CACHES, transfer: () => 100 };
    expect(busy([adds, adds, adds, adds], near)).toEqual([200, 300, 400, 500]);
  });

  test('have to make room for what comes after them', () => {
    const body = (times: number): Body =>
      function* (word) {
        yield* load(word(0));
        for (let i = 0; i < times; i++) yield* work('big');
        yield* load(word(0));
      };
    expect(busy([body(1)])).toEqual([200]);
    expect(busy([body(2)])).toEqual([400]);
  });

  test('are shared by processors of one CPU', () => {
    const adds: Body = function* (word) {
      yield* atomicAdd(word(0), 1);
    };
    expect(busy([adds, adds], { ...CACHES, cpus: [1, 1] })).toEqual([200, 0]);
  });

  test('are known of every CPU, however many there are', () => {
    const writes: Body = function* (word) {
      yield* atomicAdd(word(0), 1);
      yield* later();
      yield* atomicAdd(word(0), 1);
    };
    const readsTwice: Body = function* (word) {
      yield* work('compute');
      yield* load(word(0));
      yield* load(word(0));
    };
    const compute = 100 * 1000;
    // Two readers 32 apart: each has its own copy, and the writer takes both away.
    const far = { ...CACHES, cpus: [1, 40, 8], transfer: () => 100 };
    expect(busy([writes, readsTwice, readsTwice], far)).toEqual([200 + compute + 100, 1000 + 100, 1000 + 200]);
  });
});
