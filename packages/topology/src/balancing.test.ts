/** Threads that may run on several CPUs. */
import { DirectExecutor, LiveExecutor, TabulatedExecutor, type Executor } from '@shootdown/machine';
import { SchedulerCounter } from '@shootdown/cpu';
import { expect, test } from 'vitest';
import { assemble, type AssembledMachine } from './assemble.ts';
import { runMachine, type MachineRun } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';

const compute = (cycles: number): Action => ({ do: 'compute', cycles });
const MILLISECOND = 3_000_000;

function total(run: MachineRun, counter: string): number {
  return (run.total[counter] ?? []).reduce((a, b) => a + b, 0);
}

/** Four threads that begin on CPU 0. */
function crowd(
  run: readonly Action[],
  cpus: string | undefined,
  options: Partial<TopologyInput> = {},
): AssembledMachine {
  return assemble(
    parseTopology({
      name: 'm',
      architecture: 'x86-64-4l',
      cpus: 4,
      hz: 10_000,
      timesliceMicroseconds: 300,
      tlb: { l1: '4x2', l2: '8x2', walkCache: 2 },
      memory: { tables: 16, pages: 32 },
      processes: [
        { name: 'p', threads: Array.from({ length: 4 }, () => ({ cpu: 0, run: [...run], ...(cpus && { cpus }) })) },
      ],
      ...options,
    }),
  );
}

test('CPUs that idle take threads that wait for another, and all of them compute at once', () => {
  const pinned = runMachine(crowd([compute(MILLISECOND)], undefined));
  const free = runMachine(crowd([compute(MILLISECOND)], '0-3'));
  expect([pinned.end, free.end]).toEqual(['done', 'done']);
  expect(total(pinned, SchedulerCounter.migrations)).toBe(0);
  expect(total(free, SchedulerCounter.migrations)).toBe(3);
  expect(pinned.nanoseconds).toBeGreaterThan(3.9e6);
  expect(free.nanoseconds).toBeLessThan(1.5e6);
});

test('a thread goes nowhere it must not', () => {
  const { busyCycles } = runMachine(crowd([compute(MILLISECOND)], '0-1'));
  expect(busyCycles.map((cycles) => cycles > MILLISECOND)).toEqual([true, true, false, false]);
});

test('what it has mapped it finds on its new CPU, which is told of flushes from then on', () => {
  const work: Action[] = [
    { do: 'mmap', area: 'a', pages: 4 },
    {
      do: 'repeat',
      times: 3,
      body: [
        { do: 'touch', area: 'a' },
        compute(MILLISECOND / 5),
        { do: 'mprotect', area: 'a', prot: 'r' },
        { do: 'mprotect', area: 'a', prot: 'rw' },
      ],
    },
    { do: 'sleep', microseconds: 200 },
    { do: 'munmap', area: 'a' },
  ];
  const prints = [DirectExecutor, TabulatedExecutor, LiveExecutor].map((Kind) => {
    const built = crowd(work, '0-3');
    const executor: Executor = new Kind(built.system);
    const run = runMachine(built, { executor });
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, SchedulerCounter.migrations)).toBeGreaterThan(2);
    return run.fingerprint;
  });
  expect(new Set(prints).size).toBe(1);
  for (const options of [{ architecture: 'arm64-4k-48' }, { memoryModel: 'tso' }] as const)
    expect(runMachine(crowd(work, '0-3', options))).toMatchObject({ end: 'done', violation: null });
});

test('a thread that is taken away before it has ever run knows where it is', () => {
  const request: Action[] = [
    { do: 'mmap', area: 'a', pages: 4 },
    { do: 'touch', area: 'a' },
    compute(MILLISECOND / 4),
    { do: 'munmap', area: 'a' },
  ];
  const run = runMachine(crowd([{ do: 'repeat', times: 8, body: request }], '0-3', { timesliceMicroseconds: 2000 }));
  expect(run).toMatchObject({ end: 'done', violation: null });
  expect(total(run, 'irq_tlb_count')).toBeGreaterThan(20);
});

test.each([
  ['0-4', 'processes.0.threads.0.cpus: CPU 4 of 4 (0 .. 3)'],
  ['1-3', 'processes.0.threads.0.cpus: the CPU that it begins on is none of them (0)'],
])('CPUs %s are refused', (cpus, message) => {
  expect(() => crowd([compute(1000)], cpus)).toThrow(message);
});
