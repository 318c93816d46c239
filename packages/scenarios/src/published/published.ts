/**
 * `shootdown compare published`: every ratio that somebody has measured and that a run can be held against, ours beside
 * theirs. Parameters are stated, and no row is tuned: one cost table per architecture serves all of them.
 */
import { measuredOf, type Measured } from '@shootdown/report';
import type { Comparison, ComparisonRow, EachRow } from '../comparison.ts';
import { everyRow } from '../comparison.ts';
import { runPvFlush } from '../kvm-pv-flush.cost.ts';
import {
  beside,
  meanCycles,
  measured,
  measuredRatio,
  NO_SHOOTDOWN,
  requestsPerSecond,
  SEEDS,
  server,
  times,
  total,
} from './loads.ts';
import { notModelled } from './not-modelled.ts';

/** What is off by more than this is explained. */
const OFF_MAX = 2;
const CYCLES_PER_NANOSECOND = 3;

/** A published number and what gives ours. */
interface PublishedRow {
  readonly what: string;
  /** What the number is. */
  readonly unit: string;
  readonly setup: string;
  readonly theirs: number;
  readonly ours: () => Measured;
  readonly source: string;
  /** Why ours is off by more than 2x, if it is. */
  readonly why?: string;
}

const SERVER_COVER = 'server that maps and unmaps per request, requests per second by threads';
const REQUEST = { pages: 16, computeCycles: 1000, requests: 30 } as const;

function serverRow(theirs: number, threads: number, base: string, why: string): PublishedRow {
  return {
    what: `a server that maps and unmaps per request, ${threads} threads against 1`,
    unit: 'throughput',
    setup: `${REQUEST.pages} pages per request, and nothing computed; theirs are not known, and with computing all of it scales`,
    theirs,
    ours: () => measuredRatio(server(threads, REQUEST), server(1, REQUEST), requestsPerSecond),
    source: `${SERVER_COVER}: ${base}`,
    why,
  };
}

const SERIAL =
  'the more of a request is under mmap_lock, the sooner it stops growing: how much of theirs is, nobody says';

/** mprotect() of so many pages that have been touched; the flush of one CPU. */
function flushRow(pages: number, theirs: number): PublishedRow {
  const full = pages > 33;
  return {
    what: full ? 'flush_tlb_mm_range(), a full flush' : `flush_tlb_mm_range() of ${pages} page${pages > 1 ? 's' : ''}`,
    unit: 'cycles',
    setup: 'one CPU; mprotect() of pages that have been written',
    theirs,
    ours: () =>
      measured(
        beside(0, [
          { do: 'mmap', area: 'a', pages },
          times(10, [
            { do: 'touch', area: 'a' },
            { do: 'mprotect', area: 'a', prot: 'r' },
            { do: 'mprotect', area: 'a', prot: 'rw' },
          ]),
        ]),
        (run) => meanCycles(run, 'flush_tlb_mm_range'),
      ),
    source:
      'Dave Hansen, x86/mm TLB series, 2014: kernel build on an IvyBridge; the tracepoint itself is a couple of hundred',
    why: full
      ? 'CR3 itself is 96 cycles (Ingo Molnar, 2015); theirs has the tracepoint in it, and misses that follow'
      : 'theirs has the tracepoint in it, a couple of hundred cycles, and an entry that misses all caches',
  };
}

const batch = (unmaps: number): PublishedRow => ({
  what: `one munmap() of ${unmaps} pages against ${unmaps} of one page`,
  unit: 'time saved, %',
  setup: 'one other CPU runs the process; theirs saves 34 to 81 %, by how much is batched',
  theirs: unmaps === 2 ? 34 : 81,
  ours() {
    const areas = Array.from({ length: unmaps }, (_, i) => `a${i}`);
    const one = beside(1, [
      times(20, [
        { do: 'mmap', area: 'a', pages: unmaps },
        { do: 'touch', area: 'a' },
        { do: 'munmap', area: 'a' },
      ]),
    ]);
    const many = beside(1, [
      times(20, [
        ...areas.map((area) => ({ do: 'mmap', area, pages: 1 }) as const),
        ...areas.map((area) => ({ do: 'touch', area }) as const),
        ...areas.map((area) => ({ do: 'munmap', area }) as const),
      ]),
    ]);
    const cycles = (topology: typeof one): Measured =>
      measured(topology, (run) => (run.routines.get('munmap')?.mean ?? 0) * (run.routines.get('munmap')?.count ?? 0));
    const [single, several] = [cycles(one), cycles(many)];
    return { mean: 100 * (1 - single.mean / several.mean), interval: (100 * single.interval) / several.mean };
  },
  source: 'batched unmap saves 34 to 81 %',
});

const lazyTlb: PublishedRow = {
  what: 'flush IPIs of mmapstress when lazy CPUs are left to their next switch',
  unit: 'IPIs, left / sent',
  setup: 'one thread maps, seven compute 50 us and sleep 1 ms in turn; theirs: 108k to 46k, how idle is not known',
  theirs: 46 / 108,
  ours: () =>
    measured(
      {
        name: 'mmapstress',
        architecture: 'x86-64-4l',
        cpus: 8,
        processes: [
          {
            name: 'mmapstress',
            threads: [
              {
                cpu: 0,
                run: [
                  times(150, [
                    { do: 'mmap', area: 'a', pages: 4 },
                    { do: 'touch', area: 'a' },
                    { do: 'compute', cycles: 60_000 },
                    { do: 'munmap', area: 'a' },
                  ]),
                ],
              },
              {
                cpu: '1-7',
                run: [
                  times(4, [
                    { do: 'compute', cycles: 150_000 },
                    { do: 'sleep', microseconds: 1000 },
                  ]),
                ],
              },
            ],
          },
        ],
      },
      (run) => total(run, 'irq_tlb_count') / (7 * total(run, 'nr_tlb_remote_flush')),
    ),
  source: 'x86 lazy TLB: flush IPIs of mmapstress fall from 108k to 46k',
  why: 'the share is that of the time asleep, which is a choice here and not known there',
};

const PAGES_256_MIB = 65_536;
const zap: PublishedRow = {
  what: 'MADV_DONTNEED of much memory, per page',
  unit: 'ns',
  setup:
    '256 MiB, where theirs are gigabytes; three other CPUs run the process; theirs is 170 to 340, the middle is taken',
  theirs: 255,
  ours: () =>
    measured(
      beside(
        3,
        [
          { do: 'mmap', area: 'a', pages: PAGES_256_MIB },
          { do: 'touch', area: 'a' },
          { do: 'madvise-dontneed', area: 'a' },
        ],
        { memory: { tables: 512, pages: PAGES_256_MIB + 64 } },
      ),
      (run) => meanCycles(run, 'madvise_dontneed') / PAGES_256_MIB / CYCLES_PER_NANOSECOND,
    ),
  source: 'gperftools issue 754, a laptop of 2016',
  why: 'LRU and memcg are no part of that',
};

/** `ebizzy -M` in VMs that share the CPUs of one. */
function ebizzy(vms: number, theirs: number): PublishedRow {
  return {
    what: `KVM paravirtual TLB flush, ebizzy -M in ${vms} VM${vms > 1 ? 's' : ''}`,
    unit: 'throughput',
    setup: '4 vCPUs on 4 CPUs per VM, 64 on 64 there; PAUSE-loop exits; 15 ms',
    theirs,
    ours() {
      const load = { vms, vcpusPerVm: 4, preemptedAtBoundaryOnly: false, runMicroseconds: 15_000 };
      const ratio =
        runPvFlush({ ...load, paravirtualFlush: true }).recordsPerSecond /
        runPvFlush({ ...load, paravirtualFlush: false }).recordsPerSecond;
      return measuredOf([ratio]);
    },
    source: 'Wanpeng Li, series of 2017, v8: 46799 to 48670, 23962 to 42691, 16152 to 37539',
    why: 'a spinner finds the vCPU that it waits for among 3 others here, and among 63 there: compare pv-flush',
  };
}

const recycling: PublishedRow = {
  what: 'mmap page recycling: no shootdown where a page comes back to its process',
  unit: 'throughput',
  setup: '16 threads, 16 pages and 10 us of computing per request; a shootdown costs nothing; theirs is the best case',
  theirs: 1.92,
  ours() {
    const load = { pages: 16, computeCycles: 30_000, requests: 20 };
    return measuredRatio(server(16, load, NO_SHOOTDOWN), server(16, load), requestsPerSecond);
  },
  source: 'arXiv 2409.10946: up to +92 % in a microbenchmark',
};

const latr: PublishedRow = {
  what: 'LATR: munmap() that does not wait for other CPUs',
  unit: 'latency, with / without waiting',
  setup: 'munmap() of one page, 15 other CPUs run the process; two sockets there',
  theirs: 0.292,
  ours() {
    const unmaps = [
      times(20, [
        { do: 'mmap', area: 'a', pages: 1 },
        { do: 'touch', area: 'a' },
        { do: 'munmap', area: 'a' },
      ]),
    ];
    return measuredRatio(beside(15, unmaps, { costs: NO_SHOOTDOWN }), beside(15, unmaps), (run) =>
      meanCycles(run, 'munmap'),
    );
  },
  source: "LATR, ASPLOS'18: munmap latency -70.8 %",
  why: 'every target is sent an IPI of its own here, 600 cycles each, and nothing of munmap() but the flush grows with CPUs',
};

const ARM = { architecture: 'arm64-4k-48' } as const;
const elision: PublishedRow = {
  what: 'arm64: mprotect() that need not flush',
  unit: 'time, with / without flush',
  setup: 'one page, one CPU; the flush costs nothing in the second run; 3.2 and 2.85 us there',
  theirs: 3.2 / 2.85,
  ours() {
    const toggles = [
      { do: 'mmap', area: 'a', pages: 1 } as const,
      times(20, [
        { do: 'touch', area: 'a' },
        { do: 'mprotect', area: 'a', prot: 'r' },
        { do: 'mprotect', area: 'a', prot: 'rw' },
      ]),
    ];
    const free = { ...ARM, costs: { dvm: 0, tlbi: 0, dsb: 0 } };
    return measuredRatio(beside(0, toggles, ARM), beside(0, toggles, free), (run) => meanCycles(run, 'mprotect'));
  },
  source: 'arm64 flush elision in mprotect none to rw',
  why: 'a system call, its areas and its walk cost 8,500 cycles there and some hundreds here, so that the flush weighs more',
};

const broadcast: PublishedRow = {
  what: 'arm64: a broadcast TLBI when eight CPUs issue them, against one',
  unit: 'latency',
  setup: 'a process per CPU, munmap() of one page in a loop; a 32-core Ampere there: linear',
  theirs: 8,
  ours() {
    const machine = (cpus: number) => ({
      ...ARM,
      name: 'tlbi',
      cpus,
      memory: { tables: 128, pages: 256 },
      processes: Array.from({ length: cpus }, (_, cpu) => ({
        name: `p${cpu}`,
        threads: [
          {
            cpu,
            run: [
              times(30, [
                { do: 'mmap', area: 'a', pages: 1 },
                { do: 'touch', area: 'a' },
                { do: 'munmap', area: 'a' },
              ]),
            ],
          },
        ],
      })),
    });
    return measuredRatio(machine(8), machine(1), (run) => meanCycles(run, '__flush_tlb_range'));
  },
  source: 'Andrea Arcangeli, arm64 TLB flush tree: latency grows about linearly with the CPUs that issue TLBIs at once',
};

/** The rows that are run. */
export const publishedRows: readonly PublishedRow[] = [
  serverRow(10_137 / 8217, 2, '8217, 10137, 11190 at 1, 2, 10 threads', SERIAL),
  serverRow(11_190 / 8217, 10, '8217, 10137, 11190 at 1, 2, 10 threads', SERIAL),
  serverRow(1.09, 3, '1 : 1.09 : 0.73 at 1, 3, 8 threads', SERIAL),
  serverRow(0.73, 8, '1 : 1.09 : 0.73 at 1, 3, 8 threads', SERIAL),
  batch(2),
  batch(16),
  lazyTlb,
  zap,
  ...(
    [
      [1, 1276],
      [2, 1505],
      [4, 2447],
      [8, 3542],
      [16, 5041],
      [33, 8534],
      [64, 2283],
    ] as const
  ).map(([pages, theirs]) => flushRow(pages, theirs)),
  ebizzy(1, 48_670 / 46_799),
  ebizzy(2, 42_691 / 23_962),
  ebizzy(3, 37_539 / 16_152),
  recycling,
  latr,
  elision,
  broadcast,
];

/** The table. */
export async function comparePublished(each: EachRow = everyRow, wanted = publishedRows): Promise<Comparison> {
  const rows = await each(wanted, rowOf);
  return {
    name: 'published',
    title: 'What people have measured, and what comes of it here',
    columns: [
      { key: 'unit', heading: 'what is compared', unit: '' },
      { key: 'theirs', heading: 'theirs', unit: '' },
      { key: 'ours', heading: 'ours', unit: '' },
      { key: 'interval', heading: '+-', unit: '95 %' },
      { key: 'factor', heading: 'off by', unit: 'x' },
      { key: 'setup', heading: 'parameters', unit: '' },
      { key: 'why', heading: 'why, if by more than 2x', unit: '' },
      { key: 'source', heading: 'source', unit: '' },
    ],
    rows: [...rows, ...notModelled],
    notes: [
      'One cost table per architecture (packages/machine/src/schedule/cost.ts, a source for each entry) serves every row; no row has parameters that were fitted to it. Where theirs are not known the parameters are round numbers.',
      `Each number is the mean of ${SEEDS.length} runs whose CPUs begin at other times; +- is the 95 % confidence interval of the mean.`,
      'Rows without a number of ours need what a run does not have. compare contpte and compare lazy-mmu have the tables of contiguous entries and of lazy MMU mode.',
    ],
  };
}

function rowOf({ what, unit, setup, theirs, ours, source, why = '' }: PublishedRow): ComparisonRow {
  const { mean, interval } = ours();
  const factor = Math.max(mean / theirs, theirs / mean);
  return {
    variant: what,
    unit,
    theirs: Number(theirs.toPrecision(4)),
    ours: Number(mean.toPrecision(4)),
    interval: Number(interval.toPrecision(2)),
    factor: Number(factor.toPrecision(3)),
    setup,
    why: factor > OFF_MAX ? why : '',
    source,
  };
}
