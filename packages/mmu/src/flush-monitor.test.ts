import { Frames, program, routine, store, SystemBuilder, waitFor, type OperationContext } from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { expect, test } from 'vitest';
import { _PAGE_ACCESSED, _PAGE_CONT, _PAGE_PRESENT, _PAGE_RW, _PAGE_USER, mk_pte } from './entry.ts';
import { FlushMonitor } from './flush-monitor.ts';
import { tinyShape } from './walk.ts';

const FOLDED = _PAGE_PRESENT | _PAGE_USER | _PAGE_RW | _PAGE_ACCESSED | _PAGE_CONT;
/** The first page of a block of two, in frames 2 and 3. */
const PAGE = 0;

test.each([
  ['sc', 'under way'],
  ['tso', 'under way'],
  ['tso', 'complete'],
] as const)(
  '%s: what a block offers when a flush is %s may be used from then on, whoever offered the same before',
  (memoryModel, flush) => {
    const builder = new SystemBuilder({ memoryModel });
    const initialTables = [[mk_pte(2, FOLDED), 0]];
    const frames = new Frames(builder, { tables: 2, entriesPerTable: 2, pages: 2, initialTables, initialPages: 2 });
    const root = builder.region('root', 1, { initial: 1 });
    const isSet = builder.region('is set', 1);
    const options = { root: root.at(0), cpus: 2, pages: [PAGE], blockEntries: 2 };
    const monitor = new FlushMonitor(builder, frames, tinyShape(1, 2), options);
    const flushes = routine('flushes', function* () {
      // Under tso the clear may still be in the store buffer when the other CPU sets its entry.
      yield* frames.write(frames.entry(0, 0), 0);
      yield* monitor.begin(0, PAGE, PAGE + 1);
      if (flush === 'under way') yield* waitFor(isSet.at(0), -1, 1);
      yield* monitor.end(0, PAGE, PAGE + 1);
    });
    const sets = routine('sets', function* () {
      yield* frames.write(frames.entry(0, 1), mk_pte(3, FOLDED));
      yield* store(isSet.at(0), 1);
    });
    builder.processor({ name: 'CPU0', tasks: [program(flushes)] });
    builder.processor({ name: 'CPU1', tasks: [program(sets)] });
    const failed = new Set<string>();
    everyRun(builder.build(), undefined, (read) => {
      const cx: Pick<OperationContext, 'read' | 'fail'> = { read, fail: (property) => void failed.add(property) };
      monitor.used(cx as OperationContext, 0, PAGE, mk_pte(2, FOLDED));
    });
    expect(failed).toEqual(new Set());
  },
);
