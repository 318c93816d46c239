/** Threads that may run on several CPUs. */
import { DirectExecutor, LiveExecutor, RandomScheduler, TabulatedExecutor, type Executor } from '@shootdown/machine';
import { RunQueues, SchedulerCounter, type Cpu } from '@shootdown/cpu';
import { afterEach, expect, test, vi } from 'vitest';
import { assemble, type AssembledMachine } from './assemble.ts';
import { runMachine, type MachineRun } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';

const compute = (cycles: number): Action => ({ do: 'compute', cycles });
const MILLISECOND = 3_000_000;

function total(run: MachineRun, counter: string): number {
  return (run.total[counter] ?? []).reduce((a, b) => a + b, 0);
}

afterEach(() => void vi.restoreAllMocks());

/** Threads that begin on these CPUs: four on CPU 0, unless told otherwise. */
function crowd(
  run: readonly Action[],
  cpus: string | undefined,
  options: Partial<TopologyInput> = {},
  begin: readonly number[] = [0, 0, 0, 0],
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
      processes: [{ name: 'p', threads: begin.map((cpu) => ({ cpu, run: [...run], ...(cpus && { cpus }) })) }],
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

test.each([[[0, 1]], [[1, 0]], [[2, 2, 1, 0]], [[3, 0, 3, 0]]])(
  'every CPU runs its own threads first, wherever they begin: %j',
  (begin) => {
    const run = runMachine(crowd([compute(MILLISECOND)], '0-3', {}, begin));
    expect(run.end).toBe('done');
    for (const cpu of begin) expect(run.busyCycles[cpu]).toBeGreaterThan(MILLISECOND);
    expect(run.nanoseconds).toBeLessThan(1.5e6);
  },
);

/** Whether a task ever stands in a context switch of one CPU on another, under random schedules. */
function switchesElsewhere({ system }: AssembledMachine): boolean {
  const executor = new DirectExecutor(system);
  for (let seed = 1; seed <= 20; seed++) {
    executor.reset();
    const scheduler = new RandomScheduler(seed);
    for (let i = 0; i < 500 && scheduler.next(executor) >= 0; i++) {
      expect(executor.violation).toBeNull();
      for (const { index, name } of system.processors) {
        const op = executor.pendingOperation(index);
        if (op?.definition.name === 'switch_to' && (op.data as { readonly cpu: Cpu }).cpu.name !== name) return true;
      }
    }
  }
  return false;
}

test('a task that is within context_switch() is on_cpu, and nobody takes it; without can_migrate_task() somebody does', () => {
  const machine = crowd([{ do: 'mmap', area: 'a', pages: 1 }, compute(3000)], '0-1', { cpus: 2 }, [0, 0, 0]);
  expect(switchesElsewhere(machine)).toBe(false);
  vi.spyOn(RunQueues.prototype, 'can_migrate_task').mockReturnValue(true);
  expect(switchesElsewhere(machine)).toBe(true);
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

/** A guest of two vCPUs on so many CPUs, whose threads begin on the first. */
function guest(cpus: number, threadCount: number, affinity: string | undefined): MachineRun {
  const run = [compute(MILLISECOND)];
  const threads = Array.from({ length: threadCount }, () => ({ cpu: 0, run, ...(affinity && { cpus: affinity }) }));
  const host = {
    hz: 10_000,
    timesliceMicroseconds: 300,
    vms: [{ name: 'a', vcpus: 2, processes: [{ name: 'p', threads }] }],
  };
  return runMachine(crowd([], undefined, { cpus, host, processes: [] }));
}

test('the vCPUs of a guest take threads from one another', () => {
  const free = guest(2, 2, '0-1');
  expect(free).toMatchObject({ end: 'done', violation: null });
  expect(total(free, SchedulerCounter.migrations)).toBe(1);
  expect(free.nanoseconds).toBeLessThan(0.7 * guest(2, 2, undefined).nanoseconds);
});

test('a vCPU that begins idle halts, and takes no time from the one that works', () => {
  expect(guest(1, 1, '0-1').nanoseconds).toBeLessThan(1.1 * guest(1, 1, undefined).nanoseconds);
});

test.each([
  ['0-4', 'processes.0.threads.0.cpus: CPU 4 of 4 (0 .. 3)'],
  ['1-3', 'processes.0.threads.0.cpus: the CPU that it begins on is none of them (0)'],
])('CPUs %s are refused', (cpus, message) => {
  expect(() => crowd([compute(1000)], cpus)).toThrow(message);
});
