import {
  FREED_FRAME,
  Frames,
  program,
  routine,
  runVirtualTime,
  SystemBuilder,
  TabulatedExecutor,
  verifyPoints,
  x86Costs,
  type Steps,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { everyRun } from '@shootdown/machine/every-run';
import { CLEARED_ENTRY, DumpState, Ptdump, type EntryReader, type Fetch, type PtdumpMm } from './index.ts';

/** 0 is none, negative a leaf, and table f is 1 + f. */
const entries: EntryReader = { none: (v) => v === 0, leaf: (v) => v < 0, table: (v) => v - 1, format: String };
const LEAF = -1;
const table = (frame: number) => 1 + frame;

const unlocked = (root: number): PtdumpMm => ({ root, *mmap_write_lock() {}, *mmap_write_unlock() {} });

/** pud[2] -> one pmd table -> one pte table; CPU1 changes something meanwhile. */
function walked(fetch: Fetch, change?: (frames: Frames) => Steps, lines?: string[]) {
  const builder = new SystemBuilder();
  const frames = new Frames(builder, {
    tables: 3,
    entriesPerTable: 2,
    pages: 0,
    initialTables: [
      [table(1), LEAF],
      [table(2), 0],
      [LEAF, LEAF],
    ],
  });
  const levels = [
    { name: 'pud', entries: 2, looksAgain: true },
    { name: 'pmd', entries: 2 },
    { name: 'pte', entries: 2 },
  ];
  const ptdump = new Ptdump(builder, {
    name: 'ptdump',
    frames,
    levels,
    entries,
    fetch,
    ...(lines && { onLine: (level: string) => lines.push(level) }),
  });
  const walk = routine('walk', function* (): Steps {
    yield* ptdump.open();
    yield* ptdump.ptdump_walk_pgd(unlocked(0));
    yield* ptdump.release();
  });
  builder.processor({ name: 'CPU0', tasks: [program(walk)] });
  if (change) builder.processor({ name: 'CPU1', tasks: [program(routine('change', change), frames)] });
  return { system: builder.build(), ptdump };
}

describe.each<Fetch>(['single', 'multi', 'multi-7.0'])('%s-fetch walker', (fetch) => {
  it('finds nothing wrong in a tree that nobody changes', () => {
    const { system, ptdump } = walked(fetch);
    const run = everyRun(system, (read) => read(ptdump.state) === DumpState.done);
    expect(run.violations).toEqual(new Set());
    expect(run.witnessed).toBe(1);
  });

  it('prints a line per change of level', () => {
    const lines: string[] = [];
    const { system } = walked(fetch, undefined, lines);
    runVirtualTime(Object.assign(new TabulatedExecutor(system), { observe: true }), { costs: x86Costs });
    expect(lines).toEqual(['pte', 'none', 'pud']);
  });

  it('reads a table that was freed under it', () => {
    const { system } = walked(fetch, function* (frames) {
      yield* frames.write(frames.entry(0, 0), 0);
      yield* frames.free(1);
    });
    expect(everyRun(system).violations).toContain(FREED_FRAME);
  });

  it('reads a table that was freed without being unlinked', () => {
    const { system } = walked(fetch, (frames) => frames.free(2));
    expect(everyRun(system).violations).toEqual(new Set([FREED_FRAME]));
  });

  it('says at its points all that the walk depends on', () => {
    const { system } = walked(fetch, (frames) => frames.write(frames.entry(0, 0), 0));
    const executor = new TabulatedExecutor(system);
    runVirtualTime(executor, { costs: x86Costs });
    expect(verifyPoints(system.programs, executor.nodes)).toEqual([]);
  });
});

describe('an entry that is cleared while the walker stands on it', () => {
  const clear = (frames: Frames) => frames.write(frames.entry(0, 0), 0);
  const replace = (frames: Frames) => frames.write(frames.entry(1, 0), LEAF);

  it.each<Fetch>(['multi', 'multi-7.0'])('is dereferenced by the %s-fetch walker', (fetch) => {
    const run = everyRun(walked(fetch, clear).system);
    expect(run.violations).toEqual(new Set([CLEARED_ENTRY]));
    expect(run.details).toEqual(new Set(['entry 0 of table 0x0, tested as a table, is 0 now']));
  });

  it('is dereferenced as well if a block takes its place', () => {
    expect(everyRun(walked('multi', replace).system).violations).toEqual(new Set([CLEARED_ENTRY]));
  });

  it('is a hole or a table to the single-fetch walker, and nothing else', () => {
    expect(everyRun(walked('single', clear).system).violations).toEqual(new Set());
    expect(everyRun(walked('single', replace).system).violations).toEqual(new Set());
  });
});
