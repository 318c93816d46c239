/** `shootdown explore --fuzz`: random schedules of the same model, for spaces too big to search. It proves nothing. */
import { counterexample, agrees, fuzz, type FuzzOptions } from '@shootdown/explorer';
import { renderTrace, traceDocument } from '@shootdown/report';
import type { Arguments } from '../arguments.ts';
import { replayCommand } from '../counterexample.ts';
import { tellHost } from '../host-link.ts';
import { Pulse } from '../progress.ts';
import { statesAlong } from '../states-along.ts';
import { studioLine, studioLink } from '../studio-link.ts';
import type { RequestedScenario } from '../scenario-request.ts';
import { formatSchedule } from '@shootdown/machine';
import { coverageLines } from './coverage-lines.ts';
import type { Found, Shown } from './explore.ts';

const RUNS_DEFAULT = 10_000;
const STEPS_MAX_DEFAULT = 10_000;

/** The flags of a sampling. */
export function fuzzOptions(args: Arguments): Omit<FuzzOptions, 'kind'> {
  const timeoutSeconds = args.whole('timeout', 1);
  return {
    seed: args.whole('seed', 0) ?? 1,
    runs: args.whole('runs', 1) ?? RUNS_DEFAULT,
    stepsMax: args.whole('max-depth', 1) ?? STEPS_MAX_DEFAULT,
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
  };
}

/** Tries random schedules. */
export async function sample(
  resolved: RequestedScenario,
  options: FuzzOptions,
  signal: AbortSignal,
  { coverage, columns, expand }: Shown,
): Promise<Found> {
  const pulse = new Pulse();
  const system = resolved.build();
  tellHost({ type: 'built' });
  const result = await fuzz(system, {
    ...options,
    fresh: resolved.fresh,
    signal,
    onProgress(progress) {
      tellHost({ type: 'progress', progress });
      pulse.say(`${progress.states} steps, ${progress.queue} runs to go`);
    },
  });
  pulse.end();
  const trace = result.schedule === null ? null : counterexample(resolved, result);
  const { scenario, variant, memoryModel, parameters, expected } = resolved;
  const { schedule, seed, ...rest } = result;
  const document = {
    scenario: scenario.name,
    variant: variant.name,
    memoryModel,
    parameters,
    ...rest,
    // What only a search of all states can know.
    states: null,
    transitions: null,
    depth: null,
    complete: false,
    interleavings: null,
    /** The seed that finds it again; of a search in vain, the first one tried. */
    seed: seed ?? options.seed,
    expected,
    agrees: agrees(expected, result.verdict),
    schedule: schedule && formatSchedule(schedule),
    link: schedule && studioLink(resolved, schedule),
    trace: trace && traceDocument(trace, replayCommand(resolved, result), statesAlong(resolved, schedule)),
  };
  const found =
    result.verdict === 'bounded'
      ? 'no violation found, which proves nothing'
      : `${result.verdict.toUpperCase()}: ${result.property ?? ''} (seed ${seed ?? options.seed})`;
  const lines = [
    found,
    `${result.runs} runs, ${result.steps} steps, ${result.seconds.toFixed(2)} s`,
    ...(coverage ? ['', ...coverageLines(result.coverage, null, columns)] : []),
  ];
  const shown = trace
    ? renderTrace('text', trace, { width: columns, expand, replayCommand: replayCommand(resolved, result) })
    : '';
  const link = schedule ? studioLine(resolved, schedule) : '';
  return { result, trace, document, text: `${shown}${lines.join('\n')}\n${link}` };
}
