/** `shootdown check <module or scenario>`: every variant on every memory model that something is expected of it on. */
import {
  agrees,
  expectedVerdict,
  explore,
  type ExpectedVerdict,
  type Scenario,
  type Verdict,
} from '@shootdown/explorer';
import { ModelError, type MemoryModel } from '@shootdown/machine';
import { parseArguments, required } from '../arguments.ts';
import type { Replacement } from '../c-files.ts';
import { isUserError, oneLine } from '../errors.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { interruption } from '../interrupt.ts';
import { besides, pctFlag } from '../pct.ts';
import { progressLine, Pulse } from '../progress.ts';
import {
  replacedLine,
  replaceFlags,
  replacementOf,
  requestedScenario,
  scenarioTyped,
  scenariosNamed,
  type RequestedScenario,
} from '../scenario-request.ts';
import { paint } from '../terminal.ts';

export const flags = {
  variant: { type: 'string', help: 'this variant only' },
  'memory-model': { type: 'string', values: ['sc', 'tso', 'arm'], help: 'this memory model only' },
  'max-states': { type: 'string', help: 'stop each search after so many states' },
  'max-memory': { type: 'string', help: 'stop each search when the process takes more: MiB, or with a unit (2GiB)' },
  timeout: { type: 'string', help: 'stop each search after so many seconds' },
  workers: { type: 'string', help: 'threads (default 1)' },
  ...pctFlag,
  ...replaceFlags,
  json: { type: 'boolean', help: 'print one JSON document' },
  help: { type: 'boolean', help: 'this text' },
} as const;

const WORKERS_MAX = 64;
/** A longer name has a line of its own: rows fit 100 columns. */
const NAME_WIDTH_MAX = 50;

/** One verdict that somebody expects. */
interface Expectation {
  readonly scenario: Scenario;
  readonly variant: string;
  readonly memoryModel: MemoryModel;
  readonly expected: ExpectedVerdict;
  /** With the routines of `--replace`; left out: as it ships. */
  readonly resolved?: RequestedScenario;
}

/** What came of it. */
interface Checked {
  readonly scenario: string;
  readonly variant: string;
  readonly memoryModel: MemoryModel;
  readonly expected: ExpectedVerdict;
  readonly verdict: Verdict;
  readonly agrees: boolean | null;
  /** Routines of `--replace` that took the place of the variant's. */
  readonly replaced?: readonly string[];
  readonly property: string | null;
  /** The search, or PCT beside it. */
  readonly foundBy: 'search' | 'pct' | null;
  readonly states: number;
  readonly seconds: number;
}

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'check <module, module#scenario or scenario> [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('check', argv, flags, 1);
  const typed = required('check', args, 'a module or scenario');
  const model = args.oneOf('memory-model', ['sc', 'tso', 'arm'] as const);
  const [maxStates, timeoutSeconds] = [args.whole('max-states', 1), args.whole('timeout', 1)];
  const maxMemoryBytes = args.bytes('max-memory');
  const workers = args.whole('workers', 1, WORKERS_MAX) ?? 1;
  const variant = args.text('variant');
  if (variant !== undefined)
    for (const scenario of await scenariosNamed(typed))
      await requestedScenario(scenarioTyped(typed, scenario), { variant });
  const scenarios = await scenariosNamed(typed);
  const wanted = scenarios
    .flatMap((scenario) => expectationsOf(scenario, model))
    .filter((one) => (variant ?? one.variant) === one.variant);
  if (wanted.length === 0)
    throw new ModelError(
      `check: ${typed}: no variant says what is expected${model === undefined ? '' : ` on ${model}`}: ` +
        `write expected: { ${model ?? 'sc'}: 'safe' }`,
    );
  const replacement = replacementOf(args);
  const expectations = await withRoutines(wanted, typed, replacement);
  const { signal, ignore } = interruption();
  const rows: Checked[] = [];
  const [first] = expectations;
  if (replacement && first?.resolved && !args.has('json'))
    process.stdout.write(`${replacedLine(first.resolved.replaced, replacement)}\n\n`);
  const print = args.has('json') ? () => undefined : printer(expectations);
  const pulse = new Pulse();
  let doing = '';
  pulse.repeat(() => `${rows.length + 1} of ${expectations.length}: ${doing}`);
  for (const { scenario, expected, resolved: patched, ...named } of expectations) {
    if (signal.aborted) break;
    const what = oneLine(`${scenario.name} / ${named.variant} on ${named.memoryModel}`);
    doing = what;
    const resolved = patched ?? (await requestedScenario(scenarioTyped(typed, scenario), named));
    const result = await explore(resolved.build(), {
      all: scenario.all === true,
      source: resolved.source,
      fresh: resolved.fresh,
      workers,
      ...besides(args, workers),
      bounds: {
        ...scenario.bounds,
        ...(maxStates === undefined ? {} : { maxStates }),
        ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
        ...(maxMemoryBytes === undefined ? {} : { maxMemoryBytes }),
      },
      // Nobody is told how many interleavings there are: counting them is a second search.
      interleavingsStatesMax: 0,
      signal,
      onProgress: (progress) => (doing = `${what}: ${progressLine(progress)}`),
    });
    const { verdict, property, states, seconds, foundBy } = result;
    if (signal.aborted && verdict === 'bounded') break;
    const row = {
      scenario: scenario.name,
      ...named,
      expected,
      verdict,
      agrees: agrees(expected, verdict),
      ...(patched && { replaced: patched.replaced }),
      property,
      foundBy,
      states,
      seconds,
    };
    rows.push(row);
    pulse.clear();
    print(row);
  }
  pulse.end();
  ignore();
  const left = expectations.length - rows.length;
  if (args.has('json')) process.stdout.write(`${JSON.stringify(rows)}\n`);
  else process.stdout.write(`${summary(rows, left)}${model === undefined ? notOnArm(scenarios, variant) : ''}`);
  return left > 0 ? ExitCode.interrupted : exitCodeOfAll(rows);
}

/**
 * The expectations of those variants that have the routines of a file, which are to give the same verdicts. Says which
 * others there are; throws what is wrong if no variant has them.
 */
async function withRoutines(
  expectations: readonly Expectation[],
  typed: string,
  replacement: Replacement | undefined,
): Promise<readonly Expectation[]> {
  if (!replacement) return expectations;
  const left = new Map<string, Error>();
  const patched: Expectation[] = [];
  for (const one of expectations) {
    const { scenario, variant, memoryModel } = one;
    try {
      const request = { variant, memoryModel, replacement };
      patched.push({ ...one, resolved: await requestedScenario(scenarioTyped(typed, scenario), request) });
    } catch (error) {
      if (!isUserError(error)) throw error;
      left.set(`${scenario.name} / ${variant}`, error);
    }
  }
  const [error] = left.values();
  if (patched.length === 0 && error !== undefined) throw error;
  for (const [name, why] of left) process.stderr.write(`left out: ${name}: ${oneLine(why.message)}\n`);
  return patched;
}

/** A verdict that names no memory model was looked at on `sc` and `tso`, or on the one that its variant is about. */
function expectationsOf(scenario: Scenario, wanted: MemoryModel | undefined): Expectation[] {
  return scenario.variants.flatMap((variant) => {
    const { name, expected, memoryModel } = variant;
    const all: readonly MemoryModel[] = memoryModel === 'arm' ? ['arm'] : ['sc', 'tso'];
    const own = typeof expected === 'string' ? all : (Object.keys(expected) as MemoryModel[]);
    const models = wanted === undefined ? own : [wanted];
    return models.flatMap((model) => {
      const verdict = expectedVerdict(variant, model);
      return verdict === null ? [] : [{ scenario, variant: name, memoryModel: model, expected: verdict }];
    });
  });
}

function exitCodeOfAll(rows: readonly Checked[]): number {
  if (rows.some((row) => row.agrees === false)) return ExitCode.violation;
  return rows.some((row) => row.verdict === 'bounded') ? ExitCode.bounded : ExitCode.ok;
}

/** Prints rows as they come, in columns wide enough for all of them. */
function printer(expectations: readonly Expectation[]): (row: Checked) => void {
  const name = (row: { readonly scenario: string; readonly variant: string }): string =>
    oneLine(`${row.scenario} / ${row.variant}`);
  const names = expectations.map(({ scenario, variant }) => name({ scenario: scenario.name, variant }).length);
  const wide = Math.min(NAME_WIDTH_MAX, Math.max('variant'.length, ...names));
  const line = (cells: readonly string[]): string =>
    `${[(cells[0] ?? '').padEnd(wide), (cells[1] ?? '').padEnd(5), (cells[2] ?? '').padEnd(9), (cells[3] ?? '').padEnd(9), (cells[4] ?? '').padStart(9), (cells[5] ?? '').padStart(8)].join('  ')}`;
  process.stdout.write(`${line(['variant', 'model', 'expected', 'got', 'states', 'seconds'])}\n`);
  return (row) => {
    const [title, beside] = name(row).length > wide ? [`${name(row)}\n`, ''] : ['', name(row)];
    const cells = line([
      beside,
      row.memoryModel,
      row.expected,
      row.verdict,
      String(row.states),
      row.seconds.toFixed(2),
    ]);
    const text = `${title}${cells}`;
    const property = row.agrees === false && row.property !== null ? `  ${oneLine(row.property)}` : '';
    const by = row.foundBy === 'pct' ? '  found by PCT' : '';
    process.stdout.write(`${row.agrees === true ? text : paint.red(`${text}${property}`)}${by}\n`);
  };
}

function summary(rows: readonly Checked[], left: number): string {
  const wrong = rows.filter((row) => row.agrees === false).length;
  const bounded = rows.filter((row) => row.verdict === 'bounded').length;
  const parts = [`${rows.length - wrong - bounded} as expected`, `${wrong} not`, `${bounded} bounded`];
  if (left > 0) parts.push(`interrupted, ${left} not looked at`);
  return `\n${parts.join(', ')}\n`;
}

/** Verdicts in one word are none on `arm`: who wrote them might take the model for checked. */
function notOnArm(scenarios: readonly Scenario[], asked: string | undefined): string {
  const variants = scenarios.flatMap((scenario) => scenario.variants).filter(({ name }) => (asked ?? name) === name);
  const silent = variants.filter((variant) => expectedVerdict(variant, 'arm') === null).length;
  if (silent === 0) return '';
  const who = silent === 1 ? '1 variant names' : `${silent} variants name`;
  return `not on arm: ${who} no verdict for it\n`;
}
