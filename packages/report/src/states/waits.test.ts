import {
  acquireWord,
  program,
  recordStates,
  recordTrace,
  routine,
  store,
  SystemBuilder,
  TabulatedExecutor,
} from '@shootdown/machine';
import { expect, it } from 'vitest';
import { waitsOf, type Wait } from './waits.ts';

function waitsIn(schedule: readonly number[]): Wait[] {
  const builder = new SystemBuilder();
  const lock = builder.region('lock', 1);
  const locker = routine('locker', function* () {
    yield* acquireWord(lock.at(0), 1, 1);
    yield* store(lock.at(0), 0);
  });
  for (const name of ['CPU0', 'CPU1', 'CPU2']) builder.processor({ name, tasks: [program(locker)] });
  const executor = new TabulatedExecutor(builder.build());
  const trace = recordTrace(executor, schedule);
  return waitsOf(recordStates(executor, schedule), trace);
}

it('names the step that ended a wait, and since when there was one', () => {
  const wait = { column: 1, since: 1, endedAt: 2, byColumn: 0, goesOnAt: 3 };
  expect(waitsIn([0, 0, 1, 1])).toEqual([wait]);
  // That it could go on earlier, and then no longer, is no end of it.
  expect(waitsIn([0, 0, 2, 2, 1])).toEqual([
    { ...wait, column: 2 },
    { column: 1, since: 3, endedAt: 4, byColumn: 2, goesOnAt: 5 },
  ]);
});

it('says nothing of a wait that goes on, and of who need not wait', () => {
  expect(waitsIn([0])).toEqual([]);
  expect(waitsIn([0, 0])).toEqual([]);
});
