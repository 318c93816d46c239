import { expect, it } from 'vitest';
import { isOutOfMemory, MemoryLimit } from './memory.ts';

const MEGABYTE = 2 ** 20;

/** The most of a space of `limit` megabytes, of which 100 are in use, that a search may take. */
function most(limit: number, reserve?: number): number {
  let used = 100;
  const kind = { used: () => used * MEGABYTE, limit: limit * MEGABYTE };
  const memory = new MemoryLimit([reserve === undefined ? kind : { ...kind, reserve: reserve * MEGABYTE }]);
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

it('knows an error that says that there is none, though a step was blamed for it', () => {
  const error = new RangeError('Array buffer allocation failed');
  expect([error, new Error('routine: body: step 1', { cause: error })].map(isOutOfMemory)).toEqual([true, true]);
  expect([new RangeError('index 4'), null].map(isOutOfMemory)).toEqual([false, false]);
});
