/** `shootdown explore --fuzz`: random schedules of the same model, for spaces too big to search. It proves nothing. */
import { fuzz } from '@shootdown/explorer';
import { renderTrace, traceDocument } from '@shootdown/report';
import type { Arguments } from '../arguments.ts';
import { counterexample, exitCodeOf, replayCommand } from '../counterexample.ts';
import { ExitCode } from '../exit-codes.ts';
import type { RequestedScenario } from '../scenario-request.ts';
import { formatSchedule } from '../schedule-file.ts';

const RUNS_DEFAULT = 10_000;
const STEPS_MAX_DEFAULT = 10_000;

/** Fuzzes, prints the result, and returns the exit code. */
export async function runFuzz(args: Arguments, resolved: RequestedScenario, kind: 'random' | 'pct', signal: AbortSignal): Promise<number> {
  const timeoutSeconds = args.whole('timeout', 1);
  const result = await fuzz(resolved.build(), {
    kind,
    seed: args.whole('seed', 0) ?? 1,
    runs: args.whole('runs', 1) ?? RUNS_DEFAULT,
    stepsMax: args.whole('max-depth', 1) ?? STEPS_MAX_DEFAULT,
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    signal,
    onProgress: (p) => void process.stderr.write(`${p.states} steps, ${p.queue} runs to go\n`),
  });
  const trace = result.schedule === null ? null : counterexample(resolved, result);
  const { scenario, variant, memoryModel, parameters, expected } = resolved;
  if (args.has('json')) {
    const { schedule, ...rest } = result;
    const document = { scenario: scenario.name, variant: variant.name, memoryModel, parameters, ...rest, expected };
    process.stdout.write(`${JSON.stringify({ ...document, schedule: schedule && formatSchedule(schedule), trace: trace && traceDocument(trace, replayCommand(resolved, result)) })}\n`);
  } else {
    if (trace) process.stdout.write(renderTrace('text', trace, { replayCommand: replayCommand(resolved, result) }));
    const found = result.verdict === 'bounded' ? 'no violation found, which proves nothing' : `${result.verdict.toUpperCase()}: ${result.property ?? ''} (seed ${result.seed ?? 0})`;
    process.stdout.write(`${found}\n${result.runs} runs, ${result.steps} steps, ${result.seconds.toFixed(2)} s\n`);
  }
  return signal.aborted && result.verdict === 'bounded' ? ExitCode.interrupted : exitCodeOf(result);
}
