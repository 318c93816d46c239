import { load, program, routine, store, SystemBuilder, TabulatedExecutor, type System } from '@shootdown/machine';
import { expect, test } from 'vitest';
import { explore } from './explore.ts';
import type { ExploreOptions } from './result.ts';
import { warmUp } from './warm-up.ts';

/** A processor that counts in its own local states, for ever, beside so many words. */
function counting(words: number): System {
  const builder = new SystemBuilder();
  const region = builder.region('word', words);
  const count = routine('count', function* () {
    for (let i = 0; ; i++) {
      yield* load(region.at(i % words));
      yield* store(region.at(i % words), i);
    }
  });
  builder.processor({ name: 'P', tasks: [program(count)] });
  return builder.build();
}

/** Steps that are made, as far as one is told. */
function stepsOf(system: System, statesMax: number): number {
  return [...warmUp(system, new TabulatedExecutor(system), statesMax)].at(-1) ?? 0;
}

test('a search of few states makes few random steps before it begins, and always the same', () => {
  const system = counting(8);
  expect(stepsOf(system, 1_000_000)).toBeGreaterThan(9_900);
  expect(stepsOf(system, 100)).toBeLessThanOrEqual(1_000);
  expect(stepsOf(system, 100)).toBe(stepsOf(system, 100));
});

test('of a system of many words little is seen before the search, because what is seen is sets of words', () => {
  expect(stepsOf(counting(200_000), 1_000_000)).toBeLessThan(2_000);
});

/** One processor breaks a property with its first step; the other one throws a few steps later. */
function breaksThenThrows(steps: number): System {
  const builder = new SystemBuilder();
  const region = builder.region('word', 2);
  const [x, y] = [region.at(0), region.at(1)];
  const breaks = routine('breaks', function* () {
    yield* store(x, 1);
  });
  const throws = routine('throws', function* () {
    for (let i = 0; i < steps; i++) yield* store(y, i);
    throw new Error('no such folio');
  });
  builder.processor({ name: 'P', tasks: [program(breaks)] });
  builder.processor({ name: 'Q', tasks: [program(throws)] });
  builder.property({ name: 'x stays 0', kind: 'always', why: '', reads: [x], check: (read) => read(x) === 0 });
  return builder.build();
}

test.each<ExploreOptions>([{}, { reduction: false }])(
  'random runs end where a routine throws: the search has a shorter counterexample (%o)',
  async (options) => {
    const { verdict, schedule } = await explore(breaksThenThrows(4), options);
    expect([verdict, schedule?.length]).toEqual(['violation', 1]);
    await expect(explore(breaksThenThrows(0), options)).rejects.toThrow(
      'routine: throws: step 0: threw Error: no such folio',
    );
  },
);
