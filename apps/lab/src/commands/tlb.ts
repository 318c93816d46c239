/** `shootdown tlb <trace>`: what a TLB hierarchy makes of a real program's memory references. */
import { ModelError } from '@shootdown/machine';
import {
  parseTlbGeometry,
  readReferenceTrace,
  TlbHierarchy,
  type SkippedLines,
  type TlbCounts,
  type TlbGeometry,
  type TlbLevelCounts,
} from '@shootdown/mmu';
import { textTable } from '@shootdown/report';
import { parseArguments, required, UsageError, type Arguments } from '../arguments.ts';
import { isUserError, oneLine } from '../errors.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { interruption } from '../interrupt.ts';
import { Pulse } from '../progress.ts';

export const flags = {
  l1i: { type: 'string', help: 'L1 instruction TLB, entries x ways (default 64x4)' },
  l1d: { type: 'string', help: 'L1 data TLB (default 64x4)' },
  l2: { type: 'string', help: 'unified L2 TLB (default 1536x12)' },
  contpte: { type: 'boolean', help: 'also with 64 KB folios mapped by contiguous entries, and with 2 MB pages' },
  json: { type: 'boolean', help: 'print one JSON document' },
  help: { type: 'boolean', help: 'this text' },
} as const;

/** How the address space is mapped: a contiguous block is one entry of a TLB that knows the contiguous bit. */
const mappings = [
  { name: '4 KB pages', pageShift: 12 },
  { name: '64 KB folios, contiguous entries', pageShift: 16 },
  { name: '2 MB pages', pageShift: 21 },
] as const;

/** What one way to map it comes to. `reach`: how much a full TLB translates. */
function reachOf(
  { name, pageShift }: (typeof mappings)[number],
  { l1d, l2 }: { readonly l1d: TlbGeometry; readonly l2: TlbGeometry },
  counts: TlbCounts,
) {
  return { name, ...counts, l1dReachBytes: l1d.entries * 2 ** pageShift, l2ReachBytes: l2.entries * 2 ** pageShift };
}

/**
 * References between two looks at the clock and at Ctrl-C: in a big fully associative TLB one of them takes a while.
 */
const PORTION = 1 << 13;

export async function run(argv: readonly string[]): Promise<number> {
  if (
    printedHelp(
      argv,
      'tlb <trace> [flags]: packed .u64, ChampSim, or text of lackey, pinatrace, memtrace, drmemtrace view; gzipped or not',
      flags,
    )
  )
    return ExitCode.ok;
  const args = parseArguments('tlb', argv, flags, 1);
  const path = required('tlb', args, 'a trace file');
  const config = {
    l1i: geometryOf(args, 'l1i', '64x4'),
    l1d: geometryOf(args, 'l1d', '64x4'),
    l2: geometryOf(args, 'l2', '1536x12'),
  };
  const pulse = new Pulse();
  const { signal, ignore } = interruption();
  let skipped: SkippedLines = { lines: 0, first: null };
  const trace = await readReferenceTrace(path, {
    signal,
    onProgress: (references) => pulse.beat(() => `${references} references read`),
    onSkipped: (found) => (skipped = found),
  });
  const hierarchy = new TlbHierarchy(config);
  const others = args.has('contpte')
    ? mappings.slice(1).map((mapping) => {
        const { pageShift } = mapping;
        return { mapping, hierarchy: new TlbHierarchy({ ...config, pageShift }) };
      })
    : [];
  const began = performance.now();
  let at = 0;
  while (at < trace.length && !signal.aborted) {
    const portion = trace.slice(at, at + PORTION);
    hierarchy.run(portion);
    for (const other of others) other.hierarchy.run(portion);
    at = Math.min(at + PORTION, trace.length);
    pulse.beat(() => `${at} of ${trace.length} references`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  pulse.end();
  ignore();
  const { counts } = hierarchy;
  const [base] = mappings;
  const rows = [{ mapping: base, hierarchy }, ...others].map(({ mapping, hierarchy: counted }) =>
    reachOf(mapping, config, counted.counts),
  );
  const reach = args.has('contpte') && { mappings: rows };
  const complete = !signal.aborted;
  const seconds = (performance.now() - began) / 1000;
  if (skipped.first !== null)
    process.stderr.write(
      `trace: ${skipped.lines} line${skipped.lines === 1 ? ' is no reference and was' : 's are no references and were'} skipped (line ${skipped.first.line}: ${oneLine(JSON.stringify(skipped.first.text))})\n`,
    );
  if (args.has('json'))
    process.stdout.write(
      `${JSON.stringify({ ...counts, seconds, references: at, skippedLines: skipped.lines, complete, ...reach })}\n`,
    );
  else {
    process.stdout.write(`${oneLine(path)}: ${at} references, ${counts.lookups} look-ups\n\n`);
    process.stdout.write(
      textTable({
        columns: ['TLB', 'hits', 'misses', { heading: 'miss rate', unit: '%', decimals: 3 }],
        rows: tlbRows(counts),
      }),
    );
    if (args.has('contpte'))
      process.stdout.write(
        `\n${textTable({
          columns: [
            'mapped by',
            { heading: 'L1D reach', unit: 'KB' },
            { heading: 'L2 reach', unit: 'KB' },
            { heading: 'L1D misses' },
            { heading: 'L2 misses' },
            { heading: 'walks left', unit: '%', decimals: 2 },
          ],
          rows: rows.map((row) => [
            row.name,
            row.l1dReachBytes / 1024,
            row.l2ReachBytes / 1024,
            row.l1d.misses,
            row.l2.misses,
            (100 * row.l2.misses) / (rows[0]?.l2.misses || 1),
          ]),
        })}`,
      );
    if (!complete) process.stdout.write(`\npartial: interrupted after ${at} references, and the trace has more\n`);
  }
  return complete ? ExitCode.ok : ExitCode.interrupted;
}

/** The geometry of a level. Throws UsageError if the flag is not of that form, ModelError if no TLB has that shape. */
function geometryOf(args: Arguments, flag: 'l1i' | 'l1d' | 'l2', fallback: string): TlbGeometry {
  const text = args.text(flag) ?? fallback;
  if (!/^\d+(x\d+)?$/.test(text))
    throw new UsageError(`shootdown tlb: --${flag}: expected entries x ways, such as 64x4 (${text})`);
  try {
    return parseTlbGeometry(text);
  } catch (error) {
    if (!isUserError(error)) throw error;
    throw new ModelError(`shootdown tlb: --${flag}: ${error.message}`);
  }
}

/** One row per level. */
export function tlbRows(counts: {
  readonly l1i: TlbLevelCounts;
  readonly l1d: TlbLevelCounts;
  readonly l2: TlbLevelCounts;
}): (string | number)[][] {
  const row = (name: string, level: TlbLevelCounts): (string | number)[] => {
    const all = level.hits + level.misses;
    return [name, level.hits, level.misses, all === 0 ? 0 : (100 * level.misses) / all];
  };
  return [row('L1I', counts.l1i), row('L1D', counts.l1d), row('L2', counts.l2)];
}
