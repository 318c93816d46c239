/** `shootdown compare <scenario>` or `shootdown compare <topology or demo> <topology or demo> ...`: what each design costs. */
import { markdownTable, textTable, type Table } from '@shootdown/report';
import { runMachine, type MachineRun } from '@shootdown/topology';
import { parseArguments, UsageError } from '../arguments.ts';
import { comparisonDocument, type Comparison, type ComparisonTable } from '../comparison.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { machineNamed } from '../machines.ts';
import { comparisons } from '../scenarios/comparisons.ts';

const flags = {
  json: { type: 'boolean', help: 'print one JSON document' },
  markdown: { type: 'boolean', help: 'print a Markdown table' },
  help: { type: 'boolean', help: 'this text' },
} as const;

const MACHINES_MAX = 16;
const WIDTH = 110;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, `compare <${Object.keys(comparisons).join(' | ')}> or two or more topologies or demos`, flags)) return ExitCode.ok;
  const args = parseArguments('compare', argv, flags, MACHINES_MAX);
  const names = args.positionals;
  if (names.length === 0) throw new UsageError('shootdown compare: a scenario or topologies are missing');
  const prepared = Object.hasOwn(comparisons, names[0] ?? '') ? comparisons[names[0] ?? ''] : undefined;
  if (!prepared && names.length < 2) {
    throw new UsageError(`shootdown compare: expected two or more machines, or one of ${Object.keys(comparisons).join(', ')} (${names[0] ?? ''})`);
  }
  const comparison = prepared ? await prepared() : compareMachines(names);
  if (args.has('json')) process.stdout.write(`${JSON.stringify(comparisonDocument(comparison))}\n`);
  else process.stdout.write(args.has('markdown') ? markdownOf(comparison) : textOf(comparison));
  return ExitCode.ok;
}

function tableOf(comparison: ComparisonTable): Table {
  const columns = comparison.columns.map(({ key, heading, unit, ratio }) => ({ key, heading, unit, ratio: ratio ?? false }));
  return { columns: [{ heading: 'variant', key: 'variant' }, ...columns], rows: comparison.rows.map((row) => ({ ...row })) };
}

function textOf(comparison: Comparison): string {
  const notes = comparison.notes.map((note) => `- ${note}\n`).join('');
  const tables = [comparison, ...(comparison.more ?? [])].map((table) => `${table.title}\n\n${textTable(tableOf(table), { width: WIDTH })}\n`);
  return `${tables.join('')}${notes}`;
}

/** The tables in Markdown, as the documentation has them. */
export function markdownOf(comparison: Comparison): string {
  return [markdownTable(tableOf(comparison)), ...(comparison.more ?? []).map((table) => `${table.title}:\n\n${markdownTable(tableOf(table))}`)].join('\n');
}

function compareMachines(names: readonly string[]): Comparison {
  const total = (run: MachineRun, counter: string): number => (run.total[counter] ?? []).reduce((a, b) => a + b, 0);
  return {
    name: 'machines',
    title: names.join(', '),
    columns: [
      { key: 'microseconds', heading: 'time', unit: 'us', ratio: true },
      { key: 'ipis', heading: 'IPIs', unit: 'received' },
      { key: 'fullFlushes', heading: 'full flushes', unit: 'local' },
      { key: 'pageFlushes', heading: 'page flushes', unit: 'local' },
      { key: 'faults', heading: 'page faults', unit: 'count' },
      { key: 'walks', heading: 'TLB misses', unit: 'count' },
    ],
    rows: names.map((name) => {
      const run = runMachine(machineNamed(name));
      return {
        variant: name,
        microseconds: run.nanoseconds / 1000,
        ipis: total(run, 'irq_tlb_count'),
        fullFlushes: total(run, 'nr_tlb_local_flush_all') + total(run, 'tlbi_aside1is'),
        pageFlushes: total(run, 'nr_tlb_local_flush_one') + total(run, 'tlbi_va'),
        faults: total(run, 'pgfault'),
        walks: total(run, 'tlb_miss'),
      };
    }),
    notes: ['Costs are rules of thumb with their sources in packages/machine/src/cost.ts: read ratios, not times.'],
  };
}
