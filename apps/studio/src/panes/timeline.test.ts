/** A long walk costs no more to draw than what is on the screen of it. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Walk } from '../engine/api.ts';
import { draw } from './timeline-draw.ts';
import { layoutOf, waitEndedBefore } from './timeline-layout.ts';
import { visible } from './visible.ts';

const WIDTH = 200;

/** CPUs that take turns, call something every few steps, and write a word that both see. */
function walkOf(count: number, cpus = 2): Walk {
  const numbers = Array.from({ length: count }, (_, i) => i);
  const stackOf = (i: number, column: number): string[] => ['loop', i % 4 < 2 ? 'even' : 'odd', `call${column}`];
  return {
    schedule: numbers.map((i) => i % cpus),
    contextSwitches: count,
    tracks: [],
    placements: numbers.map(() => ({ level: 0, heading: null })),
    trace: {
      columns: Array.from({ length: cpus }, (_, i) => i).map((column) => ({ name: `CPU${column}`, routine: 'loop' })),
      steps: numbers.map((i) => ({
        entry: i % cpus,
        kind: 'advance',
        column: i % cpus,
        stack: stackOf(i, i % cpus),
        text: 'WRITE_ONCE(pte[0])',
        facts: [],
        inInterrupt: false,
        violation: i === count - 1 ? { property: 'it fails', detail: '' } : null,
        startCycles: null,
        durationCycles: null,
      })),
      end: null,
      fingerprint: '',
    },
    states: {
      words: [{ address: 0, name: 'pte[0]', region: 'pte' }],
      initial: [{ value: 0, text: '0x0' }],
      actors: {},
      steps: numbers.map((i) => ({
        enabled: [],
        changes: [{ address: 0, before: i, after: i + 1, text: `0x${(i + 1).toString(16)}` }],
        result: 0,
        actors: {},
        sent: i % 7 === 0 ? ['channel'] : [],
        delivered: i % 7 === 3 ? 'channel' : null,
        stacks: Array.from({ length: cpus }, (_, column) => stackOf(i, column)),
        // A call ends where the next begins, also one of the same routine.
        calls: Array.from({ length: cpus }, (_, column) => [column, 100 + (i >> 1), 200_000 + (i >> 1)]),
      })),
      enabledAtEnd: [],
    },
  };
}

/** A canvas that paints nothing and knows how often it was asked. */
function paperOf(): { readonly canvas: HTMLCanvasElement; readonly calls: () => number } {
  let calls = 0;
  const context = new Proxy({} as Record<string | symbol, unknown>, {
    get: (own, name) => {
      if (name in own) return own[name];
      if (name === 'canvas') return { height: 500 };
      return () => {
        calls++;
        return { width: 8 };
      };
    },
  });
  return { canvas: { getContext: () => context } as unknown as HTMLCanvasElement, calls: () => calls };
}

beforeEach(() => {
  vi.stubGlobal('devicePixelRatio', 1);
  vi.stubGlobal('document', { documentElement: null });
  vi.stubGlobal('getComputedStyle', () => ({ getPropertyValue: () => '#000' }));
});
afterEach(() => void vi.unstubAllGlobals());

describe('the timeline', () => {
  it('draws what the window has pixels for, not what the trace has steps', () => {
    const [short, long] = [walkOf(5_000), walkOf(50_000)];
    const rows =
      layoutOf(long).lanes.reduce((sum, { depth }) => sum + 3 * depth + 2, 0) + 2 * layoutOf(long).tracks.length;
    for (const walk of [short, long]) {
      const { canvas, calls } = paperOf();
      expect(draw(canvas, WIDTH, walk, null, null)).toBeLessThan(2 * rows * WIDTH);
      expect(calls()).toBeLessThan(20 * rows * WIDTH);
    }
    const { canvas } = paperOf();
    expect(draw(canvas, WIDTH, long, { from: 30_000, to: 30_050 }, null)).toBeLessThan(50 * 2 * rows);
  });

  it('has a band for each call, also where one routine is called twice in a row', () => {
    const walk = walkOf(8, 1);
    const [lane] = layoutOf({
      ...walk,
      states: {
        ...walk.states,
        steps: walk.states.steps.map((step, i) => ({ ...step, stacks: [['a', 'b']], calls: [[0, i < 4 ? 1 : 2]] })),
      },
    }).lanes;
    expect(lane?.bands.map((row) => row.map(({ name, from, to }) => [name, from, to]))).toEqual([
      [['a', 0, 8]],
      [
        ['b', 0, 4],
        ['b', 4, 8],
      ],
    ]);
  });

  it('has an arrow from what ended a wait to what went on', () => {
    const walk = walkOf(3, 2);
    const [first, last] = [0, 1].map((column) => ({ entry: column, column, text: 'x', violates: false }));
    const enabled = [[first], [first], [first, last]].map((list) => list.filter((one) => one !== undefined));
    const waiting = {
      ...walk,
      trace: {
        ...walk.trace,
        steps: [0, 0, 1].map((column, i) => ({
          ...(walk.trace.steps[i] as Walk['trace']['steps'][0]),
          kind: 'advance' as const,
          entry: column,
          column,
        })),
      },
      states: { ...walk.states, steps: walk.states.steps.map((step, i) => ({ ...step, enabled: enabled[i] ?? [] })) },
    };
    expect(layoutOf(waiting).arrows).toEqual([{ kind: 'wait', from: 1, source: 0, to: 2, target: 1 }]);
    expect(waitEndedBefore(waiting, 3)?.endedAt).toBe(2);
    expect(waitEndedBefore(waiting, 2)).toBe(null);
  });

  it('has the tracks that the scenario names, in its order', () => {
    const walk = walkOf(8);
    const words = ['seen[0]', 'pte[0]', 'pte[1]'].map((name, address) => ({ address, name, region: 'word' }));
    const states = {
      ...walk.states,
      words,
      initial: words.map(() => ({ value: 0, text: 'a page' })),
      steps: walk.states.steps.map((step, i) => ({
        ...step,
        changes: words.map(({ address }) => ({ address, before: i, after: i + 1, text: 'freed (was a page)' })),
      })),
    };
    const namesOf = (tracks: readonly string[]) =>
      layoutOf({ ...walk, states, tracks }).tracks.map(({ name, spans }) => [name, spans.at(-1)?.look]);
    expect(namesOf(['pte', 'nothing'])).toEqual([
      ['pte[0]', 'freed'],
      ['pte[1]', 'freed'],
    ]);
    expect(namesOf(['seen', 'pte[1]']).map(([name]) => name)).toEqual(['seen[0]', 'pte[1]']);
    expect(namesOf([])).toHaveLength(3);
  });

  it('shows of every pixel what is in it, and what fails however narrow it is', () => {
    const row = Array.from({ length: 50_000 }, (_, i) => ({ from: i, to: i + 1 }));
    const shown = [...visible(row, { from: 0, to: 50_000, pixelsPerStep: WIDTH / 50_000 })];
    expect(shown.length).toBeLessThanOrEqual(2 * WIDTH + 2);
    expect(new Set(shown.map(({ from }) => Math.floor((from * WIDTH) / 50_000))).size).toBeGreaterThan(WIDTH * 0.95);
    const sparse = [
      { from: 0, to: 40_000 },
      { from: 40_000, to: 40_001 },
      { from: 40_001, to: 49_999 },
    ];
    expect([...visible(sparse, { from: 39_990, to: 40_010, pixelsPerStep: 50 })]).toEqual(sparse);
    expect([...visible(sparse, { from: 45_000, to: 45_010, pixelsPerStep: 50 })]).toEqual(sparse.slice(2));
    expect(layoutOf(walkOf(5_000)).lanes.flatMap(({ violations }) => violations)).toHaveLength(1);
  });

  it('shows of more than six CPUs those that do most with their calls, and the others as a row each', () => {
    const lanes = layoutOf(walkOf(100, 9)).lanes;
    expect(lanes.map(({ isFolded }) => isFolded)).toEqual([...Array(6).fill(false), ...Array(3).fill(true)]);
    expect(layoutOf(walkOf(100, 6)).lanes.some(({ isFolded }) => isFolded)).toBe(false);
  });
});
