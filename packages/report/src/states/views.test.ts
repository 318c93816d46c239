import type { StateTrace } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { stateViews } from './views.ts';

const ENTRY = 0x2007;
const [PTE, PLACE, ALLOWED, COUNT, OWNER, WAITING, LOCK, PGD] = [10, 20, 30, 40, 41, 42, 50, 60];
const textOf = (value: number): string => (value === 0 ? 'none' : `0x${value.toString(16)}`);

/** A run in which each step changes one word. */
function runOf(changes: readonly (readonly [address: number, after: number, text?: string])[]): StateTrace {
  const words = [
    [0, 'frame.state[0]', 'frame.state', 1, 'a table'],
    [1, 'frame.state[1]', 'frame.state', 0, 'free'],
    [2, 'frame.state[2]', 'frame.state', 2, 'a page'],
    [PTE, 'frame.entry[0]', 'frame.entry', ENTRY, textOf(ENTRY)],
    [PLACE, 'tlb(CPU1, page 0x0, space 1).2', 'tlb.members', 0, 'none'],
    [ALLOWED, 'monitor.allowed[0]', 'monitor.allowed', ENTRY, textOf(ENTRY)],
    [COUNT, 'mm.mmap_lock.count', 'mm.mmap_lock.count', 0, 'unlocked'],
    [OWNER, 'mm.mmap_lock.owner', 'mm.mmap_lock.owner', 0, '0'],
    [WAITING, 'mm.mmap_lock.waiting[0]', 'mm.mmap_lock.waiting', 0, '0'],
    [LOCK, 'ptl', 'ptl', 0, 'unlocked'],
    [PGD, 'mm.pgd', 'mm.pgd', 1, '1'],
  ] as const;
  return {
    words: words.map(([address, name, region]) => ({ address, name, region })),
    initial: words.map(([, , , value, text]) => ({ value, text })),
    actors: {},
    steps: changes.map(([address, after, text = textOf(after)]) => ({
      enabled: [],
      changes: [{ address, before: 0, after, text }],
      result: null,
      actors: {},
      sent: [],
      delivered: null,
      stacks: [],
      calls: [],
    })),
    enabledAtEnd: [],
  };
}
const TRACE = { columns: ['CPU0', 'CPU1'].map((name) => ({ name, routine: 'x' })), steps: [] };

describe('the views of a run', () => {
  it('say of a TLB since when it holds what, since when that is stale, and which flush should have taken it', () => {
    const { tlbs } = stateViews(
      runOf([
        [PLACE, ENTRY],
        // Hardware has set accessed and dirty: the same translation.
        [PLACE, ENTRY | 0x60],
        [PTE, 0],
        [ALLOWED, 0],
        [PLACE, 0],
      ]),
      TRACE,
    );
    const none = { cachedAt: null, staleSince: null, flushCompletedAt: null };
    expect(tlbs).toMatchObject([{ processor: 'CPU1', page: '0x0', space: '1' }]);
    expect(tlbs[0]?.stretches).toMatchObject([
      { from: 0, to: 1, state: 'none', ...none },
      { from: 1, to: 2, state: 'cached', ...none, cachedAt: 1 },
      { from: 2, to: 3, state: 'cached', ...none, cachedAt: 1 },
      { from: 3, to: 4, state: 'stale', cachedAt: 1, staleSince: 3, flushCompletedAt: null },
      { from: 4, to: 5, state: 'flushed', cachedAt: 1, staleSince: 3, flushCompletedAt: 4 },
      { from: 5, to: 5, state: 'none', ...none },
    ]);
  });

  it('say of frames what they are, what points to them, and whose root they are', () => {
    const { frames } = stateViews(
      runOf([
        [PTE, 0],
        [0, 3, 'a freed table'],
        [PGD, 0],
      ]),
      TRACE,
    );
    expect(frames[0]).toMatchObject({
      frame: 0,
      stretches: [
        { from: 0, to: 2, isTable: true, isFreed: false },
        { from: 2, to: 3, isTable: true, isFreed: true },
      ],
      roots: [{ name: 'mm', from: 0, to: 3 }],
      entries: [
        {
          index: 0,
          stretches: [
            { from: 0, to: 1, pointsTo: 2 },
            { from: 1, pointsTo: null },
          ],
        },
      ],
    });
    expect(frames.slice(1).flatMap(({ entries }) => entries)).toEqual([]);
  });

  it('say of locks who holds them and who waits', () => {
    const { locks } = stateViews(
      runOf([
        [OWNER, 2, '2'],
        [COUNT, 1, 'write-locked'],
        [WAITING, 1, '1'],
        [LOCK, 1, 'held by 0'],
      ]),
      TRACE,
    );
    const [mmap_lock, ptl] = locks;
    expect(mmap_lock?.name).toBe('mm.mmap_lock');
    expect(mmap_lock?.stretches).toEqual([
      { from: 0, to: 1, text: 'unlocked', holders: [], waiters: [] },
      { from: 1, to: 2, text: 'unlocked', holders: ['CPU1'], waiters: [] },
      { from: 2, to: 3, text: 'write-locked', holders: ['CPU1'], waiters: [] },
      { from: 3, to: 4, text: 'write-locked', holders: ['CPU1'], waiters: ['CPU0'] },
    ]);
    expect(ptl).toMatchObject({ name: 'ptl', stretches: [{ text: 'free' }, { from: 4, holders: ['CPU0'] }] });
  });
});
