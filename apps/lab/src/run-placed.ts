/** `shootdown run` of a machine in parts: virtual machines with CPUs of their own, in this thread or in workers. */
import { Histogram } from '@shootdown/report';
import { assemble, partsOf, type MachineRun, type Topology } from '@shootdown/topology';
import { PlacedRun, tracedThreads, type PlacedPart } from '@shootdown/topology/placed';
import { hostReport } from '@shootdown/scenarios';
import { interruption } from './interrupt.ts';
import { TIMED_ROUTINES } from './latencies.ts';
import { Pulse } from './progress.ts';

/** Ctrl-C ends a worker's part after so many steps at most. */
const WINDOW_STEPS = 50_000;

/** True if a machine runs in parts, whatever thread each is in. */
export function isPlaced(topology: Topology): boolean {
  const parts = partsOf(topology);
  return parts.length > 1 || parts[0]?.placement === 'worker';
}

/** What came of it. */
export interface PlacedResult {
  readonly run: MachineRun;
  readonly parts: readonly PlacedPart[];
  readonly latencies: ReadonlyMap<string, Histogram>;
  /** The virtual machines of each part that has run. */
  readonly hosts: readonly NonNullable<ReturnType<typeof hostReport>>[];
  readonly interrupted: boolean;
}

/** Runs all parts to their ends. A worker that dies ends the run, with what was measured. */
export async function runPlaced(
  topology: Topology,
  stepsMax: number | undefined,
  seed: number,
  folder: string | undefined,
): Promise<PlacedResult> {
  const latencies = new Map<string, Histogram>();
  const placed = new PlacedRun(topology, {
    stepsMax,
    seed,
    folder,
    timed: [...TIMED_ROUTINES],
    onRoutine(routine, cycles) {
      const histogram = latencies.get(routine) ?? new Histogram();
      latencies.set(routine, histogram);
      histogram.add(Math.round(cycles));
    },
  });
  const { signal, ignore } = interruption();
  const pulse = new Pulse();
  try {
    const onProgress = (): void =>
      pulse.beat(() => {
        const { steps, nanoseconds } = placed.result();
        return `${steps} steps, ${(nanoseconds / 1e6).toFixed(3)} ms of virtual time`;
      });
    await placed.run(WINDOW_STEPS, { signal, onProgress });
  } finally {
    pulse.end();
    ignore();
    await placed.stop();
  }
  for (const { name, lost } of placed.parts)
    if (lost !== null)
      process.stderr.write(`run: ${name}: its worker has died (${lost}): the run ends with what was measured\n`);
  const hosts: NonNullable<ReturnType<typeof hostReport>>[] = [];
  for (const { topology: part, run } of placed.parts) {
    const own = folder === undefined ? undefined : await tracedThreads(part, folder);
    const host = run === null ? null : hostReport(assemble(part, own), run, latencies);
    if (host) hosts.push(host);
  }
  // Parts that run side by side are heard of in any order.
  const byName = new Map([...latencies].sort(([a], [b]) => (a < b ? -1 : 1)));
  return { run: placed.result(), parts: placed.parts, latencies: byName, hosts, interrupted: signal.aborted };
}
