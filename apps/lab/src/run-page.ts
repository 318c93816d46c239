/** The page of a run: what `shootdown run --report` writes. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pageHtml, type Histogram, type MessageCount, type Page, type Plot, type PlotLibrary } from '@shootdown/report';
import type { AssembledMachine, MachineRun } from '@shootdown/topology';

/** Lines in one plot at most: the counters that counted most. */
const LINES_MAX = 6;
const MICROSECONDS = 1e-3;

/** The page as one HTML file that needs no network. */
export function runPageHtml(
  machine: AssembledMachine,
  run: MachineRun,
  latencies: ReadonlyMap<string, Histogram>,
  messages: readonly MessageCount[] | null,
): string {
  return pageHtml(pageOf(machine, run, latencies, messages), uPlot());
}

function uPlot(): PlotLibrary {
  const { resolve } = createRequire(import.meta.url);
  const text = (file: string): string => readFileSync(resolve(`uplot/dist/${file}`), 'utf8');
  return { script: text('uPlot.iife.min.js'), style: text('uPlot.min.css') };
}

function pageOf(
  machine: AssembledMachine,
  run: MachineRun,
  latencies: ReadonlyMap<string, Histogram>,
  messages: readonly MessageCount[] | null,
): Page {
  const { topology, system } = machine;
  const names = system.processors.map(({ name }) => name);
  return {
    title: topology.name,
    about: topology.about,
    facts: [
      ['architecture', topology.architecture],
      ['CPUs', String(topology.cpus)],
      ['virtual machines', String(machine.vms.length)],
      ['end', run.violation === null ? run.end : `${run.end}: ${run.violation}`],
      ['steps', run.steps.toLocaleString('en')],
      ['virtual time', `${(run.nanoseconds / 1000).toLocaleString('en')} us`],
      ['steps per second', Math.round(run.stepsPerSecond).toLocaleString('en')],
      ['seed', String(run.seed)],
      ['fingerprint', run.fingerprint],
    ],
    plots: [...seriesPlots(run), busyPlot(run), ...[...latencies].map(([name, h]) => histogramPlot(machine, name, h))],
    tables: [
      {
        title: 'Counters, the sum over all CPUs',
        table: {
          columns: ['phase', 'counter', 'count', 'most on one CPU', 'on'],
          rows: Object.entries(run.phases).flatMap(([phase, counters]) =>
            Object.entries(counters).map(([counter, row]) => {
              const most = Math.max(...row);
              return [phase, counter, row.reduce((a, b) => a + b, 0), most, names[row.indexOf(most)]];
            }),
          ),
        },
      },
      ...(messages === null
        ? []
        : [
            {
              title: 'Messages',
              table: {
                columns: ['from', 'to', 'type', 'count'],
                rows: messages.map(({ from, to, type, count }) => [from, to, type, count]),
              },
            },
          ]),
    ],
  };
}

function seriesPlots({ series }: MachineRun): Plot[] {
  const sums = Object.entries(series.counters).map(([name, values]) => ({
    name,
    values,
    sum: values.reduce((a, b) => a + b, 0),
  }));
  const most = sums.sort((a, b) => b.sum - a.sum).slice(0, LINES_MAX);
  const [first] = most;
  if (!first) return [];
  return [
    {
      title: 'Events over virtual time',
      kind: 'lines',
      across: 'virtual time (us)',
      up: `events per ${(series.intervalNanoseconds * MICROSECONDS).toPrecision(3)} us`,
      x: first.values.map((_, i) => i * series.intervalNanoseconds * MICROSECONDS),
      series: most,
    },
  ];
}

function busyPlot({ busyCycles, cycles }: MachineRun): Plot {
  return {
    title: 'How busy each CPU was',
    kind: 'bars',
    across: 'CPU',
    up: '% of the time',
    x: busyCycles.map((_, i) => i),
    series: [{ name: 'busy', values: busyCycles.map((busy) => (100 * busy) / Math.max(1, cycles)) }],
  };
}

function histogramPlot({ costs }: AssembledMachine, name: string, histogram: Histogram): Plot {
  const nanoseconds = 1e9 / costs.hertz;
  return {
    title: `${name}: ${histogram.count} times, ${(histogram.mean * nanoseconds).toFixed(0)} ns on average`,
    kind: 'bars',
    across: 'from (ns)',
    up: 'times',
    logarithmic: true,
    x: histogram.buckets.map(({ low }) => Math.max(1, low) * nanoseconds),
    series: [{ name: 'times', values: histogram.buckets.map(({ count }) => count) }],
  };
}
