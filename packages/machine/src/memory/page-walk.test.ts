/** Who walks page tables is ordered by what it follows: an entry is loaded after the entry that leads to its table. */
import { describe, expect, it } from 'vitest';
import type { Steps } from '../routine/operation.ts';
import { load, smp_wmb, store } from '../routine/operations.ts';
import { assertThat, program, routine } from '../routine/routine.ts';
import { everyRun } from '../schedule/every-run.ts';
import { Frames } from '../state/frames.ts';
import { NO_FRAME } from '../state/frame-kind.ts';
import { SystemBuilder } from '../system/system.ts';
import type { OrderingRule } from './rules.ts';

const BROKEN = 'who finds a table finds it filled';
const [ROOT, TABLE, PAGE] = [0, 1, 2];
/** Entries are the numbers of frames, and 0 for none. */
const pointsTo = (entry: number): number => (entry === 0 ? NO_FRAME : entry);

interface Options {
  readonly follows?: boolean;
  readonly leftOut?: readonly OrderingRule[];
  readonly barrier?: boolean;
  /** The table is not found by a walk: a word says that it is filled. */
  readonly told?: boolean;
}

/** A table is filled and then shown; somebody walks. */
function breaks({ follows = true, leftOut = [], barrier = true, told = false }: Options): boolean {
  const builder = new SystemBuilder({ memoryModel: 'arm', weak: { leftOut: new Set(leftOut) } });
  const frames = new Frames(builder, {
    tables: 2,
    entriesPerTable: 1,
    pages: 1,
    initialTables: [[0], [0]],
    ...(follows && { pointsTo }),
  });
  const filled = builder.region('filled', 1).at(0);
  const fills = routine('pmd_populate', function* (): Steps {
    yield* frames.write(frames.entry(TABLE, 0), PAGE);
    if (barrier) yield* smp_wmb();
    if (told) yield* store(filled, TABLE);
    else yield* frames.write(frames.entry(ROOT, 0), TABLE);
  });
  const walks = routine('walk', function* (): Steps {
    const table = told ? yield* load(filled) : yield* frames.read(frames.entry(ROOT, 0));
    if (table === 0) return;
    yield* assertThat((yield* frames.read(frames.entry(table, 0))) === PAGE, BROKEN);
  });
  for (const [i, body] of [fills, walks].entries()) builder.processor({ name: `CPU${i}`, tasks: [program(body)] });
  return everyRun(builder.build()).violations.has(BROKEN);
}

describe('a walk of page tables by a kernel routine', () => {
  it.each<readonly [string, Options, boolean]>([
    ['is ordered by what it follows', {}, false],
    ['would not be if a dependency ordered nothing', { leftOut: ['address-dependency'] }, true],
    ['would not be if nobody knew where entries lead', { follows: false }, true],
    ['does not make up for the barrier of who shows the table', { barrier: false }, true],
    ['is not ordered by a word that it does not follow', { told: true }, true],
  ])('%s', (_what, options, broken) => {
    expect(breaks(options)).toBe(broken);
  });
});
