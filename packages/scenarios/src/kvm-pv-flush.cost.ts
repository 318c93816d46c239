/**
 * What paravirtual flushing buys: a load that maps, writes and unmaps, in one, two and three VMs that share the CPUs of
 * one, with IPIs and with kvm_flush_tlb_multi(). The shape of `ebizzy -M`, on which it was proposed.
 */
import { x86Costs } from '@shootdown/machine';
import { Histogram } from '@shootdown/report';
import { assemble, parseTopology, runMachine } from '@shootdown/topology';
import { everyRow, type Comparison } from './comparison.ts';
import { kvmHost, KvmHostLoad, RECORDS } from './demos/kvm-host.ts';
import { FLUSH_ROUTINE, hostReport, type HostReport } from './host-report.ts';

const CYCLES_PER_MICROSECOND = x86Costs.hertz / 1e6;
const RUN_MICROSECONDS = 30_000;

/** One way of running the load. */
export interface PvFlushCase {
  readonly vms: number;
  readonly paravirtualFlush: boolean;
  /** CPUs of the host, and vCPUs of each VM. Default 4. */
  readonly vcpusPerVm?: number;
  readonly pauseLoopExiting?: boolean;
  readonly preemptedAtBoundaryOnly?: boolean;
  readonly runMicroseconds?: number;
}

/** What came of it. */
export interface PvFlushRun extends HostReport {
  readonly recordsPerSecond: number;
  readonly recordsPerVm: readonly number[];
  readonly flushMicroseconds: Histogram;
  readonly meanFlushMicroseconds: number;
  readonly steps: number;
  readonly stepsPerSecond: number;
}

/** Runs the load. */
export function runPvFlush(wanted: PvFlushCase): PvFlushRun {
  const { runMicroseconds = RUN_MICROSECONDS } = wanted;
  const machine = assemble(parseTopology(kvmHost({ name: 'pv-flush', ...wanted, runMicroseconds })));
  const cycles = new Histogram();
  const flushMicroseconds = new Histogram();
  const run = runMachine(machine, {
    onRoutine(routine, _processor, took) {
      if (routine !== FLUSH_ROUTINE) return;
      cycles.add(took);
      flushMicroseconds.add(Math.round(took / CYCLES_PER_MICROSECOND));
    },
  });
  const report = hostReport(machine, run, new Map([[FLUSH_ROUTINE, cycles]])) as HostReport;
  const records = run.total[RECORDS] ?? [];
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    ...report,
    recordsPerSecond: sum(records) / (run.nanoseconds / 1e9),
    recordsPerVm: machine.vms.map((vm) => sum(vm.processors.map((p) => records[p] ?? 0))),
    flushMicroseconds,
    meanFlushMicroseconds: cycles.count === 0 ? 0 : cycles.mean / CYCLES_PER_MICROSECOND,
    steps: run.steps,
    stepsPerSecond: run.stepsPerSecond,
  };
}

/**
 * `ebizzy -M` in VMs of 64 vCPUs on 64 CPUs: what the paravirtual flush gains (cover letter of the series of 2017, v8).
 */
const PUBLISHED_GAIN: Readonly<Record<number, string>> = { 1: '+4 %', 2: '+78 %', 3: '+132 %' };

/** Hosts compared: how they deal with a vCPU that spins, and what they tell the guest of it. */
interface HostKind extends Pick<PvFlushCase, 'vcpusPerVm' | 'pauseLoopExiting' | 'preemptedAtBoundaryOnly'> {
  readonly name: string;
}

const HOSTS: readonly HostKind[] = [
  { name: 'no PLE', vcpusPerVm: 4, pauseLoopExiting: false },
  { name: 'PLE', vcpusPerVm: 4, preemptedAtBoundaryOnly: false },
  { name: 'PLE, v5.19', vcpusPerVm: 4 },
  { name: 'PLE, 8 vCPUs', vcpusPerVm: 8, preemptedAtBoundaryOnly: false },
];

/** The comparison: one row per host, number of VMs and kind of flush. */
export async function comparePvFlush(
  each = everyRow,
  vmsMax = 3,
  hosts = HOSTS,
  runMicroseconds = RUN_MICROSECONDS,
): Promise<Comparison> {
  const numbers = Array.from({ length: vmsMax }, (_, i) => i + 1);
  const wanted = hosts.flatMap((host) => numbers.map((vms) => ({ host, vms })));
  const pairs = await each(wanted, ({ host, vms }) => ({
    host,
    vms,
    native: runPvFlush({ ...host, vms, paravirtualFlush: false, runMicroseconds }),
    paravirtual: runPvFlush({ ...host, vms, paravirtualFlush: true, runMicroseconds }),
  }));
  const { pages, computeCycles, timesliceMicroseconds, hz } = KvmHostLoad;
  return {
    name: 'pv-flush',
    title: 'munmap-heavy load in VMs that share the CPUs of one: flush by IPI, and paravirtual flush',
    columns: [
      { key: 'recordsPerSecond', heading: 'records', unit: '1/s' },
      { key: 'gain', heading: 'gain', unit: 'ours' },
      { key: 'published', heading: 'gain', unit: 'published' },
      { key: 'exits', heading: 'exits', unit: 'count' },
      { key: 'ipisSent', heading: 'IPIs', unit: 'sent' },
      { key: 'elided', heading: 'IPIs', unit: 'elided' },
      { key: 'yields', heading: 'yields', unit: 'count' },
      { key: 'flushMicroseconds', heading: 'flush', unit: 'us, mean' },
      { key: 'stealPercent', heading: 'steal', unit: '%' },
    ],
    rows: pairs.flatMap(({ host, vms, native, paravirtual }) => [
      rowOf(host, vms, 'IPI', native, native),
      rowOf(host, vms, 'PV', paravirtual, native),
    ]),
    notes: [
      `A record maps, writes and unmaps ${pages} pages and computes ${Math.round(computeCycles / CYCLES_PER_MICROSECOND)} us; timeslice ${timesliceMicroseconds} us of ${(timesliceMicroseconds * hz) / 1e6} ticks; ${runMicroseconds / 1000} ms of virtual time; the same in every row. VMs have as many vCPUs as the host has CPUs: 4, or 8 where it says so.`,
      "PLE: pause-loop exits with kvm_intel's defaults (ple_window 4096, doubled by every exit, reset when scheduled in) and directed yield. v5.19: a vCPU that yields is not marked as preempted; in the rows above it is, as when the series was posted.",
      'Published: ebizzy -M in VMs of 64 vCPUs on 64 CPUs. Another load on another machine, so only the shape compares: next to nothing gained without overcommit, much with it. Nothing here is fitted to it.',
      'Without PLE a vCPU that waits for an IPI burns its timeslice, which makes IPIs look worse than they are. With it the spinner finds the vCPU it waits for among 3 or 7 others, and not among 63, which makes them look better.',
      'Sending an IPI costs the exit of the ICR write; taking one is posted; mmap_lock is spun on. Costs are rules of thumb with their sources in packages/machine/src/schedule/cost.ts.',
      ...pairs.map(
        ({ host, vms, native, paravirtual }) =>
          `Flush latency, ${host.name}, ${vms} VM${vms > 1 ? 's' : ''}, us: IPI ${bucketsOf(native.flushMicroseconds)}; paravirtual ${bucketsOf(paravirtual.flushMicroseconds)}.`,
      ),
    ],
  };
}

function rowOf(host: HostKind, vms: number, flush: string, run: PvFlushRun, native: PvFlushRun) {
  const gain = Math.round(100 * (run.recordsPerSecond / native.recordsPerSecond - 1));
  const isNative = run === native;
  const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
  return {
    variant: `${host.name}, ${vms} VM${vms > 1 ? 's' : ''}, ${flush}`,
    recordsPerSecond: Math.round(run.recordsPerSecond),
    gain: isNative ? '' : `${gain < 0 ? '' : '+'}${gain} %`,
    published: isNative ? '' : (PUBLISHED_GAIN[vms] ?? ''),
    exits: run.exitsTotal,
    ipisSent: sum(run.ipis.sent),
    elided: sum(run.ipis.elided),
    yields: run.directedYields.successful,
    flushMicroseconds: Number(run.meanFlushMicroseconds.toFixed(1)),
    stealPercent: Math.round(run.stealPercent),
  };
}

/** A histogram in one line: `[2, 4) 3775`. */
function bucketsOf(histogram: Histogram): string {
  return histogram.buckets
    .filter((bucket) => bucket.count > 0)
    .map(({ low, high, count: values }) => `[${low}, ${high}) ${values}`)
    .join(', ');
}
