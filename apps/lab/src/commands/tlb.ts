/** `shootdown tlb <trace>`: what a TLB hierarchy makes of a real program's memory references. */
import { countTlb, parseTlbGeometry, readReferenceTrace, type TlbLevelCounts } from '@shootdown/mmu';
import { textTable } from '@shootdown/report';
import { parseArguments, required } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';

const flags = {
  l1i: { type: 'string', help: 'L1 instruction TLB, entries x ways (default 64x4)' },
  l1d: { type: 'string', help: 'L1 data TLB (default 64x4)' },
  l2: { type: 'string', help: 'unified L2 TLB (default 1536x12)' },
  json: { type: 'boolean', help: 'print one JSON document' },
  help: { type: 'boolean', help: 'this text' },
} as const;

export async function run(argv: readonly string[]): Promise<number> {
  if (printedHelp(argv, 'tlb <trace.u64 | .u64.gz | lackey text, gzipped or not> [flags]', flags)) return ExitCode.ok;
  const args = parseArguments('tlb', argv, flags, 1);
  const path = required('tlb', args, 'a trace file');
  const config = {
    l1i: parseTlbGeometry(args.text('l1i') ?? '64x4'),
    l1d: parseTlbGeometry(args.text('l1d') ?? '64x4'),
    l2: parseTlbGeometry(args.text('l2') ?? '1536x12'),
  };
  const trace = await readReferenceTrace(path);
  const began = performance.now();
  const counts = countTlb(trace, config);
  const seconds = (performance.now() - began) / 1000;
  if (args.has('json')) {
    process.stdout.write(`${JSON.stringify({ ...counts, seconds })}\n`);
    return ExitCode.ok;
  }
  process.stdout.write(`${path}: ${trace.length} references, ${counts.lookups} look-ups\n\n`);
  process.stdout.write(textTable({ columns: ['TLB', 'hits', 'misses', { heading: 'miss rate', unit: '%', decimals: 3 }], rows: tlbRows(counts) }));
  return ExitCode.ok;
}

/** One row per level. */
export function tlbRows(counts: { readonly l1i: TlbLevelCounts; readonly l1d: TlbLevelCounts; readonly l2: TlbLevelCounts }): (string | number)[][] {
  const row = (name: string, level: TlbLevelCounts): (string | number)[] => {
    const all = level.hits + level.misses;
    return [name, level.hits, level.misses, all === 0 ? 0 : (100 * level.misses) / all];
  };
  return [row('L1I', counts.l1i), row('L1D', counts.l1d), row('L2', counts.l2)];
}
