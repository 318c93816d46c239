/**
 * `shootdown tour` (npm start): a program's trace through a TLB, a shootdown on four CPUs, the flush counts, a race and
 * a proof.
 */
import { fileURLToPath } from 'node:url';
import { countTlb, parseTlbGeometry, readReferenceTrace } from '@shootdown/mmu';
import { textTable } from '@shootdown/report';
import { parseArguments } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { run as explore } from './explore.ts';
import { run as runMachine } from './run.ts';
import { tlbRows } from './tlb.ts';

const TRACE = new URL('../../data/traces/ls.lackey.txt.gz', import.meta.url);

function heading(number: number, title: string, command: string): void {
  process.stdout.write(`\n${number}. ${title}\n${'='.repeat(title.length + 3)}\n$ npx shootdown ${command}\n\n`);
}

export const flags = { help: { type: 'boolean', help: 'this text' } } as const;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'tour', flags)) return ExitCode.ok;
  parseArguments('tour', argv, flags, 0);
  heading(1, 'A real program through a TLB', 'tlb apps/lab/data/traces/ls.lackey.txt.gz');
  const trace = await readReferenceTrace(fileURLToPath(TRACE));
  const counts = countTlb(trace, {
    l1i: parseTlbGeometry('64x4'),
    l1d: parseTlbGeometry('64x4'),
    l2: parseTlbGeometry('1536x12'),
  });
  process.stdout.write(`ls -l /usr/lib: ${trace.length} memory references, ${counts.lookups} look-ups\n\n`);
  process.stdout.write(
    textTable({
      columns: ['TLB', 'hits', 'misses', { heading: 'miss rate', unit: '%', decimals: 3 }],
      rows: tlbRows(counts),
    }),
  );

  heading(2, 'munmap of four pages on four CPUs', 'run shootdown --format text --phase munmap');
  process.stdout.write(
    'CPU 1 runs another thread of the program; CPU 2 sleeps with the address space loaded (lazy TLB)\nand gets no IPI; CPU 3 is idle.\n\n',
  );
  await runMachine(['shootdown', '--format', 'text', '--phase', 'munmap']);

  heading(3, 'What each operation costs the others', 'run flush-counts --summary');
  process.stdout.write(
    '100 operations each, counted as Linux 7.2 counts them on four CPUs (its own table is in apps/lab/data/flush-counts).\n\n',
  );
  if ((await runMachine(['flush-counts', '--summary'])) === ExitCode.interrupted) return ExitCode.interrupted;

  heading(4, 'A race, found', 'explore ptdump-vmalloc --variant unlocked');
  await explore(['ptdump-vmalloc', '--variant', 'unlocked']);
  heading(5, 'The version that was merged, proved', 'explore ptdump-vmalloc --variant v6 --no-reduction');
  return await explore(['ptdump-vmalloc', '--variant', 'v6', '--no-reduction']);
}
