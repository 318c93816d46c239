/** `shootdown mutate <scenario>`: which line is needed for what? */
import { availableParallelism } from 'node:os';
import { mutate, type Bounds, type JudgedMutant, type MutateResult } from '@shootdown/explorer';
import { formatMutation, formatSchedule } from '@shootdown/machine';
import { parseArguments, required, type Arguments } from '../arguments.ts';
import { exitCodeOf } from '../counterexample.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { interruption } from '../interrupt.ts';
import { mutationTable } from '../mutation-table.ts';
import { progressLine, Pulse } from '../progress.ts';
import { scenarioFlags, scenarioOf, scenarioWords, type RequestedScenario } from '../scenario-request.ts';

export const flags = {
  ...scenarioFlags,
  'max-states': { type: 'string', help: 'stop each search after so many states (default 5000000)' },
  'max-memory': { type: 'string', help: 'stop each search when the process takes more: MiB, or with a unit (2GiB)' },
  timeout: { type: 'string', help: 'stop each search after so many seconds' },
  workers: { type: 'string', help: 'threads (default: one per processor, at most 8)' },
  json: { type: 'boolean', help: 'print one JSON document' },
  help: { type: 'boolean', help: 'this text' },
} as const;

const WORKERS_MAX = 64;
const WORKERS_DEFAULT_MAX = 8;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'mutate <scenario, module or module#scenario> [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('mutate', argv, flags, 1);
  const name = required('mutate', args, 'a scenario');
  const bounds = boundsOf(args);
  const workers = args.whole('workers', 1, WORKERS_MAX) ?? Math.min(availableParallelism(), WORKERS_DEFAULT_MAX);
  const resolved = await scenarioOf('mutate', name, args);
  const { signal, ignore } = interruption();
  const pulse = new Pulse();
  let done = 'the code as it is';
  const began = performance.now();
  pulse.repeat(() => `${done}, ${((performance.now() - began) / 1000).toFixed(0)} s`);
  const result = await mutate(resolved.build(), {
    bounds: { ...resolved.scenario.bounds, ...bounds },
    workers,
    source: resolved.source,
    signal,
    onProgress: (progress) => (done = `the code as it is: ${progressLine(progress)}`),
    onJudged(judged, mutants, mutant) {
      done = `${judged} of ${mutants} judged`;
      pulse.clear();
      printProgress(judged, mutants, mutant);
    },
  });
  pulse.end();
  ignore();
  process.stdout.write(
    args.has('json') ? `${JSON.stringify(documentOf(resolved, result))}\n` : mutationTable(resolved, result),
  );
  return exitCode(result, signal.aborted);
}

function boundsOf(args: Arguments): Bounds {
  const maxStates = args.whole('max-states', 1);
  const timeoutSeconds = args.whole('timeout', 1);
  const maxMemoryBytes = args.bytes('max-memory');
  return {
    ...(maxStates === undefined ? {} : { maxStates }),
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
  };
}

function printProgress(judged: number, mutants: number, { line, mutation, judgement }: JudgedMutant): void {
  const { result, seconds } = judgement ?? { result: 'not judged', seconds: 0 };
  process.stderr.write(
    `${judged} of ${mutants}: ${line.routine}/${line.step}:${mutation.change}: ${result} (${seconds.toFixed(1)} s)\n`,
  );
}

function documentOf(resolved: RequestedScenario, { unchanged, mutants, seconds }: MutateResult): unknown {
  const { scenario, variant, memoryModel, parameters } = resolved;
  return {
    scenario: scenario.name,
    variant: variant.name,
    memoryModel,
    parameters,
    /** The verdict on the code as it is: unless it is safe, nothing is changed. */
    verdict: unchanged.verdict,
    complete: mutants.every(({ judgement }) => judgement !== null && judgement.result !== 'bounded'),
    seconds,
    mutants: mutants.map(({ line, mutation, judgement }) => ({
      routine: line.routine,
      step: line.step,
      change: mutation.change,
      result: judgement?.result ?? 'not judged',
      property: judgement?.property ?? null,
      schedule: judgement?.schedule ? formatSchedule(judgement.schedule) : null,
      kind: judgement?.kind ?? null,
      witnessGone: judgement?.witnessGone ?? false,
      text: line.text,
      next: mutation.change === 'swap-with-next' ? line.next : null,
      unmodelled: line.unmodelled,
      source: line.source,
      states: judgement?.states ?? 0,
      seconds: judgement?.seconds ?? 0,
      command: exploreCommand(resolved, line.routine, line.step, mutation.change),
    })),
  };
}

/** The command that searches a mutant again, and shows what breaks. */
function exploreCommand(resolved: RequestedScenario, routine: string, step: string, change: string): string {
  return `npx shootdown explore ${scenarioWords(resolved)} --mutate '${formatMutation({ routine, step, change })}'`;
}

function exitCode({ unchanged, mutants }: MutateResult, interrupted: boolean): number {
  if (interrupted) return ExitCode.interrupted;
  if (unchanged.verdict !== 'safe') return exitCodeOf(unchanged);
  return mutants.some(({ judgement }) => judgement?.result === 'bounded') ? ExitCode.bounded : ExitCode.ok;
}
