import { DirectExecutor, waitFor, type Steps } from '@shootdown/machine';
import { expect, test } from 'vitest';
import { machine } from './builder.ts';
import { runMachine, type MachineRun } from './run.ts';
import type { Action } from './schema.ts';
import type { ThreadContext } from './script.ts';
import { waitingIn } from './waiting.ts';

const OPTIONS = {
  name: 'm',
  architecture: 'x86-64-4l',
  cpus: 2,
  tlb: { l1: '4x2', l2: '8x2', walkCache: 2 },
  memory: { tables: 16, pages: 16 },
} as const;

const COMPUTES: readonly Action[] = [{ do: 'compute', cycles: 3000 }];

/** Threads of one process, each on its CPU. */
function runOf(...threads: readonly (readonly [cpu: number, run: readonly Action[]])[]): MachineRun {
  const builder = machine(OPTIONS);
  for (const [cpu, run] of threads) builder.thread('p', cpu, run);
  return runMachine(builder.assemble());
}

test.each([
  ['on a CPU of its own', 1],
  ['on the same CPU', 0],
])('wait-for-others does not wait for a thread that has ended, %s', (_, cpu) => {
  const counts: readonly Action[] = [{ do: 'wait-for-others' }, { do: 'count', counter: 'goes on' }];
  const run = runOf([0, counts], [cpu, COMPUTES]);
  expect(run).toMatchObject({ end: 'done', waiting: [] });
  expect(run.total['goes on']).toEqual([1, 0]);
});

test('it waits until the thread has ended', () => {
  const run = runOf([0, [{ do: 'wait-for-others' }, { do: 'measure', phase: 'after' }]], [1, COMPUTES]);
  expect(run.cycles).toBeGreaterThan(3000);
  const alone = runOf([0, []], [1, COMPUTES]);
  expect(run.cycles).toBeGreaterThan(alone.cycles);
});

test('a thread that goes on when its process has exited ends the run in one line', () => {
  const maps: readonly Action[] = [
    { do: 'mmap', area: 'a', pages: 1 },
    { do: 'touch', area: 'a' },
  ];
  expect(() => runOf([0, [{ do: 'exit' }]], [0, [...COMPUTES, ...maps]])).toThrow(
    /mm: pgd_offset: mm1 has no page table: its process has not started, or has exited while a thread goes on$/,
  );
});

test('nothing is changed for a thread that nobody waits for', () => {
  const waits = runOf([0, [{ do: 'wait-for-others' }]], [1, [{ do: 'spin' }]]);
  const ends = runOf([0, [{ do: 'wait-for-others' }, ...COMPUTES]], [1, [{ do: 'spin' }]]);
  expect(ends.steps - waits.steps).toBe(COMPUTES.length * 3);
});

test('threads that wait for one another are a deadlock, which says who waits for what', () => {
  expect(runOf([0, [{ do: 'wait-for-others' }]], [1, [{ do: 'wait-for-others' }]])).toMatchObject({
    end: 'deadlock',
    waiting: ['CPU0 waits: (waits for the other threads)', 'CPU1 waits: (waits for the other threads)'],
  });
});

test('threads that sleep on a CPU they share are counted', () => {
  expect(runOf([0, [{ do: 'wait-for-others' }]], [0, [{ do: 'wait-for-others' }]])).toMatchObject({
    end: 'deadlock',
    waiting: ['2 threads sleep, and nobody wakes them'],
  });
});

test('a thread that keeps a CPU it shares is told of once, and the one that waits for its turn as well', () => {
  const blocked = machine(OPTIONS).thread('p', 0, waitsForGood).thread('p', 0, COMPUTES).assemble();
  const executor = new DirectExecutor(blocked.system);
  runMachine(blocked, { executor, stepsMax: 100 });
  expect(waitingIn(executor, blocked)).toEqual([
    'CPU0 waits: never',
    '1 thread sleeps or waits for its turn, and nobody wakes it',
  ]);
});

function* waitsForGood({ process }: ThreadContext): Steps {
  yield* waitFor(process.started.at(0), ~0, -1, { label: 'never' });
}
