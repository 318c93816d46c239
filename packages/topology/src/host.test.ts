import {
  DirectExecutor,
  LiveExecutor,
  RandomScheduler,
  replay,
  runScheduler,
  TabulatedExecutor,
  type Executor,
} from '@shootdown/machine';
import { exitCounter, HypervisorCounter } from '@shootdown/hypervisor';
import { KvmCounter, X86Counter } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { assemble, type AssembledMachine } from './assemble.ts';
import { runMachine, type MachineRun } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';

type Host = NonNullable<TopologyInput['host']>;

const MAPS: readonly Action[] = [
  {
    do: 'repeat',
    times: 12,
    body: [
      { do: 'mmap', area: 'a', pages: 2 },
      { do: 'touch', area: 'a' },
      { do: 'compute', cycles: 100_000 },
      { do: 'munmap', area: 'a' },
      { do: 'count', counter: 'rounds' },
    ],
  },
];
const SLEEPS: readonly Action[] = [{ do: 'sleep' }];

interface Wanted {
  readonly vms?: number;
  readonly cpus?: number;
  readonly host?: Partial<Host>;
  readonly paravirtualFlush?: boolean;
  readonly first?: readonly Action[];
  readonly second?: readonly Action[];
  readonly runMicroseconds?: number;
}

/** VMs of two vCPUs: the first maps and unmaps, the second too if it is told nothing else. */
function hostOf({
  vms = 2,
  cpus = 2,
  host = {},
  paravirtualFlush = true,
  first = MAPS,
  second = MAPS,
  runMicroseconds,
}: Wanted = {}): AssembledMachine {
  const processes = [
    {
      name: 'p',
      threads: [
        { cpu: 0, run: first },
        { cpu: 1, run: second },
      ],
    },
  ];
  return assemble(
    parseTopology({
      name: 'host',
      architecture: 'x86-64-4l',
      cpus,
      tlb: { l1: '4x2', l2: '8x2', walkCache: 2 },
      memory: { tables: 16, pages: 16 },
      ...(runMicroseconds !== undefined && { runMicroseconds }),
      host: {
        timesliceMicroseconds: 100,
        hz: 10_000,
        vms: Array.from({ length: vms }, (_, vm) => ({ name: `vm${vm}`, vcpus: 2, paravirtualFlush, processes })),
        ...host,
      },
    }),
  );
}

const rowOf = (run: MachineRun, counter: string): readonly number[] => run.total[counter] ?? [0, 0, 0, 0];
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const total = (run: MachineRun, counter: string): number => sum(rowOf(run, counter));

describe('a host of virtual machines', () => {
  it('is a kernel of its own per guest, on CPUs named after it', () => {
    const built = hostOf();
    expect(built.system.processors.map((p) => p.name)).toEqual(['vm0.CPU0', 'vm0.CPU1', 'vm1.CPU0', 'vm1.CPU1']);
    expect(built.vms.map((vm) => vm.processors)).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect(built.vms[0]?.kernel.frames).not.toBe(built.vms[1]?.kernel.frames);
  });

  it('runs to the end: every thread does its rounds, every IPI sent is received', () => {
    const run = runMachine(hostOf());
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(rowOf(run, 'rounds')).toEqual([12, 12, 12, 12]);
    expect(total(run, HypervisorCounter.ipisSent)).toBe(total(run, X86Counter.interrupts));
    expect(total(run, exitCounter('msr_write'))).toBe(total(run, HypervisorCounter.ipisSent));
  });

  it('elides flushes of preempted vCPUs, and natively flushing guests elide none', () => {
    const [pv, native] = [true, false].map((paravirtualFlush) =>
      runMachine(hostOf({ paravirtualFlush, host: { pauseLoopExiting: false } })),
    ) as [MachineRun, MachineRun];
    expect(total(pv, KvmCounter.elided)).toBeGreaterThan(0);
    expect(total(pv, HypervisorCounter.flushOnEntry)).toBeGreaterThan(0);
    expect(total(pv, HypervisorCounter.flushOnEntry)).toBeLessThanOrEqual(total(pv, KvmCounter.elided));
    expect(total(native, KvmCounter.elided)).toBe(0);
    expect(pv.cycles).toBeLessThan(native.cycles);
  });

  it('books what both stages say: a fault per guest frame touched, never one twice, and the tables of the guest among them', () => {
    const built = hostOf({ vms: 1 });
    const executor = new DirectExecutor(built.system);
    const run = runMachine(built, { executor });
    const { stage } = built.vms[0]!;
    const mapped = Array.from({ length: 32 }, (_, gfn) => stage!.hostFrameOf(executor, gfn)).filter(
      (frame) => frame >= 0,
    );
    expect(total(run, exitCounter('ept_violation'))).toBe(mapped.length);
    expect(new Set(mapped).size).toBe(mapped.length);
    expect(total(run, 'walk_references')).toBeGreaterThan(total(run, 'second_stage_references'));
  });

  it('without nested caches pays more references per miss, and ends in the same number of rounds', () => {
    const references = [{}, { secondStage: { nestedTlb: 0, nestedTables: 0 } }].map((host) => {
      const run = runMachine(hostOf({ vms: 1, host }));
      return total(run, 'second_stage_references') / total(run, 'tlb_miss');
    });
    // A miss that finds the guest's table cached reads one entry and translates one frame: four references.
    expect(references[1]).toBeGreaterThan(4);
    expect(references[0]).toBeLessThan(1);
  });

  it('without a second stage walks as natively', () => {
    const run = runMachine(hostOf({ host: { secondStage: false } }));
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect([total(run, 'second_stage_references'), total(run, exitCounter('ept_violation'))]).toEqual([0, 0]);
  });

  it('accounts for steal time: nobody waits alone, half of the time is stolen of two that compute', () => {
    expect(runMachine(hostOf({ vms: 1 })).stealCycles).toEqual([0, 0, 0, 0].slice(0, 2));
    const run = runMachine(hostOf({ runMicroseconds: 800, host: { pauseLoopExiting: false } }));
    expect(run.end).toBe('time');
    for (const cpu of [0, 1])
      expect(((run.stealCycles?.[cpu] ?? 0) + (run.stealCycles?.[cpu + 2] ?? 0)) / run.cycles).toBeCloseTo(1, 1);
  });

  it('gives a vCPU that sleeps no timeslice: it halts, and steals from nobody', () => {
    const run = runMachine(hostOf({ vms: 1, cpus: 1, second: SLEEPS }));
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(rowOf(run, exitCounter('hlt')).map((n) => n > 0)).toEqual([false, true]);
    expect(run.stealCycles?.[0]).toBeLessThan(run.cycles / 100);
  });

  it('wakes a halted vCPU for an IPI, and lets it halt again', () => {
    // The sleeper is lazy, so only a flush that frees page tables reaches it: that of the exit.
    const run = runMachine(hostOf({ vms: 1, first: [...MAPS, { do: 'exit' }], second: SLEEPS }));
    expect(rowOf(run, HypervisorCounter.woken)[1]).toBe(rowOf(run, X86Counter.interrupts)[1]);
    expect(rowOf(run, HypervisorCounter.woken)[1]).toBeGreaterThan(0);
    expect(rowOf(run, exitCounter('hlt'))[1]).toBe((rowOf(run, HypervisorCounter.woken)[1] ?? 0) + 1);
  });

  it('lets a vCPU that spins give its CPU away, which shortens flushes by IPI', () => {
    const [with_, without] = [true, false].map((pauseLoopExiting) =>
      runMachine(hostOf({ paravirtualFlush: false, host: { pauseLoopExiting } })),
    ) as [MachineRun, MachineRun];
    expect(total(with_, HypervisorCounter.directedYieldSuccessful)).toBeGreaterThan(0);
    expect(total(without, exitCounter('pause'))).toBe(0);
    expect(with_.cycles).toBeLessThan(without.cycles);
  });

  it('does not tell the guest of a vCPU that has yielded, as since v5.19; a host of before does', () => {
    const [now, before] = [true, false].map((preemptedAtBoundaryOnly) =>
      runMachine(hostOf({ paravirtualFlush: false, host: { pauseLoopExiting: true, preemptedAtBoundaryOnly } })),
    ) as [MachineRun, MachineRun];
    expect(total(now, HypervisorCounter.preemptionOther)).toBeGreaterThan(0);
    expect(total(before, HypervisorCounter.preemptionOther)).toBe(0);
  });

  it('gives the same in two runs', () => {
    const [a, b] = [runMachine(hostOf()), runMachine(hostOf())];
    expect([b.fingerprint, b.cycles, b.steps, b.total]).toEqual([a.fingerprint, a.cycles, a.steps, a.total]);
  });
});

describe('executors agree on a host', () => {
  const fingerprints = (executor: Executor, schedule: readonly number[]): string[] => {
    const list: string[] = [];
    replay(executor, schedule, () => list.push(executor.fingerprint));
    return list;
  };

  it('live, tabulated and direct have the same fingerprint after every step of random schedules', () => {
    const { system } = hostOf();
    const [direct, tabulated, live] = [
      new DirectExecutor(system),
      new TabulatedExecutor(system),
      new LiveExecutor(system),
    ];
    for (let seed = 0; seed < 3; seed++) {
      const { schedule } = runScheduler(direct, new RandomScheduler(seed), 1500);
      const expected = fingerprints(direct, schedule);
      expect(fingerprints(tabulated, schedule)).toEqual(expected);
      expect(fingerprints(live, schedule)).toEqual(expected);
    }
    live.stop();
  });

  it('and over a run in virtual time', () => {
    const run = runMachine(hostOf({ runMicroseconds: 250 }), { keepSchedule: true });
    const [direct, live] = [new DirectExecutor(hostOf().system), new LiveExecutor(hostOf().system)];
    expect(fingerprints(live, run.schedule ?? [])).toEqual(fingerprints(direct, run.schedule ?? []));
    expect(live.fingerprint).toBe(run.fingerprint);
    live.stop();
  });
});
