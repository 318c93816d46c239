/** Code whose generator functions are noted, as the command notes those of modules, is changed like any other. */
import { expect, it } from 'vitest';
import {
  Change,
  DirectExecutor,
  mutated,
  noted,
  noteEverything,
  point,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  store,
  SystemBuilder,
  TabulatedExecutor,
  type Address,
  type Steps,
} from '../index.ts';

const body = (x: Address) =>
  function* body(): Steps {
    yield* store(x, 1, { label: 'first' });
    yield* point('between');
    yield* store(x, 2, { label: 'second' });
    yield* point('behind');
  };

it('a call of a routine that is one operation may be left out', () => {
  for (const arrow of [true, false]) {
    const builder = new SystemBuilder();
    const x = builder.region('x', 1).at(0);
    const callee = routine('callee', arrow ? () => store(x, 1) : noted(body(x)));
    const caller = routine('caller', function* (): Steps {
      yield* store(x, 2);
      yield* callee();
      yield* point('behind');
    });
    builder.processor({ name: 'CPU0', tasks: [program(caller)] });
    const mutation = { routine: 'caller', word: 'callee', position: null, change: Change.leaveOut };
    const { system, reached } = mutated(builder.build(), mutation);
    const executor = new TabulatedExecutor(system);
    expect([runScheduler(executor, new RandomScheduler(1), 100).end, executor.read(x)]).toEqual(['rest', 2]);
    expect(reached()).toBe(true);
  }
});

it.each([Change.swap, Change.leaveOut])('%s before a point', (change) => {
  for (const note of [noted, (make: () => Steps) => noteEverything.made(make, 'body')]) {
    const builder = new SystemBuilder();
    const x = builder.region('x', 1).at(0);
    builder.processor({ name: 'CPU0', tasks: [program(routine('body', note(body(x))))] });
    const { system } = mutated(builder.build(), { routine: 'body', word: 'first', position: null, change });
    for (const Executor of [TabulatedExecutor, DirectExecutor])
      expect(runScheduler(new Executor(system), new RandomScheduler(1), 100).end).toBe('rest');
  }
});
