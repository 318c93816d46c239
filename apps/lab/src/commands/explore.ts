/** `shootdown explore <scenario>`: every interleaving, and a proof or the shortest counterexample. */
import { agrees, explore, type ExploreResult, type Progress } from '@shootdown/explorer';
import type { Trace } from '@shootdown/machine';
import { renderTrace, traceDocument, traceFormats } from '@shootdown/report';
import { parseArguments, required, type Arguments } from '../arguments.ts';
import { counterexample, exitCodeOf, replayCommand } from '../counterexample.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { scenarioFlags, scenarioOf, type RequestedScenario } from '../scenario-request.ts';
import { scenarios } from '../scenarios/index.ts';
import { formatSchedule, saveSchedule } from '../schedule-file.ts';
import { runFuzz } from './explore-fuzz.ts';

const flags = {
  ...scenarioFlags,
  'no-reduction': { type: 'boolean', help: 'explore every interleaving separately' },
  all: { type: 'boolean', help: 'go on past violations and count them' },
  search: { type: 'string', help: 'bfs (default, shortest counterexample) or dfs' },
  exact: { type: 'boolean', help: 'compare whole states instead of fingerprints' },
  'max-states': { type: 'string', help: 'stop after so many states' },
  'max-depth': { type: 'string', help: 'schedules of at most so many steps' },
  preemptions: { type: 'string', help: 'schedules of at most so many preemptions' },
  timeout: { type: 'string', help: 'stop after so many seconds' },
  workers: { type: 'string', help: 'threads (default 1)' },
  fuzz: { type: 'string', help: 'random or pct: sample schedules instead of exploring all' },
  seed: { type: 'string', help: 'fuzz: seed (default 1)' },
  runs: { type: 'string', help: 'fuzz: schedules to try (default 10000)' },
  format: { type: 'string', help: `counterexample as ${traceFormats.join(', ')} (default text)` },
  coverage: { type: 'boolean', help: 'list operations that were never performed' },
  'save-schedule': { type: 'string', help: 'write the counterexample to a file, for replay' },
  json: { type: 'boolean', help: 'print one JSON document' },
  help: { type: 'boolean', help: 'this text' },
} as const;

const WORKERS_MAX = 64;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, `explore <${scenarios.map((s) => s.name).join(' | ')} | module.js> [flags]`, flags)) return ExitCode.ok;
  const args = parseArguments('explore', argv, flags, 1);
  const resolved = await scenarioOf('explore', required('explore', args, 'a scenario'), args);
  const format = args.oneOf('format', traceFormats);
  const fuzzKind = args.oneOf('fuzz', ['random', 'pct'] as const);
  const interrupted = new AbortController();
  const onSignal = (): void => interrupted.abort();
  process.once('SIGINT', onSignal);
  if (fuzzKind !== undefined) {
    const code = await runFuzz(args, resolved, fuzzKind, interrupted.signal);
    process.off('SIGINT', onSignal);
    return code;
  }
  const result = await search(args, resolved, interrupted.signal);
  process.off('SIGINT', onSignal);
  const trace = result.schedule === null ? null : counterexample(resolved, result);
  const savePath = args.text('save-schedule');
  if (savePath !== undefined && result.schedule !== null) saveCounterexample(savePath, resolved, result, trace);
  if (args.has('json')) process.stdout.write(`${JSON.stringify(documentOf(resolved, result, trace))}\n`);
  else if (format !== undefined && format !== 'text') process.stdout.write(trace ? renderTrace(format, trace, { replayCommand: replayCommand(resolved, result) }) : '');
  else process.stdout.write(describe(resolved, result, trace, args.has('coverage')));
  return interrupted.signal.aborted && result.verdict === 'bounded' ? ExitCode.interrupted : exitCodeOf(result);
}

async function search(args: Arguments, resolved: RequestedScenario, signal: AbortSignal): Promise<ExploreResult> {
  const maxStates = args.whole('max-states', 1);
  const maxDepth = args.whole('max-depth', 1);
  const preemptions = args.whole('preemptions', 0);
  const timeoutSeconds = args.whole('timeout', 1);
  const { scenario } = resolved;
  return await explore(resolved.build(), {
    search: args.oneOf('search', ['bfs', 'dfs'] as const) ?? 'bfs',
    reduction: !args.has('no-reduction'),
    exact: args.has('exact'),
    all: args.has('all') || scenario.all === true,
    workers: args.whole('workers', 1, WORKERS_MAX) ?? 1,
    source: resolved.source,
    bounds: {
      ...scenario.bounds,
      ...(maxStates === undefined ? {} : { maxStates }),
      ...(maxDepth === undefined ? {} : { maxDepth }),
      ...(preemptions === undefined ? {} : { preemptions }),
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    },
    signal,
    onProgress: printProgress,
  });
}

/** One line on stderr. */
function printProgress(p: Progress): void {
  process.stderr.write(`${p.states} states, ${Math.round(p.statesPerSecond / 1000)} k/s, depth ${p.depth}, queue ${p.queue}\n`);
}

function saveCounterexample(path: string, resolved: RequestedScenario, result: ExploreResult, trace: Trace | null): void {
  const { typed, variant, memoryModel, parameters } = resolved;
  saveSchedule(path, {
    shootdown: 1,
    scenario: { name: typed, variant: variant.name, memoryModel, parameters },
    schedule: formatSchedule(result.schedule ?? []),
    ...(trace === null ? {} : { fingerprint: trace.fingerprint }),
  });
}

function documentOf(resolved: RequestedScenario, result: ExploreResult, trace: Trace | null): unknown {
  const { schedule, coverage, ...rest } = result;
  return {
    scenario: resolved.scenario.name,
    variant: resolved.variant.name,
    memoryModel: resolved.memoryModel,
    parameters: resolved.parameters,
    ...rest,
    expected: resolved.expected,
    agrees: agrees(resolved.expected, result.verdict),
    schedule: schedule === null ? null : formatSchedule(schedule),
    trace: trace === null ? null : traceDocument(trace, replayCommand(resolved, result)),
    coverage,
  };
}

/** The verdict and what it rests on, for people. */
function describe(resolved: RequestedScenario, result: ExploreResult, trace: Trace | null, coverage: boolean): string {
  const { scenario, variant, memoryModel } = resolved;
  const lines = [`${scenario.name} / ${variant.name} on ${memoryModel}: ${variant.summary}`, ''];
  if (trace) lines.push(renderTrace('text', trace, { replayCommand: replayCommand(resolved, result) }));
  lines.push(verdictLine(result));
  const expected = agrees(resolved.expected, result.verdict);
  if (expected !== null) lines.push(`${expected ? 'as expected' : `NOT as expected (${resolved.expected})`}: ${variant.source}`);
  lines.push('', ...coveredLines(result));
  for (const { name, witnessed } of result.sometimes) lines.push(`sometimes: ${name}: ${witnessed ? 'yes' : result.complete ? 'NO' : 'not seen before the search ended'}`);
  if (coverage) lines.push('', ...JSON.stringify(result.coverage, null, 2).split('\n'));
  return `${lines.join('\n')}\n`;
}

function verdictLine(result: ExploreResult): string {
  switch (result.verdict) {
    case 'safe':
      return 'SAFE: no interleaving violates a property';
    case 'deadlock':
      return 'DEADLOCK';
    case 'violation':
      return `VIOLATION: ${result.property ?? ''}`;
    case 'bounded':
      return `BOUNDED: no violation within bounds (stopped by ${result.stoppedBy ?? 'its bounds'})`;
  }
}

function coveredLines(result: ExploreResult): string[] {
  const { states, transitions, depth, complete, seconds, interleavings, collisionOdds } = result;
  const lines = [`${states} states, ${transitions} transitions, depth ${depth}, ${complete ? 'complete' : 'not complete'}, ${seconds.toFixed(2)} s`];
  if (interleavings !== null) lines.push(`${interleavings} interleavings`);
  if (result.violatingTransitions > 0) lines.push(`${result.violatingTransitions} violating transitions`);
  lines.push(result.exact ? 'whole states compared' : `two states share a fingerprint with probability ${collisionOdds.toExponential(1)}`);
  lines.push(`reduction ${result.reduction ? 'on' : 'off'}, ${result.workers} worker${result.workers === 1 ? '' : 's'}`);
  return lines;
}
