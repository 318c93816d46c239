import { DirectExecutor, LiveExecutor, TabulatedExecutor, type Executor } from '@shootdown/machine';
import { SchedulerCounter } from '@shootdown/cpu';
import { X86Counter } from '@shootdown/mm';
import { describe, expect, test } from 'vitest';
import { assemble, type AssembledMachine } from './assemble.ts';
import { runMachine, type MachineRun } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';

/** Ticks of a tenth of a millisecond, three in a slice. */
const SMALL = {
  hz: 10_000,
  timesliceMicroseconds: 300,
  tlb: { l1: '4x2', l2: '8x2', walkCache: 2 },
  memory: { tables: 16, pages: 16 },
} as const;

type Threads = Readonly<Record<string, readonly (readonly [cpu: number, run: readonly Action[]])[]>>;

/** Processes by name, their threads by CPU. */
function shared(threads: Threads, options: Partial<TopologyInput> = {}): AssembledMachine {
  const processes = Object.entries(threads).map(([name, list]) => ({
    name,
    threads: list.map(([cpu, run]) => ({ cpu, run: [...run] })),
  }));
  return assemble(parseTopology({ name: 'm', architecture: 'x86-64-4l', cpus: 2, ...SMALL, ...options, processes }));
}

const compute = (cycles: number): Action => ({ do: 'compute', cycles });
const count = (counter: string): Action => ({ do: 'count', counter });
const MAP: readonly Action[] = [
  { do: 'mmap', area: 'a', pages: 2 },
  { do: 'touch', area: 'a' },
];

function total(run: MachineRun, counter: string): number {
  return (run.total[counter] ?? []).reduce((a, b) => a + b, 0);
}

const TENTH = 300_000;

describe('two threads on a CPU', () => {
  test('take turns, a time slice each', () => {
    const run = runMachine(shared({ p: [[0, [compute(10 * TENTH)]]], q: [[0, [compute(10 * TENTH)]]] }, { cpus: 1 }));
    expect(run.end).toBe('done');
    expect(run.nanoseconds).toBeGreaterThan(2e6);
    expect(run.nanoseconds).toBeLessThan(2.01e6);
    expect(total(run, SchedulerCounter.switches)).toBe(7);
  });

  test('have longer slices if one says so', () => {
    const threads: Threads = { p: [[0, [compute(9 * TENTH)]]], q: [[0, [compute(9 * TENTH)]]] };
    const run = runMachine(shared(threads, { cpus: 1, timesliceMicroseconds: 1000 }));
    expect(total(run, SchedulerCounter.switches)).toBe(1);
  });

  test('keep their address spaces apart: the tagged TLB keeps both', () => {
    const rounds = (cycles: number): readonly Action[] => [
      ...MAP,
      { do: 'repeat', times: 6, body: [compute(cycles), { do: 'touch', area: 'a' }] },
    ];
    const run = runMachine(shared({ p: [[0, rounds(2 * TENTH)]], q: [[0, rounds(2 * TENTH)]] }, { cpus: 1 }));
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, 'pgfault')).toBe(4);
    expect(total(run, SchedulerCounter.switches)).toBeGreaterThan(6);
  });

  test('one that spins for ever is preempted, and the machine is done when nobody has work left', () => {
    const run = runMachine(shared({ p: [[0, [{ do: 'spin' }]]], q: [[0, [compute(5 * TENTH)]]] }, { cpus: 1 }));
    expect(run.end).toBe('done');
    expect(run.nanoseconds).toBeGreaterThan(0.5e6);
    expect(run.nanoseconds).toBeLessThan(1.2e6);
  });

  test('wait for one another asleep, and leave the CPU to the one that is waited for', () => {
    const run = runMachine(
      shared({
        p: [
          [0, [{ do: 'wait-for-others' }, count('woken')]],
          [0, [compute(TENTH), { do: 'sleep' }]],
          [1, [compute(2 * TENTH), { do: 'spin' }]],
        ],
      }),
    );
    expect(run.end).toBe('done');
    expect(run.total['woken']).toEqual([1, 0]);
    expect(total(run, SchedulerCounter.reschedule)).toBe(1);
  });

  test('more than 64 are refused, and so is a CPU that is not there', () => {
    const many = Array.from({ length: 65 }, () => [0, [compute(1000)]] as const);
    expect(() => shared({ p: many })).toThrow(
      'topology: topology: processes.0.threads.64: CPU 0 has more than 64 threads (65)',
    );
  });
});

describe('a thread that sleeps for a time', () => {
  test('leaves its CPU idle with the address space loaded, and gets no IPI meanwhile', () => {
    const flush: readonly Action[] = [...MAP, { do: 'munmap', area: 'a' }];
    const run = runMachine(
      shared({
        p: [
          [0, [compute(TENTH), { do: 'repeat', times: 5, body: flush }]],
          [1, [{ do: 'sleep', microseconds: 500 }, compute(1000)]],
        ],
      }),
    );
    expect(run.end).toBe('done');
    expect(run.nanoseconds).toBeGreaterThan(0.49e6);
    expect(total(run, X86Counter.remoteFlush)).toBe(5);
    expect(total(run, X86Counter.interrupts)).toBe(0);
    // To the idle task and back: while the process starts, and for the time of the sleep.
    expect(total(run, SchedulerCounter.switches)).toBe(4);
  });

  test('sees what was unmapped while it slept: leaving lazy mode it looks at tlb_gen', () => {
    const asleep: Action = { do: 'sleep', microseconds: 300 };
    const run = runMachine(
      shared({
        p: [
          [0, [...MAP, compute(TENTH), { do: 'mprotect', area: 'a', prot: 'r' }, compute(TENTH)]],
          [1, [asleep, ...MAP, asleep, { do: 'touch', area: 'a' }]],
        ],
      }),
    );
    expect(run).toMatchObject({ end: 'done', violation: null });
  });
});

test('a machine whose CPUs are shared runs alike on all executors', () => {
  const machine = (): AssembledMachine =>
    shared(
      {
        p: [
          [0, [...MAP, { do: 'wait-for-others' }, { do: 'munmap', area: 'a' }]],
          [1, [compute(40_000), { do: 'sleep', microseconds: 100 }, { do: 'spin' }]],
        ],
        q: [[1, [...MAP, compute(80_000), { do: 'exit' }]]],
      },
      { timesliceMicroseconds: 100 },
    );
  const prints = [DirectExecutor, TabulatedExecutor, LiveExecutor].map((Kind) => {
    const assembled = machine();
    const executor: Executor = new Kind(assembled.system);
    const { end, steps, fingerprint } = runMachine(assembled, { executor });
    return { end, steps, fingerprint };
  });
  expect(prints[0]?.end).toBe('done');
  expect(prints[1]).toEqual(prints[0]);
  expect(prints[2]).toEqual(prints[0]);
});

test('on arm64 and under tso threads share CPUs too', () => {
  const threads: Threads = {
    p: [[0, [...MAP, compute(4 * TENTH), { do: 'munmap', area: 'a' }]]],
    q: [[0, [...MAP, compute(4 * TENTH), { do: 'exit' }]]],
  };
  for (const options of [{ architecture: 'arm64-4k-48' }, { memoryModel: 'tso' }] as const) {
    const run = runMachine(shared(threads, options));
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, SchedulerCounter.switches)).toBeGreaterThan(2);
  }
});
