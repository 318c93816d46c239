import { nop, waitFor } from '@shootdown/machine';
import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { machine } from './builder.ts';
import { runMachine, type MachineRun } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';
import { MMAP_BASE_PAGE, VDSO_PAGES } from './script.ts';
import type { SecondaryUse } from './secondary.ts';

const total = (run: MachineRun, counter: string): number => (run.total[counter] ?? []).reduce((a, b) => a + b, 0);

const RAM: Action[] = [
  { do: 'mmap', area: 'ram', pages: 8 },
  { do: 'touch', area: 'ram' },
  { do: 'attach', mmu: 'vm', area: 'ram' },
];
const WRITES: Action = {
  do: 'repeat',
  times: 2,
  body: [
    { do: 'compute', cycles: 100_000 },
    { do: 'touch', area: 'ram' },
  ],
};

function monitor(notifiers: 'E2' | 'E5', changePte: 'none' | 'x86', more: Partial<TopologyInput> = {}): TopologyInput {
  return {
    name: 'm',
    architecture: 'x86-64-4l',
    cpus: 4,
    memory: { tables: 16, pages: 64 },
    processes: [
      {
        name: 'monitor',
        notifiers,
        secondaryMmus: [
          { name: 'vm', kind: 'kvm', changePte },
          { name: 'nic', kind: 'device' },
        ],
        threads: [
          { cpu: 0, run: [...RAM, { do: 'attach', mmu: 'nic', area: 'ram' }, WRITES] },
          { cpu: 1, run: [{ do: 'guest', mmu: 'vm', rounds: 12, cycles: 2000 }] },
          { cpu: 2, run: [{ do: 'dma', mmu: 'nic', rounds: 2, cycles: 10_000 }] },
        ],
      },
    ],
    kernelThreads: [
      {
        name: 'ksmd',
        cpu: 3,
        run: [
          {
            do: 'repeat',
            times: 1000,
            body: [
              { do: 'ksm-scan', process: 'monitor', pages: 8 },
              { do: 'compute', cycles: 60_000 },
            ],
          },
        ],
      },
    ],
    ...more,
  };
}

describe('secondary MMUs', () => {
  test('ksmd merges, the monitor breaks the merge, and the guest and the device fault for what they have lost', () => {
    const run = runMachine(assemble(parseTopology(monitor('E5', 'none'))));
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, 'ksm_pages_merged')).toBeGreaterThan(8);
    expect(total(run, 'exits: second-stage fault')).toBeGreaterThan(8);
    expect(total(run, 'page_request')).toBeGreaterThan(8);
    expect(total(run, 'vm: change_pte')).toBe(0);
    expect(total(run, 'vm: invalidate_range_start')).toBe(total(run, 'vm: invalidate_range_end'));
  });

  test('from v3.7 to v6.9 KVM was told the new page, too', () => {
    const run = runMachine(assemble(parseTopology(monitor('E2', 'x86'))));
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, 'vm: change_pte')).toBeGreaterThan(8);
  });

  test('memory that comes while an invalidation is under way would end what it has not begun', () => {
    const run = (waits: boolean): MachineRun => {
      return runMachine(
        machine({ name: 'm', architecture: 'x86-64-4l', cpus: 2 })
          .process('monitor', { secondaryMmus: [{ name: 'vm', kind: 'kvm' }] })
          .thread('monitor', 0, [
            { do: 'mmap', area: 'ram', pages: 8 },
            { do: 'touch', area: 'ram' },
            { do: 'madvise-dontneed', area: 'ram' },
          ])
          .thread('monitor', 1, function* ({ secondary, mm }) {
            const vm = secondary('vm') as SecondaryUse;
            const first = MMAP_BASE_PAGE - VDSO_PAGES - 8;
            yield* waitFor(mm.tlb_flush_pending.at(0), -1, 1);
            for (let i = 0; i < 10; i++) yield* nop();
            yield* waits ? vm.attach(first, 8) : vm.slot.set(first, 8);
          })
          .assemble(),
      );
    };
    expect(run(true).violation).toBeNull();
    expect(run(false).violation).toBe('mmu_invalidate_in_progress is never negative');
  });
});

describe('what is wrong with them is said in one line', () => {
  const refuse = (topology: TopologyInput): string => {
    try {
      parseTopology(topology, 'f');
    } catch (error) {
      return (error as Error).message;
    }
    return '';
  };
  const withThreads = (run: Action[]): TopologyInput => ({
    name: 'm',
    architecture: 'x86-64-4l',
    cpus: 2,
    processes: [{ name: 'p', secondaryMmus: [{ name: 'vm', kind: 'kvm' }], threads: [{ cpu: 0, run }] }],
  });

  const withSecondary = (name: string): TopologyInput => ({
    ...withThreads([]),
    processes: [{ name: 'p', secondaryMmus: [{ name, kind: 'device' }], threads: [{ cpu: 0, run: [] }] }],
  });

  test.each([
    [
      withThreads([{ do: 'guest', mmu: 'wm', rounds: 1 }]),
      'processes.0.threads.0: guest: no secondary MMU wm (have: vm)',
    ],
    [withThreads([{ do: 'dma', mmu: 'vm', rounds: 1 }]), "processes.0.threads.0: dma: vm is KVM's: use guest"],
    [
      withThreads([
        { do: 'guest', mmu: 'vm', rounds: 1 },
        { do: 'sleep', microseconds: 5 },
      ]),
      'processes.0.threads.0: guest: a vCPU has its CPU to itself, and CPU 0 has a scheduler',
    ],
    [
      withThreads([{ do: 'ksm-scan', process: 'p', pages: 1 }]),
      'processes.0.threads.0: ksm-scan: for a kernel thread (kernelThreads)',
    ],
    [
      { ...withThreads([]), architecture: 'arm64-4k-48' as const },
      "processes.0.secondaryMmus: secondary MMUs are x86's, natively (arm64-4k-48)",
    ],
    [
      { ...withThreads([]), kernelThreads: [{ name: 'k', cpu: 2, run: [{ do: 'ptdump' as const }] }] },
      "kernelThreads.0.run: ptdump: the kernel's own page table is arm64's, natively (x86-64-4l)",
    ],
    [
      { ...withThreads([]), kernelThreads: [{ name: 'k', cpu: 2, run: [{ do: 'sleep' as const, microseconds: 1 }] }] },
      'kernelThreads.0: CPU 2 of 2 (0 .. 1)',
    ],
    [
      { ...withThreads([]), kernelThreads: [{ name: 'k', cpu: 1, run: [{ do: 'munmap' as const, area: 'a' }] }] },
      'kernelThreads.0: munmap: a kernel thread has no address space of its own',
    ],
    [
      {
        ...withThreads([]),
        kernelThreads: [{ name: 'k', cpu: 1, run: [{ do: 'ksm-scan' as const, process: 'q', pages: 1 }] }],
      },
      'kernelThreads.0: ksm-scan: no process q (have: p)',
    ],
    [
      {
        ...withThreads([]),
        kernelThreads: [{ name: 'k', cpu: 1, run: [{ do: 'numa-scan' as const, process: 'p', pages: 1 }] }],
      },
      'kernelThreads.0: numa-scan: the memory is one node: give sockets or nodes',
    ],
    [withSecondary('CPU0'), 'processes.0.secondaryMmus.0: name taken by the machine (CPU0)'],
    [withSecondary('task'), 'processes.0.secondaryMmus.0: name taken by the machine (task)'],
    [withSecondary('host'), 'processes.0.secondaryMmus.0: name taken by the machine (host)'],
    [withSecondary('p'), 'processes.0.secondaryMmus.0: name taken by a process or a kernel thread (p)'],
    [
      {
        ...withSecondary('k'),
        kernelThreads: [{ name: 'k', cpu: 1, run: [{ do: 'ksm-scan' as const, process: 'p', pages: 1 }] }],
      },
      'processes.0.secondaryMmus.0: name taken by a process or a kernel thread (k)',
    ],
    [
      { ...withSecondary('nic'), costs: { device_message: 100 } },
      'costs: device_message: no device has a placement, and nothing takes so long (100)',
    ],
  ])('%#', (topology, line) => expect(refuse(topology)).toBe(`topology: f: ${line}`));
});
