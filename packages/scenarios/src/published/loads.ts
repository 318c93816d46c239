/** The loads behind the published numbers, as topologies; and their runs, repeated over seeds. */
import { Histogram, measuredOf, type Measured } from '@shootdown/report';
import {
  assemble,
  parseTopology,
  runMachine,
  type Action,
  type MachineRun,
  type TopologyInput,
} from '@shootdown/topology';

/** Runs of each load: their processors begin at other times. */
export const SEEDS = [1, 2, 3] as const;
/** Measures something in a run of each seed. */
export function measured(topology: TopologyInput, of: (run: TimedRun) => number): Measured {
  return measuredOf(SEEDS.map((seed) => of(timedRun(topology, seed))));
}

/** The ratio of two measurements, seed by seed. */
export function measuredRatio(over: TopologyInput, under: TopologyInput, of: (run: TimedRun) => number): Measured {
  return measuredOf(SEEDS.map((seed) => of(timedRun(over, seed)) / of(timedRun(under, seed))));
}

/** A run and how long its routines took, in cycles. */
export interface TimedRun extends MachineRun {
  readonly routines: ReadonlyMap<string, Histogram>;
}

function timedRun(topology: TopologyInput, seed: number): TimedRun {
  const routines = new Map<string, Histogram>();
  const run = runMachine(assemble(parseTopology(topology)), {
    seed,
    onRoutine(routine, _processor, cycles) {
      const histogram = routines.get(routine) ?? new Histogram();
      routines.set(routine, histogram);
      histogram.add(Math.round(cycles));
    },
  });
  return { ...run, routines };
}

/** Sum of a counter over all processors. */
export function total({ total: counters }: MachineRun, counter: string): number {
  return (counters[counter] ?? []).reduce((a, b) => a + b, 0);
}

/** Mean cycles of a routine. */
export function meanCycles({ routines }: TimedRun, routine: string): number {
  return routines.get(routine)?.mean ?? Number.NaN;
}

const REQUESTS = 'requests';

/** Requests per second of virtual time. */
export function requestsPerSecond(run: MachineRun): number {
  return total(run, REQUESTS) / (run.nanoseconds / 1e9);
}

const SMALL_TLB = { l1: '16x4', l2: '512x4' } as const;

/** A server: each thread, on a CPU of its own, maps memory per request, uses it, computes, and unmaps it. */
export function server(
  threads: number,
  {
    pages,
    computeCycles,
    requests,
  }: { readonly pages: number; readonly computeCycles: number; readonly requests: number },
  costs: Readonly<Record<string, number>> = {},
): TopologyInput {
  const request: Action[] = [
    { do: 'mmap', area: 'a', pages },
    { do: 'touch', area: 'a' },
    { do: 'compute', cycles: computeCycles },
    { do: 'munmap', area: 'a' },
    { do: 'count', counter: REQUESTS },
  ];
  return {
    name: 'server',
    architecture: 'x86-64-4l',
    cpus: threads,
    tlb: SMALL_TLB,
    memory: { tables: 256, pages: Math.max(1024, 2 * threads * pages) },
    costs,
    processes: [
      {
        name: 'server',
        threads: [
          { cpu: threads === 1 ? 0 : `0-${threads - 1}`, run: [{ do: 'repeat', times: requests, body: request }] },
        ],
      },
    ],
  };
}

/** What a shootdown costs beyond the entries: without it nobody is interrupted, and nobody waits. */
export const NO_SHOOTDOWN = { ipi: 0, ipi_send: 0, interrupt_entry: 0, invlpg: 0, cr3_write: 0 } as const;

/** One thread at work, and others of its process that spin. */
export function beside(spinning: number, run: readonly Action[], options: Partial<TopologyInput> = {}): TopologyInput {
  return {
    name: 'beside',
    architecture: 'x86-64-4l',
    cpus: 1 + spinning,
    tlb: SMALL_TLB,
    memory: { tables: 256, pages: 4096 },
    processes: [
      {
        name: 'p',
        threads: [
          { cpu: 0, run: [{ do: 'wait-for-others' }, ...run] },
          ...(spinning === 0 ? [] : [{ cpu: spinning === 1 ? 1 : `1-${spinning}`, run: [{ do: 'spin' as const }] }]),
        ],
      },
    ],
    ...options,
  };
}

/** The same actions over and over. */
export function times(count: number, body: readonly Action[]): Action {
  return { do: 'repeat', times: count, body };
}
