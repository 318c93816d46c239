import { expect, it } from 'vitest';
import { Staleness } from './staleness.ts';

it('a stale search ends at once twice, then with twice the states that it had', () => {
  let stale = false;
  const [first, third] = [new Staleness(0, () => stale), new Staleness(2, () => stale)];
  expect([first.ends(10), third.ends(10)]).toEqual([false, false]);
  stale = true;
  expect([first.ends(20), third.ends(20), third.ends(40), third.ends(41)]).toEqual([true, false, false, true]);
});
