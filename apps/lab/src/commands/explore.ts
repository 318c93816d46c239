/** `shootdown explore <scenario>`: every interleaving, and a proof or the shortest counterexample. */
import { agrees, counterexample, explore, type ExploreOptions, type ExploreResult } from '@shootdown/explorer';
import { formatSchedule, type Trace } from '@shootdown/machine';
import { renderTrace, traceDocument, traceFormats } from '@shootdown/report';
import { parseArguments, required, type Arguments } from '../arguments.ts';
import { exitCodeOf, replayCommand } from '../counterexample.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { tellHost } from '../host-link.ts';
import { interruption } from '../interrupt.ts';
import { besides, pctFlag } from '../pct.ts';
import { progressLine, Pulse } from '../progress.ts';
import { sayUncalled } from '../replacement.ts';
import { statesAlong } from '../states-along.ts';
import { expandFlag, paint, proseWidth, width, widthFlag, wrapped } from '../terminal.ts';
import { studioLine, studioLink } from '../studio-link.ts';
import { coveredLines, verdictLine } from '../verdict.ts';
import { oneLine } from '../errors.ts';
import {
  headingOf,
  asksForBothSides,
  mutateFlag,
  replacedLine,
  savedScenario,
  scenarioFlags,
  scenarioOf,
  withMutations,
  type RequestedScenario,
} from '../scenario-request.ts';
import { scheduleTarget, type ScheduleTarget } from '../schedule-file.ts';
import { coverageLines } from './coverage-lines.ts';
import { fuzzOptions, sample } from './explore-fuzz.ts';
import { exploreBothSides } from './explore-sides.ts';

export const flags = {
  ...scenarioFlags,
  ...mutateFlag,
  'no-reduction': { type: 'boolean', help: 'explore every interleaving separately' },
  all: { type: 'boolean', help: 'go on past violations and count them' },
  search: { type: 'string', values: ['bfs', 'dfs'], help: 'bfs (default, shortest counterexample) or dfs' },
  exact: { type: 'boolean', help: 'compare whole states instead of fingerprints' },
  'max-states': { type: 'string', help: 'stop after so many states' },
  'max-memory': { type: 'string', help: 'stop when the process takes more: MiB, or with a unit (2GiB)' },
  'max-depth': { type: 'string', help: 'schedules of at most so many steps' },
  preemptions: { type: 'string', help: 'schedules of at most so many preemptions' },
  timeout: { type: 'string', help: 'stop after so many seconds' },
  'verify-points': { type: 'boolean', help: 'run all routines again and compare, not a share of them' },
  workers: { type: 'string', help: 'threads (default 1)' },
  ...pctFlag,
  fuzz: {
    type: 'string',
    values: ['random', 'pct'],
    help: 'random or pct: sample schedules (of at most --max-depth steps) instead of exploring all',
  },
  seed: { type: 'string', help: 'fuzz: seed (default 1)' },
  runs: { type: 'string', help: 'fuzz: schedules to try (default 10000)' },
  format: { type: 'string', values: traceFormats, help: `counterexample as ${traceFormats.join(', ')} (default text)` },
  coverage: { type: 'boolean', help: 'say by routine what was performed and what never was' },
  'save-schedule': { type: 'string', help: 'write the counterexample to a file, for replay' },
  ...widthFlag,
  ...expandFlag,
  json: { type: 'boolean', help: 'print one JSON document' },
  help: { type: 'boolean', help: 'this text' },
} as const;

const WORKERS_MAX = 64;
/** Of a counterexample that goes into a mail. */
const WIDTH = 76;
/** Continuation lines of a sentence. */
const HANG = 2;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'explore <scenario, module or module#scenario> [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('explore', argv, flags, 1);
  const fuzzKind = args.oneOf('fuzz', ['random', 'pct'] as const);
  refuseWhatDoesNotGoTogether(args, fuzzKind !== undefined);
  const format = args.oneOf('format', traceFormats);
  const name = required('explore', args, 'a scenario');
  const [options, sampling] = [searchOptions(args), fuzzOptions(args)];
  const shown = {
    coverage: args.has('coverage'),
    columns: width(args, WIDTH),
    prose: proseWidth(args),
    expand: args.has('expand'),
  };
  const { signal, ignore } = interruption();
  const find = (of: RequestedScenario): Promise<Found> =>
    fuzzKind === undefined
      ? searchAll(of, options, signal, shown)
      : sample(of, { ...sampling, kind: fuzzKind }, signal, shown);
  if (asksForBothSides(args)) return await exploreBothSides(name, args, find);
  const resolved = await withMutations(await scenarioOf('explore', name, args), args.texts('mutate'));
  const savePath = args.text('save-schedule');
  const target = savePath === undefined ? null : scheduleTarget(savePath);
  tellHost({ type: 'searching', searching: { ...questionOf(resolved), json: args.has('json') } });
  const found = await find(resolved);
  ignore();
  const { result, trace } = found;
  if (args.has('json')) process.stdout.write(`${JSON.stringify(found.document)}\n`);
  else if (format === undefined || format === 'text') process.stdout.write(found.text);
  else if (trace) process.stdout.write(renderTrace(format, trace, { replayCommand: replayCommand(resolved, result) }));
  else process.stderr.write(`no counterexample to print as ${format}: ${result.verdict}\n`);
  if ((options.workers ?? 1) === 1) sayUncalled(resolved);
  if (target && result.schedule !== null) saveCounterexample(target, resolved, result.schedule, trace);
  else if (target) process.stderr.write(`no counterexample to save: ${result.verdict}\n`);
  return signal.aborted && result.verdict === 'bounded' ? ExitCode.interrupted : exitCodeOf(result);
}

function refuseWhatDoesNotGoTogether(args: Arguments, fuzzing: boolean): void {
  if (fuzzing)
    args.refuse(
      [
        'no-reduction',
        'all',
        'search',
        'exact',
        'max-states',
        'max-memory',
        'preemptions',
        'workers',
        'verify-points',
        'no-pct',
      ],
      'does not go with --fuzz, which tries one schedule after another',
    );
  else args.refuse(['seed', 'runs'], 'belongs to --fuzz');
  if (args.text('search') === 'dfs')
    args.refuse(['exact', 'max-depth', 'preemptions', 'workers'], 'does not go with --search dfs: use bfs');
  if (args.has('exact') && (args.whole('workers', 1) ?? 1) > 1)
    args.refuse(['exact'], 'does not go with several workers: use one');
}

function questionOf({ scenario, variant, memoryModel, parameters, expected }: RequestedScenario) {
  return { scenario: scenario.name, variant: variant.name, memoryModel, parameters, expected };
}

/** What is printed for people, and how wide. */
export interface Shown {
  readonly coverage: boolean;
  readonly columns: number;
  /** Of sentences: infinite where nobody has asked for a width. */
  readonly prose: number;
  /** Every step. */
  readonly expand: boolean;
}

/** What either way of searching has found. */
export interface Found {
  readonly result: Pick<ExploreResult, 'verdict' | 'property' | 'kind' | 'schedule'>;
  readonly trace: Trace | null;
  readonly text: string;
  readonly document: unknown;
}

async function searchAll(
  resolved: RequestedScenario,
  options: ExploreOptions,
  signal: AbortSignal,
  shown: Shown,
): Promise<Found> {
  const result = await search(resolved, options, signal);
  const trace = result.schedule === null ? null : counterexample(resolved, result);
  return {
    result,
    trace,
    text: describe(resolved, result, trace, shown),
    document: documentOf(resolved, result, trace),
  };
}

/** The flags of a search, all checked before there is anything to search. */
function searchOptions(args: Arguments): ExploreOptions {
  const maxStates = args.whole('max-states', 1);
  const maxMemoryBytes = args.bytes('max-memory');
  const maxDepth = args.whole('max-depth', 1);
  const preemptions = args.whole('preemptions', 0);
  const timeoutSeconds = args.whole('timeout', 1);
  const workers = args.whole('workers', 1, WORKERS_MAX) ?? 1;
  return {
    search: args.oneOf('search', ['bfs', 'dfs'] as const) ?? 'bfs',
    ...besides(args, workers),
    // Left to the explorer otherwise: it does without where that is cheaper.
    ...(args.has('no-reduction') && { reduction: false }),
    exact: args.has('exact'),
    all: args.has('all'),
    verifyPoints: args.has('verify-points'),
    workers,
    bounds: {
      ...(maxStates === undefined ? {} : { maxStates }),
      ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
      ...(maxDepth === undefined ? {} : { maxDepth }),
      ...(preemptions === undefined ? {} : { preemptions }),
      ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
    },
  };
}

async function search(
  resolved: RequestedScenario,
  options: ExploreOptions,
  signal: AbortSignal,
): Promise<ExploreResult> {
  const { scenario } = resolved;
  const pulse = new Pulse();
  const system = resolved.build();
  tellHost({ type: 'built' });
  const result = await explore(system, {
    ...options,
    all: options.all === true || scenario.all === true,
    source: resolved.source,
    fresh: resolved.fresh,
    bounds: { ...scenario.bounds, ...options.bounds },
    signal,
    onProgress(progress) {
      tellHost({ type: 'progress', progress });
      pulse.say(progressLine(progress));
    },
  });
  pulse.end();
  return result;
}

function saveCounterexample(
  target: ScheduleTarget,
  resolved: RequestedScenario,
  schedule: readonly number[],
  trace: Trace | null,
): void {
  target.write({
    shootdown: 1,
    scenario: savedScenario(resolved),
    schedule: formatSchedule(schedule),
    ...(trace === null ? {} : { fingerprint: trace.fingerprint }),
  });
}

function documentOf(resolved: RequestedScenario, result: ExploreResult, trace: Trace | null): unknown {
  const { schedule, coverage, scope, ...rest } = result;
  return {
    scenario: resolved.scenario.name,
    variant: resolved.variant.name,
    memoryModel: resolved.memoryModel,
    parameters: resolved.parameters,
    ...(resolved.replacement === null ? {} : { replaced: resolved.replaced }),
    ...rest,
    expected: resolved.expected,
    agrees: agrees(resolved.expected, result.verdict),
    schedule: schedule === null ? null : formatSchedule(schedule),
    link: schedule === null ? null : studioLink(resolved, schedule),
    sometimes: result.sometimes.map((witness) => ({
      ...witness,
      schedule: witness.schedule === null ? null : formatSchedule(witness.schedule),
    })),
    trace:
      trace === null ? null : traceDocument(trace, replayCommand(resolved, result), statesAlong(resolved, schedule)),
    coverage,
    ...scope,
  };
}

/** The verdict and what it rests on, for people. */
function describe(
  resolved: RequestedScenario,
  result: ExploreResult,
  trace: Trace | null,
  { coverage, columns, prose, expand }: Shown,
): string {
  const { variant, memoryModel } = resolved;
  const lines: string[] = [];
  const say = (...texts: readonly string[]): void =>
    void lines.push(...texts.flatMap((text) => wrapped('', HANG, text, prose)));
  say(headingOf(resolved));
  if (resolved.replacement !== null) say(replacedLine(resolved.replaced, resolved.replacement));
  for (const mutation of resolved.mutations ?? []) say(`with one line changed: ${mutation}`);
  lines.push('');
  if (trace) {
    const replay = replayCommand(resolved, result);
    lines.push(renderTrace('text', trace, { width: columns, expand, replayCommand: replay }));
  }
  say(painted(result.verdict, verdictLine(result, memoryModel)));
  const expected = agrees(resolved.expected, result.verdict);
  if (expected !== null)
    say(`${expected ? 'as expected' : `NOT as expected (${resolved.expected})`}: ${oneLine(String(variant.source))}`);
  lines.push('');
  say(...coveredLines(result));
  for (const { name, witnessed } of result.sometimes)
    say(`sometimes: ${name}: ${witnessed ? 'yes' : result.complete ? 'NO' : 'not seen before the search ended'}`);
  if (coverage) lines.push('', ...coverageLines(result.coverage, result.scope, columns));
  return `${lines.join('\n')}\n${result.schedule === null ? '' : studioLine(resolved, result.schedule)}`;
}

function painted(verdict: ExploreResult['verdict'], line: string): string {
  if (verdict === 'bounded') return paint.yellow(line);
  return verdict === 'safe' ? paint.green(line) : paint.red(line);
}
