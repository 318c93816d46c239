/** What a run has come to, for people. */
import { lazy } from '@shootdown/mm';
import { counterTable, histogramText, textTable, type Histogram } from '@shootdown/report';
import { hostReport, hostText } from '@shootdown/scenarios';
import { lazyModeOf, type AssembledMachine, type Counters, type MachineRun } from '@shootdown/topology';
import { failureLines } from './failures.ts';
import type { RunTarget } from './run-target.ts';

/** What a run's sections of lazy MMU mode came to: how many there were, and the rules broken in them, by class. */
export function lazyMmuOf(machine: AssembledMachine, total: Counters) {
  const sum = (counter: string): number => (total[counter] ?? []).reduce((a, b) => a + b, 0);
  const broken = lazy.hazardClasses.map((kind) => [kind, sum(`hazard ${kind}`)] as const);
  return {
    arch: lazyModeOf(machine.topology, machine.topology.name).name,
    sections: sum(lazy.SECTIONS),
    hazards: Object.fromEntries(broken.filter(([, times]) => times > 0)),
  };
}

function lazyMmuLine(machine: AssembledMachine, total: Counters): string {
  const { arch, sections, hazards } = lazyMmuOf(machine, total);
  if (sections === 0) return '';
  const broken = Object.entries(hazards).map(([kind, times]) => `${kind} ${times}`);
  return `lazy MMU mode (${arch}): ${sections} section${sections === 1 ? '' : 's'}, hazards: ${broken.join(', ') || 'none'}\n`;
}

/** Counters, busy times and the end of a run, for people. */
export function describeRun(
  { name, machine, assembled, replaced }: RunTarget,
  result: MachineRun,
  latencies: ReadonlyMap<string, Histogram>,
): string {
  const names = machine.system.processors.map((p) => p.name);
  const text = [
    ...(replaced === null ? [] : [`${replaced}\n`]),
    `${name}: ${result.end} after ${result.steps} steps, ${(result.nanoseconds / 1000).toFixed(1)} us of virtual time\n`,
  ];
  text.push(...failureLines(result));
  if (assembled) text.push(lazyMmuLine(assembled, result.total));
  const host = assembled && hostReport(assembled, result, latencies);
  if (host) return text.join('') + `${Math.round(result.stepsPerSecond)} steps per second\n` + hostText(host);
  return text.join('') + countersText(names, result, latencies);
}

/** Counters by phase, busy times and how long routines took, for people. */
export function countersText(
  names: readonly string[],
  result: MachineRun,
  latencies: ReadonlyMap<string, Histogram>,
): string {
  const text: string[] = [];
  for (const [phase, counters] of Object.entries(result.phases)) {
    if (Object.keys(counters).length === 0) continue;
    text.push(`\n${phase}\n`, textTable(counterTable(names, nonZero(counters))));
  }
  text.push('\n', textTable(counterTable(names, { 'busy cycles': [...result.busyCycles] })));
  for (const [routine, histogram] of latencies)
    text.push(
      '\n',
      histogramText(histogram, { title: routine.includes(' ') ? routine : `${routine}()`, unit: 'cycles' }),
    );
  return text.join('');
}

function nonZero(counters: Counters): Counters {
  return Object.fromEntries(Object.entries(counters).filter(([, row]) => row.some((n) => n !== 0)));
}
