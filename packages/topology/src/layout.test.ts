import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { partsOf } from './parts.ts';
import { runMachine, type MachineRun } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';

const total = (run: MachineRun, counter: string): number => (run.total[counter] ?? []).reduce((a, b) => a + b, 0);

/** Cycles of a flush that interrupts another CPU. */
function flushCycles(target: number, options: Partial<TopologyInput>): number {
  let cycles = 0;
  const run: Action[] = [
    { do: 'wait-for-others' },
    { do: 'mmap', area: 'a', pages: 1 },
    { do: 'touch', area: 'a' },
    { do: 'mprotect', area: 'a', prot: 'r' },
  ];
  const topology: TopologyInput = {
    name: 'm',
    architecture: 'x86-64-4l',
    cpus: 8,
    processes: [
      {
        name: 'p',
        threads: [
          { cpu: 0, run },
          { cpu: target, run: [{ do: 'spin' }] },
        ],
      },
    ],
    ...options,
  };
  runMachine(assemble(parseTopology(topology)), {
    onRoutine: (routine, _processor, time) => {
      if (routine === 'flush_tlb_mm_range') cycles = time;
    },
  });
  return cycles;
}

const SERVER = { cores: ['0-1', '2-3', '4-5', '6-7'], sockets: ['0-3', '4-7'] } satisfies Partial<TopologyInput>;

describe('distance', () => {
  test('an interrupt is longer on its way to another socket, and longer still to a node far away', () => {
    const near = flushCycles(2, SERVER);
    const far = flushCycles(4, SERVER);
    expect(far).toBeGreaterThan(near + 200);
    expect(
      flushCycles(4, {
        ...SERVER,
        distances: [
          [10, 32],
          [32, 10],
        ],
      }),
    ).toBeGreaterThan(far + 200);
    // Where nothing is said all CPUs are equally far.
    expect(flushCycles(4, {})).toBe(flushCycles(2, {}));
  });

  test('so is a broadcast invalidation', () => {
    const arm = { architecture: 'arm64-4k-48' } as const;
    const cycles = (options: Partial<TopologyInput>): number => {
      const run: Action[] = [
        { do: 'mmap', area: 'a', pages: 1 },
        { do: 'touch', area: 'a' },
        { do: 'munmap', area: 'a' },
      ];
      const processes = [{ name: 'p', threads: [{ cpu: 0, run }] }];
      return runMachine(assemble(parseTopology({ name: 'm', cpus: 4, ...arm, ...options, processes }))).cycles;
    };
    expect(cycles({ sockets: ['0-1', '2-3'] })).toBeGreaterThan(cycles({}) + 200);
  });
});

describe('siblings', () => {
  /** Two processes, each with a CPU, that go through so many pages over and over. */
  function misses(cores: TopologyInput['cores'], second: Action[] = []): readonly number[] {
    const through: Action = {
      do: 'repeat',
      times: 10,
      body: [
        { do: 'touch', area: 'a', write: false },
        { do: 'compute', cycles: 1000 },
      ],
    };
    const run: Action[] = [{ do: 'mmap', area: 'a', pages: 12 }, { do: 'touch', area: 'a' }, through];
    const run1: Action[] = [...run, ...second];
    const topology = parseTopology({
      name: 'm',
      architecture: 'x86-64-4l',
      cpus: 2,
      ...(cores && { cores }),
      tlb: { l1: '16x4', l2: '16x4' },
      processes: [
        { name: 'p', threads: [{ cpu: 0, run }] },
        { name: 'q', threads: [{ cpu: 1, run: run1 }] },
      ],
    });
    return runMachine(assemble(topology)).total['tlb_miss'] ?? [];
  }

  test('compete for the entries of their TLB', () => {
    const [alone = 0] = misses(undefined);
    const [shared = 0] = misses(['0-1']);
    expect(alone).toBeLessThan(30);
    expect(shared).toBeGreaterThan(3 * alone);
  });

  test('flush their own entries alone', () => {
    const toggles: Action = {
      do: 'repeat',
      times: 20,
      body: [
        { do: 'mprotect', area: 'b', prot: 'r' },
        { do: 'mprotect', area: 'b', prot: 'rw' },
      ],
    };
    const topology = (pages: number): TopologyInput => ({
      name: 'm',
      architecture: 'x86-64-4l',
      cpus: 2,
      cores: ['0-1'],
      processes: [
        {
          name: 'p',
          threads: [
            {
              cpu: 0,
              run: [
                { do: 'mmap', area: 'a', pages: 4 },
                { do: 'touch', area: 'a' },
                {
                  do: 'repeat',
                  times: 50,
                  body: [
                    { do: 'touch', area: 'a' },
                    { do: 'compute', cycles: 1000 },
                  ],
                },
              ],
            },
          ],
        },
        {
          name: 'q',
          threads: [{ cpu: 1, run: [{ do: 'mmap', area: 'b', pages }, { do: 'touch', area: 'b' }, toggles] }],
        },
      ],
    });
    const run = runMachine(assemble(parseTopology(topology(40))));
    expect(total(run, 'nr_tlb_local_flush_all')).toBe(40);
    expect(run.total['tlb_miss']?.[0]).toBe(8);
  });
});

describe('what does not fit is said in one line', () => {
  const machine = (options: Partial<TopologyInput>): TopologyInput => ({
    name: 'm',
    architecture: 'x86-64-4l',
    cpus: 4,
    processes: [{ name: 'p', threads: [{ cpu: 0, run: [] }] }],
    ...options,
  });

  test.each([
    [{ sockets: ['0-2', '2-3'] }, 'sockets.1: CPU 2 is in socket 0 already, and in one only'],
    [{ sockets: ['0-1', 2] }, 'sockets: CPU 3 is in no socket'],
    [{ nodes: ['0-3', 4] }, 'nodes.1: CPU 4 of 4 (0 .. 3)'],
    [{ cores: ['0-1', '2-3', '3-3'] }, 'cores.2: CPU 3 is in core 1 already, and in one only'],
    [{ nodes: ['0-1', '2-3'], distances: [[10]] }, 'distances: a row per node: 2 expected (1)'],
    [{ nodes: ['0-1', '2-3'], distances: [[10, 21], [21]] }, 'distances.1: a distance per node: 2 expected (1)'],
    [
      {
        nodes: ['0-1', '2-3'],
        distances: [
          [11, 21],
          [21, 10],
        ],
      },
      'distances.0.0: a node is at 10 from itself, and farther from others (11)',
    ],
  ])('%#', (options, line) => expect(() => parseTopology(machine(options), 'f')).toThrow(`topology: f: ${line}`));
});

test('a part of a machine has its part of the layout', () => {
  const vm = (name: string, cpus: string) => ({
    name,
    vcpus: 2,
    cpus,
    processes: [{ name: 'p', threads: [{ cpu: 0, run: [] }] }],
  });
  const parts = partsOf(
    parseTopology({
      name: 'm',
      architecture: 'x86-64-4l',
      cpus: 4,
      cores: ['0-1', '2-3'],
      sockets: ['0-1', '2-3'],
      distances: [
        [10, 32],
        [32, 10],
      ],
      host: { vms: [vm('a', '0-1'), vm('b', '2-3')] },
    }),
  );
  expect(parts.map(({ topology: { cores, sockets, distances } }) => ({ cores, sockets, distances }))).toEqual([
    { cores: [[0, 1]], sockets: [[0, 1]], distances: [[10]] },
    { cores: [[0, 1]], sockets: [[0, 1]], distances: [[10]] },
  ]);
});
