/** `shootdown run --seeds N`: the same machine N times, its CPUs out of step in another way each time. */
import { measuredOf, textTable, type Measured } from '@shootdown/report';
import { MachineRunner, type MachineRun } from '@shootdown/topology';
import { ExitCode, exitCodeOfRun } from './exit-codes.ts';
import { untilDoneOrInterrupted } from './interrupt.ts';
import { Latencies } from './latencies.ts';
import { sayUncalled } from './replacement.ts';
import type { RunTarget } from './run-target.ts';

const PORTION_STEPS = 20_000;

/** One repetition: its counters and its mean times, by name. */
interface Repetition {
  readonly run: MachineRun;
  readonly counters: ReadonlyMap<string, number>;
  readonly times: ReadonlyMap<string, number>;
}

/** Repeats a run with the seeds 1 to `seeds`, and prints means with their 95 % confidence intervals. */
export async function runSeeds(
  of: RunTarget,
  seeds: number,
  stepsMax: number | undefined,
  json: boolean,
): Promise<number> {
  const { name, machine } = of;
  const repetitions: Repetition[] = [];
  let code: number = ExitCode.ok;
  for (let seed = 1; seed <= seeds && code !== ExitCode.interrupted; seed++) {
    const latencies = new Latencies();
    const runner = new MachineRunner(machine, {
      seed,
      onRoutine: latencies.onRoutine,
      onWait: latencies.onWait,
      onGracePeriod: latencies.onGracePeriod,
      ...(stepsMax !== undefined && { stepsMax }),
    });
    if (await untilDoneOrInterrupted(() => runner.advance(PORTION_STEPS))) code = ExitCode.interrupted;
    else {
      repetitions.push(repetitionOf(runner.result(), latencies));
      code = Math.max(code, exitCodeOfRun(runner.result()));
    }
    process.stderr.write(`${name}: seed ${seed} of ${seeds}\n`);
  }
  sayUncalled(of);
  const document = documentOf(name, repetitions);
  process.stdout.write(json ? `${JSON.stringify(document)}\n` : textOf(document));
  return code;
}

function repetitionOf(run: MachineRun, { histograms }: Latencies): Repetition {
  return {
    run,
    counters: new Map(Object.entries(run.total).map(([counter, row]) => [counter, row.reduce((a, b) => a + b, 0)])),
    times: new Map([...histograms].map(([routine, { mean }]) => [routine, mean])),
  };
}

function documentOf(name: string, repetitions: readonly Repetition[]) {
  const over = (of: (repetition: Repetition) => number | undefined): Measured =>
    measuredOf(repetitions.flatMap((repetition) => of(repetition) ?? []));
  const named = (of: (repetition: Repetition) => ReadonlyMap<string, number>, missing: number | undefined) =>
    Object.fromEntries(
      [...new Set(repetitions.flatMap((repetition) => [...of(repetition).keys()]))].map((key) => [
        key,
        over((repetition) => of(repetition).get(key) ?? missing),
      ]),
    );
  return {
    name,
    seeds: repetitions.map(({ run }) => run.seed),
    end: [...new Set(repetitions.map(({ run }) => run.end))],
    fingerprints: repetitions.map(({ run }) => run.fingerprint),
    steps: over(({ run }) => run.steps),
    microseconds: over(({ run }) => run.nanoseconds / 1000),
    counters: named(({ counters }) => counters, 0),
    cycles: named(({ times }) => times, undefined),
  };
}

function textOf({ name, seeds, end, steps, microseconds, counters, cycles }: ReturnType<typeof documentOf>): string {
  const rows = (measured: Readonly<Record<string, Measured>>) =>
    Object.entries(measured).map(([what, { mean, interval }]) => [what, rounded(mean), rounded(interval)]);
  const table = (heading: string, measured: Readonly<Record<string, Measured>>): string =>
    textTable({ columns: [heading, 'mean', '+- (95 %)'], rows: rows(measured) });
  return [
    `${name}: ${end.join(', ')}, ${seeds.length} seeds`,
    table('run', { steps, 'virtual time, us': microseconds }),
    table('counter', counters),
    table('cycles of', cycles),
  ].join('\n');
}

/** Four digits are more than such numbers are worth. */
function rounded(value: number): number {
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(4));
}
