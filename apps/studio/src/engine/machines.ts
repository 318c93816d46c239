/** Running machines in the page: loaded when the first of them is asked for. */
import { Histogram } from '@shootdown/report';
import { demos } from '@shootdown/scenarios';
import { assemble, MachineRunner, parseTopologyText } from '@shootdown/topology';
import type { MachineEntry, RanMachine, RoutineTimesOf } from './api.ts';

/** Machines that come with the command, each a file of its own. */
const shipped = import.meta.glob<string>('../../../lab/topologies/*.json', {
  query: '?raw',
  import: 'default',
  eager: true,
});

const JSON_INDENT = 2;

/** The demos and the machines that ship, as topology files. */
export function machineEntries(): MachineEntry[] {
  return [
    ...demos.map(({ name, title, topology }) => ({ name, title, text: JSON.stringify(topology, null, JSON_INDENT) })),
    ...Object.entries(shipped).map(([path, text]) => {
      const name = path.replace(/^.*\/|\.json$/g, '');
      return { name, title: `apps/lab/topologies/${name}.json`, text };
    }),
  ];
}

/** Steps between two looks at the clock. */
const PORTION_STEPS = 500;
/** A run that has not ended by then is shown as far as it went. */
const STEPS_MAX = 20_000_000;
const PROGRESS_MS = 100;

/** Runs a machine to its end. Throws ModelError (one line) if the text describes none. */
export function runMachineOf(
  name: string,
  text: string,
  onProgress: (steps: number, nanoseconds: number) => void,
): RanMachine {
  const machine = assemble(parseTopologyText(text, name));
  const times = new Map<string, Histogram>();
  const runner = new MachineRunner(machine, {
    stepsMax: STEPS_MAX,
    onRoutine: (routine, _processor, cycles) => {
      let histogram = times.get(routine);
      if (!histogram) times.set(routine, (histogram = new Histogram()));
      histogram.add(cycles);
    },
  });
  let reported = performance.now();
  while (runner.advance(PORTION_STEPS)) {
    if (performance.now() - reported < PROGRESS_MS) continue;
    reported = performance.now();
    const now = runner.result();
    onProgress(now.steps, now.nanoseconds);
  }
  const {
    steps,
    nanoseconds,
    busyCycles,
    stealCycles,
    phases,
    total,
    end,
    wallSeconds,
    stepsPerSecond,
    violation,
    series,
  } = runner.result();
  const { hertz } = machine.costs;
  return {
    name: machine.topology.name,
    architecture: machine.topology.architecture,
    memoryModel: machine.topology.memoryModel,
    processors: machine.system.processors.map((processor) => processor.name),
    end,
    violation,
    steps,
    nanoseconds,
    hertz,
    wallSeconds,
    stepsPerSecond,
    busyNanoseconds: busyCycles.map((cycles) => (cycles / hertz) * 1e9),
    stealNanoseconds: stealCycles?.map((cycles) => (cycles / hertz) * 1e9) ?? null,
    phases: Object.fromEntries(Object.entries(phases).map(([phase, counters]) => [phase, { ...counters }])),
    total: { ...total },
    times: Object.fromEntries([...times].map(([routine, histogram]) => [routine, timesOf(histogram)])),
    series,
  };
}

function timesOf(histogram: Histogram): RoutineTimesOf {
  const { count, mean, min, max, buckets } = histogram;
  return {
    count,
    mean,
    min,
    max,
    buckets,
    atMost50: histogram.quantile(0.5),
    atMost99: histogram.quantile(0.99),
  };
}
