import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { coverageLines } from './commands/coverage-lines.ts';
import { progressLine, Pulse } from './progress.ts';

describe('progress', () => {
  let written: string[] = [];
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance', 'setInterval', 'clearInterval'] });
    written = [];
    vi.spyOn(process.stderr, 'write').mockImplementation((text) => written.push(String(text)) > 0);
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it('is silent in short work, and says something within the first second of longer work', () => {
    const pulse = new Pulse();
    for (let i = 0; i < 30; i++) {
      vi.advanceTimersByTime(100);
      pulse.beat(() => `${i} rows`);
    }
    pulse.end();
    expect(written).toEqual(['4 rows\n', '14 rows\n', '24 rows\n']);
  });

  it('comes by itself while others do the work, until it has ended', () => {
    const pulse = new Pulse();
    pulse.repeat(() => 'waiting');
    vi.advanceTimersByTime(900);
    expect(written).toEqual(['waiting\n']);
    pulse.end();
    vi.advanceTimersByTime(5000);
    expect(written).toHaveLength(1);
  });

  it('of a search begins with the states, names the phase, and says how far where that is known', () => {
    const at = {
      transitions: 9,
      depth: 12,
      queue: 4,
      seconds: 1,
      statesPerSecond: 2e5,
      depthMax: null,
      statesMax: null,
    };
    expect(progressLine({ ...at, phase: 'searching', states: 5000 })).toBe(
      '5000 states, searching, 200 k/s, depth 12, queue 4',
    );
    expect(progressLine({ ...at, phase: 'confirming the shortest', states: 5, depthMax: 31, statesMax: 1000 })).toBe(
      '5 states of at most 1000, confirming the shortest, 200 k/s, depth 12 of 31, queue 4',
    );
    expect(progressLine({ ...at, phase: 'fewest switches', states: 0, transitions: 0 })).toBe('fewest switches');
  });
});

it('coverage is said in words, by routine and step, in lines that fit a mail', () => {
  const long = Array.from({ length: 12 }, (_, i) => `pmdp_get(0x1[${i}])`);
  const lines = coverageLines(
    {
      routines: [
        { routine: 'pmd_free', steps: 1, performed: 1, operations: ['pmd_free(0x1)'], neverPerformed: [] },
        { routine: 'walk', steps: 14, performed: 12, operations: long, neverPerformed: ['up_read(mm)'] },
      ],
      outcomesNeverTaken: [{ routine: 'walk', operation: 'choose', outcomes: [1, 2] }],
      choicesNeverTaken: ['CPU1 tick'],
    },
    null,
    60,
  );
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
  expect(lines).toContain('pmd_free(): its one step was performed');
  expect(lines).toContain('walk(): 12 of 14 steps performed');
  expect(lines).toContain('    reached, never performed: up_read(mm).');
  expect(lines).toContain('    never came out of choose: 1, 2.');
  expect(lines).toContain('Never happened: CPU1 tick.');
});
