/** `shootdown run flush-counts`: the demo that is a table of runs. */
import { textTable } from '@shootdown/report';
import type { Arguments } from '../arguments.ts';
import { flushCountsInPortions, flushOperations, remoteStates, type FlushCountRow } from '@shootdown/scenarios';
import { ExitCode } from '../exit-codes.ts';
import { untilDoneOrInterrupted } from '../interrupt.ts';
import { Pulse } from '../progress.ts';

/** Flags that only this demo has. */
export const flushCountFlags = {
  operation: { type: 'string', values: flushOperations, help: 'flush-counts: one operation' },
  pages: { type: 'string', help: 'flush-counts: pages per area' },
  remote: { type: 'string', help: 'flush-counts: other threads' },
  state: { type: 'string', values: remoteStates, help: 'flush-counts: none, spin or sleep' },
  summary: { type: 'boolean', help: 'flush-counts: one line per operation and size' },
} as const;

/** Counts and prints the table; returns the exit code. */
export async function runFlushCounts(args: Arguments): Promise<number> {
  args.refuse(
    ['format', 'phase', 'executor', 'messages', 'max-steps', 'save-schedule'],
    'does not go with flush-counts, which is a table of runs',
  );
  if (args.has('json')) args.refuse(['summary'], 'does not go with --json');
  const pages = args.whole('pages', 1);
  const remote = args.whole('remote', 0);
  const operation = args.oneOf('operation', flushOperations);
  const state = args.oneOf('state', remoteStates);
  const portions = flushCountsInPortions({
    ...(operation === undefined ? {} : { operation }),
    ...(pages === undefined ? {} : { pages }),
    ...(remote === undefined ? {} : { remote }),
    ...(state === undefined ? {} : { state }),
  });
  const rows: FlushCountRow[] = [];
  const pulse = new Pulse();
  const interrupted = await untilDoneOrInterrupted(() => {
    const { value, done } = portions.next();
    if (done === true) return false;
    rows.push(...value);
    pulse.beat(() => `flush-counts: ${rows.length} rows`);
    return true;
  });
  pulse.end();
  if (args.has('json')) process.stdout.write(`${JSON.stringify(rows)}\n`);
  else process.stdout.write(args.has('summary') ? summaryTable(rows) : flushCountTable(rows));
  return interrupted ? ExitCode.interrupted : ExitCode.ok;
}

function flushCountTable(rows: readonly FlushCountRow[]): string {
  const columns = ['operation', 'pages', 'remote', 'state', 'IPIs per CPU', 'received', 'local all', 'local one'];
  return textTable(
    {
      columns,
      rows: rows.map((r) => [
        r.operation,
        r.pages,
        r.remote,
        r.state,
        r.ipis.join(' '),
        r.received,
        r.localAll,
        r.localOne,
      ]),
    },
    { width: 100 },
  );
}

/** The table in a third of the lines: one per operation and size, with the IPIs in every state of the other threads. */
function summaryTable(rows: readonly FlushCountRow[]): string {
  const sizes = [...new Set(rows.map((r) => r.pages))];
  const groups = sizes
    .flatMap((pages) =>
      flushOperations.map((operation) => rows.filter((r) => r.pages === pages && r.operation === operation)),
    )
    .filter((group) => group.length > 0);
  const ipis = (group: readonly FlushCountRow[], state: string, remote: number): number | string =>
    group.find((r) => r.state === state && r.remote === remote)?.ipis.reduce((a, b) => a + b, 0) ?? '-';
  const columns = [
    'operation',
    'pages',
    { heading: 'IPIs', unit: '1 spins', key: 'spin1' },
    { heading: 'IPIs', unit: '2 spin', key: 'spin2' },
    { heading: 'IPIs', unit: '2 sleep', key: 'sleep2' },
    { heading: 'full flushes', unit: 'local' },
    { heading: 'INVLPG', unit: 'local' },
  ];
  return textTable({
    columns,
    rows: groups.map((group) => [
      group[0]?.operation ?? '',
      group[0]?.pages ?? 0,
      ipis(group, 'spin', 1),
      ipis(group, 'spin', 2),
      ipis(group, 'sleep', 2),
      group[0]?.localAll ?? 0,
      group[0]?.localOne ?? 0,
    ]),
  });
}
