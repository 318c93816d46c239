import { program, routine, store, SystemBuilder } from '@shootdown/machine';
import { expect, it } from 'vitest';
import { explore } from './explore.ts';
import { isOutOfMemory, MemoryLimit } from './memory.ts';
import { Watch } from './watch.ts';

const MEGABYTE = 2 ** 20;

/** The most of a space of `limit` megabytes, of which 100 are in use, that a search may take. */
function most(limit: number, reserve?: number): number {
  let used = 100;
  const kind = { used: () => used * MEGABYTE, limit: limit * MEGABYTE };
  const memory = new MemoryLimit(undefined, [reserve === undefined ? kind : { ...kind, reserve: reserve * MEGABYTE }]);
  while (!memory.exceeded) used++;
  return used - 101;
}

it('takes three quarters of what is there', () => {
  expect(most(1100)).toBe(750);
});

it('leaves what the process needs to go on, where that is more', () => {
  expect(most(1100, 100)).toBe(750);
  expect(most(500, 192)).toBe(208);
});

it('takes a quarter where there is hardly anything', () => {
  expect(most(200, 192)).toBe(25);
});

it('takes no more than it was told to, and no more than there is', () => {
  let used = 100;
  const kind = { used: () => used, limit: 500 };
  const at = (bytes: number, now: number): boolean => {
    used = 100;
    const memory = new MemoryLimit(bytes, [kind], () => used);
    used = now;
    return memory.exceeded;
  };
  expect([at(300, 300), at(300, 301), at(1000, 400), at(1000, 401)]).toEqual([false, true, false, true]);
  expect(new MemoryLimit(1, [], null).exceeded).toBe(false);
});

it('ends a search that may have less than the process has already', async () => {
  const builder = new SystemBuilder();
  const w = builder.region('w', 4);
  const counts = routine('counts', function* (i: number) {
    for (let k = 0; k < 60; k++) yield* store(w.at(i), k);
  });
  for (let i = 0; i < 4; i++) builder.processor({ name: `CPU${i}`, tasks: [program(counts, i)] });
  expect(new Watch({ maxMemoryBytes: 1 }).stopReason).toBe('memory');
  const result = await explore(builder.build(), { reduction: false, bounds: { maxMemoryBytes: 1 } });
  expect(result).toMatchObject({
    verdict: 'bounded',
    complete: false,
    stoppedBy: 'memory',
    boundsGiven: ['maxMemoryBytes'],
  });
});

it('knows an error that says that there is none, though a step was blamed for it', () => {
  const error = new RangeError('Array buffer allocation failed');
  expect([error, new Error('routine: body: step 1', { cause: error })].map(isOutOfMemory)).toEqual([true, true]);
  expect([new RangeError('index 4'), null].map(isOutOfMemory)).toEqual([false, false]);
});
