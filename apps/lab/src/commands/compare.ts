/**
 * `shootdown compare <scenario>` or `shootdown compare <machine or scenario> <machine or scenario> ...`: what each
 * design costs; with `--replace`, what a patch of one costs.
 */
import { basename, dirname } from 'node:path';
import { textTable } from '@shootdown/report';
import {
  comparisonDocument,
  comparisons,
  patchedComparisons,
  markdownOf,
  tableOf,
  type Comparison,
  type ComparisonRow,
  type EachRow,
  type Patch,
} from '@shootdown/scenarios';
import { MachineRunner, type MachineRun } from '@shootdown/topology';
import { parseArguments, UsageError, type Arguments } from '../arguments.ts';
import { ExitCode, exitCodeOfRun } from '../exit-codes.ts';
import { failedAccesses } from '../failures.ts';
import { printedHelp } from '../help.ts';
import { rowsUntilInterrupted, untilDoneOrInterrupted } from '../interrupt.ts';
import { namesFile } from '../machines.ts';
import { Pulse } from '../progress.ts';
import { isPlaced, runPlaced } from '../run-placed.ts';
import { sayUncalled } from '../replacement.ts';
import { runTarget, type RunTarget } from '../run-target.ts';
import { namesScenario, replacementOf, requestedScenario, scenarioFlags } from '../scenario-request.ts';

export const flags = {
  json: { type: 'boolean', help: 'print one JSON document' },
  markdown: { type: 'boolean', help: 'print a Markdown table' },
  ...scenarioFlags,
  help: { type: 'boolean', help: 'this text' },
} as const;

const MACHINES_MAX = 16;
const WIDTH = 110;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, `compare <${Object.keys(comparisons).join(' | ')}> or two or more topologies or demos`, flags))
    return ExitCode.ok;
  const args = parseArguments('compare', argv, flags, MACHINES_MAX);
  if (args.has('json')) args.refuse(['markdown'], 'does not go with --json');
  const names = args.positionals;
  if (names.length === 0) throw new UsageError('shootdown compare: a scenario or topologies are missing');
  const [first = ''] = names;
  const prepared = Object.hasOwn(comparisons, first) ? comparisons[first] : undefined;
  if (prepared && names.length > 1)
    throw new UsageError(`shootdown compare: ${first} is compared alone (${names[1] ?? ''})`);
  if (!prepared && names.length < 2 && args.text('replace') === undefined) {
    throw new UsageError(
      `shootdown compare: expected two or more machines, or one of ${Object.keys(comparisons).join(', ')} (${first})`,
    );
  }
  const { comparison, code } = prepared
    ? await comparePrepared(first, prepared, await patchOf(first, args))
    : await compareMachines(names, args);
  const interrupted = code === ExitCode.interrupted;
  const shown = interrupted
    ? { ...comparison, notes: ['Interrupted: rows are missing.', ...comparison.notes] }
    : comparison;
  if (args.has('json')) process.stdout.write(`${JSON.stringify(comparisonDocument(shown))}\n`);
  else process.stdout.write(args.has('markdown') ? markdownOf(shown) : textOf(shown));
  return code;
}

/** A comparison, whole or not, and the exit code it is worth. */
interface Compared {
  readonly comparison: Comparison;
  readonly code: number;
}

/** The patch that a prepared comparison is to have a row for. */
async function patchOf(name: string, args: Arguments): Promise<Patch | undefined> {
  args.refuse(['memory-model', 'set'], `does not go with ${name}: its machines are of a size of their own`);
  const replacement = replacementOf(args);
  if (!replacement) {
    args.refuse(['variant'], 'goes with --replace: all designs are compared');
    return undefined;
  }
  const scenario = patchedComparisons[name];
  if (scenario === undefined)
    throw new UsageError(
      `shootdown compare: --replace goes with ${Object.keys(patchedComparisons).join(', ')}, machines and other scenarios (${name})`,
    );
  // Said before anything is measured, and for the sizes of the scenario.
  const { variant } = await requestedScenario(scenario, { variant: args.text('variant'), replacement });
  return {
    name: `${variant.name} with ${basename(replacement.path)}`,
    variant: variant.name,
    routines: async (parameters) =>
      (await requestedScenario(scenario, { variant: variant.name, parameters, replacement })).routines,
  };
}

async function comparePrepared(
  name: string,
  compare: (each: EachRow, patch?: Patch) => Promise<Comparison>,
  patch: Patch | undefined,
): Promise<Compared> {
  const pulse = new Pulse();
  const { each, signal, ignore } = rowsUntilInterrupted((row, rows) => pulse.say(`${name}: row ${row} of ${rows}`));
  const comparison = await compare(each, patch);
  pulse.end();
  ignore();
  return { comparison, code: signal.aborted ? ExitCode.interrupted : ExitCode.ok };
}

function textOf(comparison: Comparison): string {
  const notes = comparison.notes.map((note) => `- ${note}\n`).join('');
  const tables = [comparison, ...(comparison.more ?? [])].map(
    (table) => `${table.title}\n\n${textTable(tableOf(table), { width: WIDTH })}\n`,
  );
  return `${tables.join('')}${notes}`;
}

const PORTION_STEPS = 5_000;

/** One that is compared, and the folder of its file. */
interface Target extends RunTarget {
  readonly folder: string | undefined;
}

/** What is run: every machine or scenario as it ships and, if there is a patch, with it. */
async function targetsOf(names: readonly string[], args: Arguments): Promise<Target[]> {
  const replacement = replacementOf(args);
  const targets: Target[] = [];
  for (const name of names) {
    const folder = namesFile(name) ? dirname(name) : undefined;
    const shipped = await runTarget('compare', name, args, null);
    targets.push({ ...shipped, folder, ...(!(await namesScenario(name)) && { name }) });
    if (!replacement) continue;
    if (shipped.assembled && isPlaced(shipped.assembled.topology))
      throw new UsageError(`shootdown compare: --replace does not go with a machine that runs in parts (${name})`);
    const patched = await runTarget('compare', name, args, replacement);
    targets.push({ ...patched, folder, name: `${shipped.name} with ${basename(replacement.path)}` });
  }
  return targets;
}

async function compareMachines(names: readonly string[], args: Arguments): Promise<Compared> {
  // A mistake in the last machine is said before the first one runs.
  const machines = await targetsOf(names, args);
  const rows: ComparisonRow[] = [];
  let code: number = ExitCode.ok;
  for (const target of machines) {
    const { run, interrupted } = await runOf(target);
    if (interrupted) {
      code = ExitCode.interrupted;
      break;
    }
    sayUncalled(target);
    rows.push(rowOf(target.name, run));
    code = Math.max(code, exitCodeOfRun(run));
  }
  return { code, comparison: comparisonOf(names, rows) };
}

/** Runs one, in parts if it has them. */
async function runOf({ name, machine, assembled, folder }: Target): Promise<{ run: MachineRun; interrupted: boolean }> {
  if (assembled && isPlaced(assembled.topology)) return await runPlaced(assembled.topology, undefined, 0, folder);
  const runner = new MachineRunner(machine);
  const pulse = new Pulse();
  const interrupted = await untilDoneOrInterrupted(() => {
    const more = runner.advance(PORTION_STEPS);
    if (more) pulse.beat(() => `${name}: ${runner.steps} steps`);
    return more;
  });
  pulse.end();
  return { run: runner.result(), interrupted };
}

function rowOf(name: string, run: MachineRun): ComparisonRow {
  const total = (counter: string): number => (run.total[counter] ?? []).reduce((a, b) => a + b, 0);
  return {
    variant: name,
    end: run.end,
    failedAccesses: failedAccesses(run),
    microseconds: run.nanoseconds / 1000,
    ipis: total('irq_tlb_count'),
    fullFlushes: total('nr_tlb_local_flush_all') + total('tlbi_aside1is'),
    pageFlushes: total('nr_tlb_local_flush_one') + total('tlbi_va'),
    faults: total('pgfault'),
    walks: total('tlb_miss'),
    exits: sumOf(run, (counter) => counter.startsWith('exits')),
  };
}

function sumOf(run: MachineRun, wanted: (counter: string) => boolean): number {
  const rows = Object.entries(run.total).filter(([counter]) => wanted(counter));
  return rows.reduce((sum, [, row]) => sum + row.reduce((a, b) => a + b, 0), 0);
}

function comparisonOf(names: readonly string[], rows: readonly ComparisonRow[]): Comparison {
  return {
    name: 'machines',
    title: names.join(', '),
    columns: [
      { key: 'end', heading: 'end', unit: '' },
      { key: 'failedAccesses', heading: 'failed', unit: 'accesses' },
      { key: 'microseconds', heading: 'time', unit: 'us', ratio: true },
      { key: 'ipis', heading: 'IPIs', unit: 'received' },
      { key: 'fullFlushes', heading: 'full flushes', unit: 'local' },
      { key: 'pageFlushes', heading: 'page flushes', unit: 'local' },
      { key: 'faults', heading: 'page faults', unit: 'count' },
      { key: 'walks', heading: 'TLB misses', unit: 'count' },
      { key: 'exits', heading: 'exits', unit: 'of vCPUs' },
    ],
    rows,
    notes: [
      'Costs are rules of thumb with their sources in packages/machine/src/schedule/cost.ts: read ratios, not times.',
    ],
  };
}
