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

/** Points of a time series: when there are twice as many, every other one goes. */
const POINTS_MAX = 240;
/** Steps between two points, to begin with. */
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
  const series = new Series();
  let reported = performance.now();
  for (let more = true; more;) {
    more = runner.advance(series.portion);
    const now = runner.result();
    series.add(now.steps, now.nanoseconds, now.total);
    if (performance.now() - reported < PROGRESS_MS) continue;
    reported = performance.now();
    onProgress(now.steps, now.nanoseconds);
  }
  const { steps, nanoseconds, busyCycles, stealCycles, phases, total, end, wallSeconds, stepsPerSecond, violation } =
    runner.result();
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
    series: series.result(),
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
    atMost50: atMost(buckets, count, 0.5),
    atMost99: atMost(buckets, count, 0.99),
  };
}

/** The end of the bucket in which a share of the values is reached: values are known to the power of two. */
function atMost(buckets: RoutineTimesOf['buckets'], count: number, share: number): number {
  let seen = 0;
  for (const bucket of buckets) {
    seen += bucket.count;
    if (seen >= share * count) return bucket.high;
  }
  return 0;
}

/** Counters over virtual time, in a bounded number of points. */
class Series {
  portion = PORTION_STEPS;
  #steps = 0;
  #nanoseconds: number[] = [0];
  #counters = new Map<string, number[]>();

  add(steps: number, nanoseconds: number, total: Readonly<Record<string, readonly number[]>>): void {
    // The rest of a run goes to the point before it: a rate over next to no time says nothing.
    if (steps - this.#steps < this.portion / 2 && this.#nanoseconds.length > 1)
      for (const values of [this.#nanoseconds, ...this.#counters.values()]) values.pop();
    this.#steps = steps;
    const points = this.#nanoseconds.length;
    this.#nanoseconds.push(nanoseconds);
    for (const [counter, row] of Object.entries(total)) {
      let values = this.#counters.get(counter);
      if (!values) this.#counters.set(counter, (values = Array.from({ length: points }, () => 0)));
      values.push(row.reduce((a, b) => a + b, 0));
    }
    if (this.#nanoseconds.length <= POINTS_MAX) return;
    const thinned = (values: readonly number[]): number[] => values.filter((_, i) => i % 2 === 0);
    this.#nanoseconds = thinned(this.#nanoseconds);
    this.#counters = new Map([...this.#counters].map(([counter, values]) => [counter, thinned(values)]));
    this.portion *= 2;
  }

  result(): RanMachine['series'] {
    return { nanoseconds: this.#nanoseconds, counters: Object.fromEntries(this.#counters) };
  }
}
