/**
 * `shootdown tour` (npm start): a program's trace through a TLB, a shootdown on four CPUs, the flush counts, a race, a
 * proof, one question of each other system, and a table of verdicts.
 */
import { fileURLToPath } from 'node:url';
import { agrees, explore as exploreSystem, resolveScenario } from '@shootdown/explorer';
import { countTlb, parseTlbGeometry, readReferenceTrace } from '@shootdown/mmu';
import { textTable } from '@shootdown/report';
import { scenarios } from '@shootdown/scenarios';
import { parseArguments } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { interruption } from '../interrupt.ts';
import { run as explore } from './explore.ts';
import { run as hazards } from './hazards.ts';
import { run as runMachine } from './run.ts';
import { tlbRows } from './tlb.ts';

const WIDTH = 110;
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
  const code = await explore(['ptdump-vmalloc', '--variant', 'v6', '--no-reduction']);
  if (code === ExitCode.interrupted) return code;

  heading(6, 'A walk that no IPI holds up', 'explore gup-fast-vs-unmap --variant kvm-pv/page-batch');
  await explore(['gup-fast-vs-unmap', '--variant', 'kvm-pv/page-batch']);
  heading(7, 'A device that is told too late', 'explore secondary-tlb-order --variant notify-at-end-only');
  await explore(['secondary-tlb-order', '--variant', 'notify-at-end-only']);
  heading(8, 'One entry of a block that is cleared alone', 'explore contpte-zap --variant clear-one-without-unfold');
  await explore(['contpte-zap', '--variant', 'clear-one-without-unfold']);
  heading(9, 'Where lazy MMU mode is relied on', 'hazards copy_pte_range --generation current');
  await hazards(['copy_pte_range', '--generation', 'current']);
  return await verdicts(code);
}

/** Two designs of each system: one that is wrong and one that is right. */
const ROWS: readonly (readonly [system: string, scenario: string, variant: string])[] = [
  ['S0 lazy MMU mode', 'lazy-fork', 'xen-pv'],
  ['', 'lazy-fork', 'xen-pv-flush-first'],
  ['S1 KVM guests', 'gup-fast-vs-unmap', 'kvm-pv/page-batch'],
  ['', 'gup-fast-vs-unmap', 'kvm-pv/call-rcu'],
  ['S2 ptdump', 'ptdump-vmalloc', 'unlocked'],
  ['', 'ptdump-vmalloc', 'v6'],
  ['S3 secondary MMUs', 'secondary-tlb-order', 'notify-at-end-only'],
  ['', 'secondary-tlb-order', 'notify-under-ptl'],
  ['S4 contiguous PTEs', 'contpte-zap', 'clear-one-without-unfold'],
  ['', 'contpte-zap', 'part'],
];

async function verdicts(code: number): Promise<number> {
  heading(10, 'The five systems', 'list');
  const rows = [];
  const { signal, ignore } = interruption();
  for (const [system, scenario, variant] of ROWS) {
    const resolved = resolveScenario(scenarios, { scenario, variant });
    const found = await exploreSystem(resolved.build(), { signal, interleavingsStatesMax: 0 });
    if (signal.aborted) break;
    const asExpected = agrees(resolved.expected, found.verdict) === true ? 'yes' : 'NO';
    const steps = found.schedule?.length ?? '';
    rows.push([system, scenario, variant, found.verdict, asExpected, found.states, steps, found.seconds]);
  }
  ignore();
  const seconds = { heading: 'seconds', decimals: 2 } as const;
  const columns = ['system', 'scenario', 'variant', 'verdict', 'expected', 'states', 'steps', seconds];
  process.stdout.write(textTable({ columns, rows }, { width: WIDTH }));
  return signal.aborted ? ExitCode.interrupted : code;
}
