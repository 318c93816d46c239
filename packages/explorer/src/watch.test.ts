import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Progress } from './result.ts';
import { Watch } from './watch.ts';

describe('progress', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  it('names its phase and where it ends, and goes back only where another phase begins', () => {
    const told: Progress[] = [];
    const watch = new Watch({ onProgress: (progress) => told.push(progress) });
    const tick = (states: number, depth: number): void => {
      vi.advanceTimersByTime(600);
      watch.tick(() => ({ states, transitions: states, depth, queue: 1 }));
    };
    watch.enter('fewest switches', {}, true);
    watch.enter('searching');
    tick(100, 7);
    // The reduction has learnt, and the search begins again.
    tick(20, 2);
    tick(300, 9);
    watch.enter('confirming the shortest', { depthMax: 9, statesMax: 1000 });
    tick(50, 4);
    watch.enter('fewest switches', {}, true);
    expect(told.map(({ phase, states, depth, depthMax }) => [phase, states, depth, depthMax])).toEqual([
      ['searching', 100, 7, null],
      ['searching', 100, 7, null],
      ['searching', 300, 9, null],
      ['confirming the shortest', 50, 4, 9],
      ['fewest switches', 0, 0, null],
    ]);
    expect(told.at(-2)?.statesMax).toBe(1000);
  });
});
