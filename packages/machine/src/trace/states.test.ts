import { describe, expect, it } from 'vitest';
import { TabulatedExecutor } from '../execute/tabulated.ts';
import { load, store } from '../routine/operations.ts';
import { point, program, routine } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import { interruptSystem } from '../execute/systems.test-support.ts';
import { RandomScheduler, runScheduler } from '../schedule/schedulers.ts';
import { recordStates } from './states.ts';
import { recordTrace } from './trace.ts';

function twoWriters() {
  const builder = new SystemBuilder();
  const pte = builder.region('pte', 2, { initial: [7, 0], format: (value) => `0x${value.toString(16)}` });
  const writer = routine('writer', function* () {
    const seen = yield* load(pte.at(0));
    yield* store(pte.at(1), seen + 1);
  });
  builder.processor({ name: 'CPU0', tasks: [program(writer)] });
  builder.processor({ name: 'CPU1', tasks: [program(writer)] });
  return new TabulatedExecutor(builder.build());
}

describe('the states along a schedule', () => {
  it('say what each step changed, what it received, and what else could have happened', () => {
    const { words, initial, steps, enabledAtEnd } = recordStates(twoWriters(), [0, 0, 1]);
    expect(words.map(({ name }) => name)).toEqual(['pte[0]', 'pte[1]']);
    expect(initial).toEqual([
      { value: 7, text: '0x7' },
      { value: 0, text: '0x0' },
    ]);
    expect(steps.map(({ result, changes }) => [result, changes.map(({ address, text }) => [address, text])])).toEqual([
      [7, []],
      [0, [[1, '0x8']]],
      [7, []],
    ]);
    expect(steps[1]?.enabled.map(({ entry, column, text }) => [entry, column, text])).toEqual([
      [0, 0, 'WRITE_ONCE(pte[1], 0x8)'],
      [1, 1, 'READ_ONCE(pte[0]) [ 0x7 ]'],
    ]);
    expect(steps[1]?.stacks).toEqual([['writer'], ['writer']]);
    expect(enabledAtEnd.map(({ text }) => text)).toEqual(['WRITE_ONCE(pte[1], 0x8)']);
  });

  it('show below an interrupt handler what it has interrupted', () => {
    const executor = new TabulatedExecutor(interruptSystem('sc'));
    const { schedule } = runScheduler(executor, new RandomScheduler(1), 400);
    const { steps } = recordTrace(executor, schedule);
    const states = recordStates(executor, schedule);
    const stacks = steps.flatMap(({ column, inInterrupt }, i) =>
      column >= 0 && inInterrupt ? [states.steps[i]?.stacks[column]] : [],
    );
    expect(new Set(stacks.map((stack) => stack?.join(' > ')))).toEqual(new Set(['task > flush']));
    // What is interrupted goes on afterwards as the call that it was: there are two tasks a processor.
    for (const { column } of steps.filter(({ column: acting }) => acting >= 0)) {
      const tasks = new Set(states.steps.flatMap(({ calls }) => calls[column]?.slice(0, 1) ?? []));
      expect(tasks.size).toBe(2);
    }
    // Each interrupt is a call of its own, above one task.
    const handling = states.steps.flatMap(({ calls }) => calls.filter((numbers) => numbers.length === 2));
    const handlers = new Set(handling.map(([, handler]) => handler));
    expect(handlers.size).toBeGreaterThan(1);
    expect(new Set(handling.map(([task, handler]) => `${task} ${handler}`)).size).toBe(handlers.size);
  });

  it('tell two calls in a row of one routine apart, also where nothing else has changed', () => {
    const builder = new SystemBuilder();
    const word = builder.region('word', 1);
    const leaf = routine('leaf', function* () {
      yield* load(word.at(0));
      yield* load(word.at(0));
    });
    const caller = routine('caller', function* () {
      yield* leaf();
      yield* leaf();
    });
    const spinner = routine('spinner', function* () {
      for (;;) {
        yield* point('again');
        yield* poll();
      }
    });
    const poll = routine('poll', function* () {
      yield* load(word.at(0));
    });
    builder.processor({ name: 'CPU0', tasks: [program(caller)] });
    builder.processor({ name: 'CPU1', tasks: [program(spinner)] });
    const { steps } = recordStates(new TabulatedExecutor(builder.build()), [0, 0, 1, 0, 1, 0, 1]);
    expect(steps.map(({ stacks }) => stacks[0]?.join())).toEqual([...Array(6).fill('caller,leaf'), '']);
    const [outer, ...leaves] = [...new Set(steps.flatMap(({ calls }) => calls[0] ?? []))];
    expect(leaves).toHaveLength(2);
    const [first, second] = leaves;
    expect(steps.map(({ calls }) => calls[0])).toEqual([
      [outer, first],
      [outer, first],
      [outer, second],
      [outer, second],
      [outer, second],
      [outer, second],
      [],
    ]);
    // The loop comes back to the local state that it had: it is another call all the same.
    const polls = [2, 4, 6].map((step) => steps[step]?.calls[1]?.[1]);
    expect(new Set(polls).size).toBe(3);
    expect(new Set([2, 4, 6].map((step) => steps[step]?.calls[1]?.[0])).size).toBe(1);
  });

  it('are refused where a step cannot be made', () => {
    expect(() => recordStates(twoWriters(), [0, 0, 0])).toThrow('schedule: step 2: choice 0 is not enabled there');
  });
});
