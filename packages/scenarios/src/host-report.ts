/** What a run of a host says of its virtual machines. */
import { EXIT_REASONS, exitCounter, HypervisorCounter } from '@shootdown/hypervisor';
import { KvmCounter, X86Counter } from '@shootdown/mm';
import { counterTable, type Histogram, histogramText, textTable } from '@shootdown/report';
import type { AssembledMachine, MachineRun } from '@shootdown/topology';

/** The routine whose latency is the latency of a flush. */
export const FLUSH_ROUTINE = 'flush_tlb_mm_range';

const MICROSECONDS = 1e6;
/** Two virtual machines of four vCPUs side by side. */
const WIDTH = 112;

/** Figures of a host: arrays have one value per vCPU, in the order of `vcpus`. */
export interface HostReport {
  readonly vcpus: readonly string[];
  /** Exits by reason. */
  readonly exits: Readonly<Record<string, readonly number[]>>;
  readonly exitsTotal: number;
  /** IPIs that vCPUs have sent, flushes asked of a preempted vCPU instead, and IPIs taken. */
  readonly ipis: {
    readonly sent: readonly number[];
    readonly elided: readonly number[];
    readonly received: readonly number[];
  };
  /** Flushes that the host did on the way into the guest. */
  readonly flushesOnEntry: number;
  /** Preemptions that the guest could see, and that it could not. */
  readonly preemptions: { readonly reported: number; readonly other: number };
  readonly directedYields: { readonly attempted: number; readonly successful: number };
  readonly stealMicroseconds: readonly number[];
  readonly stealPercent: number;
  /** Null without a second stage. References are memory references of page walks. */
  readonly secondStage: {
    readonly faults: number;
    readonly tlbMisses: number;
    readonly walkReferencesPerMiss: number;
    readonly secondStageReferencesPerMiss: number;
  } | null;
  readonly flushLatency: { readonly unit: 'cycles'; readonly histogram: Histogram | null };
}

/** Reads the report off a run. Null if the machine is no host. */
export function hostReport(
  machine: AssembledMachine,
  run: MachineRun,
  latencies: ReadonlyMap<string, Histogram>,
): HostReport | null {
  if (machine.vms.length === 0 || run.stealCycles === null) return null;
  const names = machine.system.processors.map((p) => p.name);
  const row = (counter: string): readonly number[] => run.total[counter] ?? names.map(() => 0);
  const total = (counter: string): number => sum(row(counter));
  const { hertz } = machine.costs;
  const misses = total('tlb_miss');
  const perMiss = (counter: string): number => (misses === 0 ? 0 : total(counter) / misses);
  return {
    vcpus: names,
    exits: Object.fromEntries(EXIT_REASONS.map((reason) => [reason, row(exitCounter(reason))])),
    exitsTotal: sum(EXIT_REASONS.map((reason) => total(exitCounter(reason)))),
    ipis: {
      sent: row(HypervisorCounter.ipisSent),
      elided: row(KvmCounter.elided),
      received: row(X86Counter.interrupts),
    },
    flushesOnEntry: total(HypervisorCounter.flushOnEntry),
    preemptions: {
      reported: total(HypervisorCounter.preemptionReported),
      other: total(HypervisorCounter.preemptionOther),
    },
    directedYields: {
      attempted: total(HypervisorCounter.directedYieldAttempted),
      successful: total(HypervisorCounter.directedYieldSuccessful),
    },
    stealMicroseconds: run.stealCycles.map((cycles) => (cycles / hertz) * MICROSECONDS),
    stealPercent: run.cycles === 0 ? 0 : (100 * sum(run.stealCycles)) / (run.cycles * names.length),
    secondStage: machine.vms.some((vm) => vm.stage)
      ? {
          faults: total(exitCounter('ept_violation')),
          tlbMisses: misses,
          walkReferencesPerMiss: perMiss('walk_references'),
          secondStageReferencesPerMiss: perMiss('second_stage_references'),
        }
      : null,
    flushLatency: { unit: 'cycles', histogram: latencies.get(FLUSH_ROUTINE) ?? null },
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function table(vcpus: readonly string[], counters: Readonly<Record<string, readonly number[]>>, unit = ''): string {
  return textTable(counterTable(vcpus, counters, unit), { width: WIDTH });
}

/** The report for people. */
export function hostText(report: HostReport): string {
  const { vcpus, exits, ipis, secondStage, directedYields, preemptions, flushLatency } = report;
  const happened = Object.entries(exits).filter(([, row]) => sum(row) > 0);
  const text = [
    '\nexits by reason\n',
    table(vcpus, Object.fromEntries(happened)),
    '\nIPIs\n',
    table(vcpus, { sent: ipis.sent, elided: ipis.elided, received: ipis.received }),
    '\nsteal time\n',
    table(vcpus, { stolen: report.stealMicroseconds.map(Math.round) }, 'us'),
    `\nsteal ${report.stealPercent.toFixed(1)} %; preemptions reported ${preemptions.reported}, not reported ${preemptions.other}; flushes on entry ${report.flushesOnEntry}; directed yields ${directedYields.successful} of ${directedYields.attempted}\n`,
  ];
  if (secondStage) {
    const { faults, tlbMisses, walkReferencesPerMiss, secondStageReferencesPerMiss } = secondStage;
    text.push(
      `second stage: ${faults} faults; ${tlbMisses} TLB misses of ${walkReferencesPerMiss.toFixed(2)} memory references each, ${secondStageReferencesPerMiss.toFixed(2)} of them in the second stage\n`,
    );
  }
  if (flushLatency.histogram)
    text.push('\n', histogramText(flushLatency.histogram, { title: `${FLUSH_ROUTINE}()`, unit: flushLatency.unit }));
  return text.join('');
}
