import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { KERNEL_ACTIONS } from './actions.ts';
import {
  areaNamesIn,
  forkedIn,
  parseTopology,
  parseTopologyText,
  substitute,
  type Action,
  type TopologyInput,
} from './schema.ts';

const minimal: TopologyInput = {
  name: 'm',
  architecture: 'x86-64-4l',
  cpus: 2,
  processes: [{ name: 'p', threads: [{ cpu: 0, run: [] }] }],
};
const with_ = (changes: object): unknown => ({ ...minimal, ...changes });
const threads = (...list: object[]): unknown => with_({ processes: [{ name: 'p', threads: list }] });
const vm = { name: 'vm0', vcpus: 2, processes: minimal.processes };
const hosting = (...vms: object[]): unknown => with_({ processes: [], host: { vms } });
const running = (...run: object[]): unknown => threads({ cpu: 0, run });

/** So many loops inside one another. */
const nested = (depth: number): object =>
  depth === 0 ? { do: 'mmap', area: 'a', pages: 1 } : { do: 'repeat', times: 1, body: [nested(depth - 1)] };

describe('a topology', () => {
  test('needs a name, an architecture, CPUs and processes; the rest has defaults', () => {
    expect(parseTopology(minimal)).toMatchObject({
      memoryModel: 'sc',
      tlb: { l1: '64x4', l2: '1536x12', walkCache: 32 },
      memory: { tables: 64, pages: 8192 },
      flushCeiling: 33,
      hz: 0,
      costs: {},
    });
  });

  test.each<[string, unknown, string]>([
    ['an unknown key', with_({ cpu: 4 }), 'topology: file: top level: Unrecognized key: "cpu"'],
    ['an unknown key inside', with_({ tlb: { l3: '64x4' } }), 'topology: file: tlb: Unrecognized key: "l3"'],
    ['a missing key', with_({ cpus: undefined }), 'topology: file: cpus: '],
    [
      'an unknown architecture',
      with_({ architecture: 'riscv' }),
      'topology: file: architecture: Invalid option: expected one of "x86-64-4l"|"x86-64-5l"|"arm64-4k-48"',
    ],
    ['no CPU', with_({ cpus: 0 }), 'topology: file: cpus: '],
    [
      'a CPU that is not there',
      threads({ cpu: 2, run: [] }),
      'topology: file: processes.0.threads.0: CPU 2 of 2 (0 .. 1)',
    ],
    [
      'more threads on a CPU than a scheduler takes',
      threads(...Array.from({ length: 65 }, () => ({ cpu: 1, run: [] }))),
      'topology: file: processes.0.threads.64: CPU 1 has more than 64 threads (65)',
    ],
    [
      'two processes of one name',
      with_({
        processes: [
          { name: 'p', threads: [{ cpu: 0, run: [] }] },
          { name: 'p', threads: [{ cpu: 1, run: [] }] },
        ],
      }),
      'topology: file: processes.1: name taken twice (p)',
    ],
    ['an unknown action', running({ do: 'mremap', area: 'a' }), 'topology: file: processes.0.threads.0.run.0.do: '],
    [
      'an action without its operand',
      running({ do: 'mmap', area: 'a' }),
      'topology: file: processes.0.threads.0.run.0.pages: ',
    ],
    ['a fork of nobody', running({ do: 'fork', child: 'q' }), 'topology: file: fork: no process q (have: p)'],
    ['a fork of itself', running({ do: 'fork', child: 'p' }), 'topology: file: fork: process p is its own ancestor'],
    [
      'a child that is forked twice',
      with_({
        processes: [
          { name: 'p', threads: [{ cpu: 0, run: [{ do: 'repeat', times: 2, body: [{ do: 'fork', child: 'q' }] }] }] },
          { name: 'q', threads: [{ cpu: 1, run: [] }] },
        ],
      }),
      'topology: file: fork: process q is forked twice: give every fork a process of its own',
    ],
    ['a TLB of 63 entries in 4 ways', with_({ tlb: { l1: '63x4' } }), 'topology: file: tlb.l1: '],
    ['a TLB without a size', with_({ tlb: { l2: 'big' } }), 'topology: file: tlb.l2: '],
    [
      'a cost that no operation has',
      with_({ costs: { invlgp: 1 } }),
      'topology: file: costs: no entry invlgp (have: default, load, ',
    ],
    [
      'nothing to run',
      with_({ processes: [] }),
      'topology: file: processes: at least one process, or a host with virtual machines',
    ],
    [
      'a computation between two steps',
      running({ do: 'compute', cycles: 1500 }),
      'topology: file: processes.0.threads.0.run.0.cycles: ',
    ],
    ['a host without virtual machines', hosting(), 'topology: file: host.vms: '],
    [
      'an unknown key of a host',
      with_({ processes: [], host: { vms: [vm], overcommit: 2 } }),
      'topology: file: host: Unrecognized key: "overcommit"',
    ],
    [
      'a second stage of three levels',
      with_({ processes: [], host: { vms: [vm], secondStage: { levels: 3 } } }),
      'topology: file: host.secondStage',
    ],
    [
      'processes beside a host',
      with_({ host: { vms: [vm] } }),
      'topology: file: host: the host runs virtual machines only: put the processes into host.vms',
    ],
    [
      'a host on arm64',
      with_({ architecture: 'arm64-4k-48', processes: [], host: { vms: [vm] } }),
      'topology: file: host: virtual machines are x86 only (arm64-4k-48)',
    ],
    [
      'a host under tso',
      with_({ memoryModel: 'tso', processes: [], host: { vms: [vm] } }),
      'topology: file: host: virtual machines run on memory model sc only (tso)',
    ],
    ['two virtual machines of one name', hosting(vm, vm), 'topology: file: host.vms.1: name taken twice (vm0)'],
    [
      'a vCPU that is not there',
      hosting({ ...vm, vcpus: 1, processes: [{ name: 'p', threads: [{ cpu: 1, run: [] }] }] }),
      'topology: file: host.vms.0.processes.0.threads.0: CPU 1 of 1 (0 .. 0)',
    ],
    [
      'too many vCPUs',
      hosting({ ...vm, vcpus: 128 }, { ...vm, name: 'vm1', vcpus: 127 }, { ...vm, name: 'vm2', vcpus: 1 }),
      'topology: file: host: 256 vCPUs, at most 255 in all',
    ],
    [
      'a timeslice between two ticks',
      with_({ processes: [], host: { vms: [vm], timesliceMicroseconds: 1500, hz: 1000 } }),
      'topology: file: host: a timeslice of 1500 us is no whole number of ticks at 1000 Hz',
    ],
    ['a cost beyond all times', with_({ costs: { invlpg: 1e15 } }), 'topology: file: costs.invlpg: '],
    [
      'an empty loop',
      running({ do: 'repeat', times: 1_000_000, body: [] }),
      'topology: file: processes.0.threads.0.run.0.body: ',
    ],
    ['loops within loops without end', running(nested(900)), 'topology: file: top level: nested more than 64 deep'],
    [
      'an action after the end',
      running({ do: 'exit' }, { do: 'mmap', area: 'a', pages: 1 }),
      'topology: file: processes.0.threads.0.run.0: nothing can come after exit, which ends the thread',
    ],
    [
      'an end that is repeated',
      running({ do: 'repeat', times: 2, body: [{ do: 'sleep' }] }),
      'topology: file: processes.0.threads.0.run.0.body.0: nothing can come after sleep, which ends the thread',
    ],
    [
      'a name of two lines',
      with_({ name: 'a\nb' }),
      'topology: file: name: expected a name of 1 to 100 printable characters',
    ],
    [
      'a phase that clears the terminal',
      running({ do: 'measure', phase: '\u001b[2J' }),
      'topology: file: processes.0.threads.0.run.0.phase: expected a name',
    ],
    [
      'a counter that is a phase',
      running({ do: 'count', counter: 'phase:x' }),
      'topology: file: processes.0.threads.0.run.0.counter: names that begin with phase: are phases: use measure',
    ],
    ['a negative cost', with_({ costs: { invlpg: -1 } }), 'topology: file: costs.invlpg: '],
  ])('with %s is refused in one line', (_, input, message) => {
    let said = '';
    try {
      parseTopology(input, 'file');
    } catch (error) {
      said = error instanceof Error ? `${error.name}: ${error.message}` : '';
    }
    expect(said.slice(0, 'ModelError: '.length + message.length)).toBe(`ModelError: ${message}`);
    expect(said).not.toContain('\n');
  });

  test('63x4 says what is wrong with it', () => {
    expect(() => parseTopology(with_({ tlb: { l1: '63x4' } }), 'file')).toThrow(
      '63 entries do not divide into 4 ways (63x4)',
    );
  });

  test('with a host has physical CPUs, and virtual machines with defaults of their own', () => {
    expect(parseTopology(hosting(vm)).host).toMatchObject({
      timesliceMicroseconds: 3000,
      hz: 1000,
      secondStage: { levels: 4, nestedTlb: 32, nestedTables: 16 },
      pauseLoopExiting: true,
      preemptedAtBoundaryOnly: true,
      vms: [{ paravirtualFlush: true }],
    });
  });

  test('that is no JSON is refused in one line', () => {
    expect(() => parseTopologyText('{ "name": ', 'broken.json')).toThrow(/^topology: broken\.json: not JSON: [^\n]*$/);
    expect(parseTopologyText(JSON.stringify(minimal), 'good.json').name).toBe('m');
  });
});

describe('actions', () => {
  test('{i} stands for the loop variable', () => {
    expect(substitute('a{i}-{j}-{k}', { i: 3, j: 0 })).toBe('a3-0-{k}');
  });

  test('only a loop variable is replaced, whatever else has its name', () => {
    expect(substitute('{constructor}{__proto__}', {})).toBe('{constructor}{__proto__}');
  });

  test('forks and areas are found in loops that nobody could unroll', () => {
    const deep = (body: Action): Action =>
      Array.from({ length: 25 }).reduce<Action>(
        (inner) => ({ do: 'repeat', times: 1_000_000, as: 'i', body: [inner] }),
        body,
      );
    expect(forkedIn([deep({ do: 'fork', child: 'c' })])).toEqual(['c', 'c']);
    expect([...areaNamesIn([deep({ do: 'mmap', area: 'a', pages: 1 })], 4)]).toEqual(['a']);
    expect(() => areaNamesIn([deep({ do: 'mmap', area: 'a{i}', pages: 1 })], 4)).toThrow('at most 4 areas');
  });

  test('forks are found inside loops', () => {
    expect(
      forkedIn([
        { do: 'repeat', times: 1, body: [{ do: 'fork', child: 'c' }] },
        { do: 'fork', child: 'd' },
      ]),
    ).toEqual(['c', 'd']);
  });
});

describe('the README', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const actions = [...readme.matchAll(/^\| `(\{ "do": .*\})` \|/gm)].map(
    ([, json]) => JSON.parse(json ?? '') as Action,
  );
  const keys = [...readme.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)].flatMap(([, names]) =>
    (names ?? '').replaceAll('`', '').split(', '),
  );

  test('has every action, as it may be written', () => {
    const lasting = ['exit', 'spin', 'sleep'];
    const ofKernel = actions.filter((a) => KERNEL_ACTIONS.has(a.do));
    const secondary = actions.filter((a) => 'mmu' in a);
    const others = actions.filter((a) => ![...lasting, ...ofKernel, ...secondary].some((b) => b === a || b === a.do));
    const [first, forked] = [
      (run: Action[]) => ({ name: 'p', threads: [{ cpu: 0, run }] }),
      { name: 'q', threads: [{ cpu: 1, run: [] }] },
    ];
    for (const last of actions.filter((a) => lasting.includes(a.do)))
      expect(() =>
        parseTopology(with_({ architecture: 'arm64-4k-48', processes: [first([...others, last]), forked] })),
      ).not.toThrow();
    const sockets = [[0], [1]];
    const secondaryMmus = [
      { name: 'vm', kind: 'kvm' as const },
      { name: 'nic', kind: 'device' as const },
    ];
    expect(() =>
      parseTopology(
        with_({
          sockets,
          processes: [{ ...first([...secondary]), secondaryMmus }],
          kernelThreads: [{ name: 'k', cpu: 1, run: ofKernel.filter((a) => a.do !== 'collapse') }],
        }),
      ),
    ).not.toThrow();
    const collapsing = (changes: object): unknown =>
      parseTopology(
        with_({ sockets, processes: [first([])], kernelThreads: [{ name: 'k', cpu: 1, run: ofKernel }], ...changes }),
      );
    expect(collapsing({})).toBeDefined();
    expect(() => collapsing({ processes: [{ ...first([]), secondaryMmus }] })).toThrow(
      'which knows small pages only (vm)',
    );
    for (const scan of ofKernel)
      expect(() =>
        collapsing({
          architecture: 'arm64-4k-48',
          folio: '64K',
          kernelThreads: [{ name: 'k', cpu: 1, run: [scan] }],
        }),
      ).toThrow(`kernelThreads.0: ${scan.do}: not with larger folios (folio: 64K)`);
    const known = [...new Set(actions.map((a) => a.do))].sort();
    expect(known).toEqual([
      'attach',
      'collapse',
      'compute',
      'count',
      'dma',
      'exit',
      'fork',
      'guest',
      'ksm-scan',
      'madvise-dontneed',
      'measure',
      'mmap',
      'mprotect',
      'munmap',
      'numa-scan',
      'ptdump',
      'reclaim',
      'repeat',
      'sleep',
      'spin',
      'touch',
      'vfree',
      'vmalloc',
      'wait-for-others',
    ]);
  });

  test('has every key', () => {
    const full = parseTopology(hosting(vm));
    expect([...keys].sort()).toEqual(
      [
        ...new Set([
          ...Object.keys(full),
          'about',
          'cores',
          'distances',
          'lazyMmu',
          'nodes',
          'routines',
          'runMicroseconds',
          'sockets',
        ]),
      ].sort(),
    );
  });
});
