/** `shootdown tour` (npm start): a program's trace through a TLB, a shootdown on four CPUs, the flush counts, a race and a proof. */
import { countTlb, parseTlbGeometry, readReferenceTrace } from '@shootdown/mmu';
import { columnsText, textTable } from '@shootdown/report';
import { flushCounts, flushOperations, type FlushCountRow } from '../demos/flush-counts.ts';
import { ExitCode } from '../exit-codes.ts';
import { machineNamed } from '../machines.ts';
import { run as explore } from './explore.ts';
import { timelineOf } from './run.ts';
import { tlbRows } from './tlb.ts';

const TRACE = new URL('../../data/traces/ls.lackey.txt.gz', import.meta.url);

function heading(number: number, title: string, command: string): void {
  process.stdout.write(`\n${number}. ${title}\n${'='.repeat(title.length + 3)}\n$ npx shootdown ${command}\n\n`);
}

export async function run(): Promise<number> {
  heading(1, 'A real program through a TLB', 'tlb apps/lab/data/traces/ls.lackey.txt.gz');
  const trace = await readReferenceTrace(TRACE.pathname);
  const counts = countTlb(trace, { l1i: parseTlbGeometry('64x4'), l1d: parseTlbGeometry('64x4'), l2: parseTlbGeometry('1536x12') });
  process.stdout.write(`ls -l /usr/lib: ${trace.length} memory references, ${counts.lookups} look-ups\n\n`);
  process.stdout.write(textTable({ columns: ['TLB', 'hits', 'misses', { heading: 'miss rate', unit: '%', decimals: 3 }], rows: tlbRows(counts) }));

  heading(2, 'munmap of four pages on four CPUs', 'run shootdown --format text --phase munmap');
  process.stdout.write('CPU 1 runs another thread of the program; CPU 2 sleeps with the address space loaded (lazy TLB)\nand gets no IPI; CPU 3 is idle.\n\n');
  const machine = machineNamed('shootdown');
  process.stdout.write(columnsText(timelineOf(machine, 'munmap'), { width: 96, time: { unit: 'ns', hertz: machine.costs.hertz } }));

  heading(3, 'What each operation costs the others', 'run flush-counts');
  process.stdout.write('100 operations each, counted as Linux 7.2 counts them on four CPUs (its own table is in apps/lab/data/flush-counts).\n\n');
  process.stdout.write(flushCountSummary(flushCounts()));

  heading(4, 'A race, found', 'explore ptdump-vmalloc --variant unlocked');
  await explore(['ptdump-vmalloc', '--variant', 'unlocked']);
  heading(5, 'The version that was merged, proved', 'explore ptdump-vmalloc --variant v6 --no-reduction');
  await explore(['ptdump-vmalloc', '--variant', 'v6', '--no-reduction']);
  return ExitCode.ok;
}

/** The table in a third of the lines: one per operation and size, with the IPIs in every state of the other threads. */
function flushCountSummary(rows: readonly FlushCountRow[]): string {
  const sizes = [...new Set(rows.map((r) => r.pages))];
  const groups = sizes.flatMap((pages) => flushOperations.map((operation) => rows.filter((r) => r.pages === pages && r.operation === operation)));
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
