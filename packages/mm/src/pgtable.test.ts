import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  assertThat,
  Change,
  FrameKind,
  Frames,
  mutated,
  program,
  routine,
  smp_mb,
  SystemBuilder,
  type Executor,
  type Steps,
  type System,
} from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { _PAGE_PRESENT, mk_pte, pte_pfn, tinyShape, walkShape } from '@shootdown/mmu';
import { geometryNamed } from '@shootdown/page-table';
import { user_access } from './fault.ts';
import { Mm, use_mm, type Kernel } from './kernel.ts';
import { inUse, mmMachine, recording, runMachine, tablesOf, type Flushed } from './machines.test-support.ts';
import { munmap } from './mmap.ts';
import { pgd_alloc, pte_alloc, pte_offset } from './pgtable.ts';
import { VM_DATA_DEFAULT_FLAGS } from './vma.ts';

type Range = readonly [number, number];

/** Maps areas, touches pages, unmaps a range; returns the tables before and after, and the last flush. */
function unmapped(areas: readonly Range[], touched: readonly number[], [start, end]: Range, real = true) {
  const flushes: Flushed[] = [];
  let before: [string, number][] = [];
  const executors: Executor[] = [];
  const shape = real ? walkShape(geometryNamed('x86-64-4l')) : tinyShape(3, 4);
  const machine = mmMachine({ cpus: 1, shape, tables: 20, pages: 40, wrap: recording(flushes) }, [
    function* ({ kernel, mms }, cpu) {
      const mm = mms[0]!;
      yield* pgd_alloc(kernel, mm);
      yield* use_mm(kernel, cpu, mm);
      for (const [from, to] of areas) yield* mm.vmas.insert(from, to, VM_DATA_DEFAULT_FLAGS);
      for (const vpn of touched) yield* user_access(kernel, cpu, mm, vpn, true);
      before = tablesOf(machine, executors[0]!, mm);
      yield* munmap(kernel, cpu, mm, start, end);
    },
  ]);
  const run = runMachine(machine, (executor) => executors.push(executor));
  expect(run.violation).toBeNull();
  return {
    before,
    after: tablesOf(machine, run.executor, machine.mms[0]!),
    flush: flushes.at(-1),
    used: inUse(machine, run.executor),
    run,
  };
}

const MB2 = 512;
const GB1 = 512 * 512;

describe('free_pgd_range() around 2 MB boundaries', () => {
  test.each<{
    what: string;
    areas: Range[];
    touched: number[];
    unmap: Range;
    freed: string[];
    flush: Omit<Flushed, 'cpu'>;
  }>([
    {
      what: 'the only area: its table goes, and the tables above it; the flush grows down to their start',
      areas: [[GB1 + 100, GB1 + 104]],
      touched: [GB1 + 100],
      unmap: [GB1 + 100, GB1 + 104],
      freed: ['pte', 'pmd', 'pud'],
      flush: { start: 0, end: GB1 + 101, freed_tables: true },
    },
    {
      what: 'an area below in the same 2 MB keeps the table',
      areas: [
        [GB1 + 10, GB1 + 11],
        [GB1 + 100, GB1 + 104],
      ],
      touched: [GB1 + 100],
      unmap: [GB1 + 100, GB1 + 104],
      freed: [],
      flush: { start: GB1 + 100, end: GB1 + 101, freed_tables: false },
    },
    {
      what: 'an area above in the same 2 MB keeps the table',
      areas: [
        [GB1 + 100, GB1 + 104],
        [GB1 + 511, GB1 + 512],
      ],
      touched: [GB1 + 100],
      unmap: [GB1 + 100, GB1 + 104],
      freed: [],
      flush: { start: GB1 + 100, end: GB1 + 101, freed_tables: false },
    },
    {
      what: 'areas that end exactly at both boundaries let it go, but keep the tables above',
      areas: [
        [GB1 + MB2 - 1, GB1 + MB2],
        [GB1 + MB2 + 100, GB1 + MB2 + 104],
        [GB1 + 2 * MB2, GB1 + 2 * MB2 + 1],
      ],
      touched: [GB1 + MB2 + 100],
      unmap: [GB1 + MB2 + 100, GB1 + MB2 + 104],
      freed: ['pte'],
      flush: { start: GB1 + MB2, end: GB1 + MB2 + 101, freed_tables: true },
    },
    {
      what: 'a range over a boundary frees the table that nobody else needs, and keeps the other',
      areas: [
        [GB1 + MB2 - 4, GB1 + MB2 + 4],
        [GB1 + MB2 + 9, GB1 + MB2 + 10],
      ],
      touched: [GB1 + MB2 - 4, GB1 + MB2 + 3],
      unmap: [GB1 + MB2 - 4, GB1 + MB2 + 4],
      freed: ['pte'],
      flush: { start: GB1, end: GB1 + MB2 + 4, freed_tables: true },
    },
    {
      what: 'a part of an area keeps what the rest needs',
      areas: [[GB1, GB1 + 2 * MB2]],
      touched: [GB1, GB1 + MB2],
      unmap: [GB1 + 1, GB1 + 2 * MB2],
      freed: ['pte'],
      flush: { start: GB1 + MB2, end: GB1 + MB2 + 1, freed_tables: true },
    },
    {
      what: 'an untouched area has nothing to free and flushes nothing',
      areas: [
        [GB1, GB1 + 4],
        [GB1 + 8, GB1 + 9],
      ],
      touched: [GB1 + 8],
      unmap: [GB1, GB1 + 4],
      freed: [],
      flush: null as never,
    },
  ])('$what', ({ areas, touched, unmap, freed, flush }) => {
    const { before, after, flush: last } = unmapped(areas, touched, unmap);
    const gone = before
      .filter(([level, vpn]) => !after.some(([l, v]) => l === level && v === vpn))
      .map(([level]) => level);
    expect(gone.toSorted()).toEqual(freed.toSorted());
    expect(last ?? null).toEqual(flush === null ? null : { cpu: 0, ...flush });
  });

  test('whatever is mapped and unmapped, a table goes if its whole span lies between the neighbours and part of it was unmapped', () => {
    const area = fc
      .tuple(fc.nat(60), fc.integer({ min: 1, max: 12 }))
      .map(([start, pages]): Range => [start, Math.min(64, start + pages)]);
    fc.assert(
      fc.property(fc.array(area, { minLength: 1, maxLength: 5 }), area, (areas, unmap) => {
        const apart = areas.filter(([start, end], i) => areas.slice(0, i).every(([s, e]) => end <= s || start >= e));
        const touched = apart.flatMap(([start, end]) => [start, end - 1]);
        const { before, after, used } = unmapped(apart, touched, unmap, false);
        const [start, end] = unmap;
        const left = apart
          .flatMap(([s, e]): Range[] => [
            [s, Math.min(e, start)],
            [Math.max(s, end), e],
          ])
          .filter(([s, e]) => s < e);
        const floor = Math.max(0, ...left.filter(([, e]) => e <= start).map(([, e]) => e));
        const ceiling = Math.min(Number.POSITIVE_INFINITY, ...left.filter(([s]) => s >= end).map(([s]) => s));
        const kept = before.filter(([level, vpn]) => {
          const span = level === 'pte' ? 4 : 16;
          return vpn >= end || vpn + span <= start || vpn < floor || vpn + span > ceiling;
        });
        expect(new Set(after.map(String))).toEqual(new Set(kept.map(String)));
        expect(used.tables.length).toBe(1 + after.length);
        expect(used.pages.length).toBe(new Set(touched.filter((vpn) => vpn < start || vpn >= end)).size);
      }),
      { numRuns: 60 },
    );
  });
});

describe('pte_alloc() on arm', () => {
  const EMPTY = 'a table that has just been put in is empty';

  /** A frame that was a table before becomes one again, while somebody walks without the lock. */
  function system(): System {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const shape = tinyShape(2, 1);
    const frames = new Frames(builder, {
      tables: 2,
      entriesPerTable: 1,
      pages: 0,
      initialTables: [[0]],
      pointsTo: pte_pfn,
    });
    const mm = new Mm(builder, 1, { root: 0, cpumask: 0 });
    const kernel = { builder, frames, shape } as unknown as Kernel;
    const fault = routine('fault', function* (): Steps {
      const before = yield* frames.alloc(FrameKind.table);
      yield* frames.write(frames.entry(before, 0), mk_pte(7, _PAGE_PRESENT));
      yield* smp_mb();
      yield* frames.free(before);
      yield* pte_alloc(kernel, mm, 0);
    });
    const walk = routine('walk', function* (): Steps {
      const ptep = yield* pte_offset(kernel, mm, 0);
      if (ptep) yield* assertThat((yield* frames.read(ptep)) === 0, EMPTY);
    });
    for (const [i, body] of [fault, walk].entries()) builder.processor({ name: `CPU${i}`, tasks: [program(body)] });
    return builder.build();
  }

  test('whoever walks without the lock finds a new table empty', () => {
    expect(everyRun(system()).violations).toEqual(new Set());
  });

  test('that takes the smp_wmb() of pmd_install()', () => {
    const without = { routine: 'pte_alloc', word: 'smp_wmb', position: null, change: Change.leaveOut };
    const mutant = mutated(system(), without);
    expect(everyRun(mutant.system).violations).toEqual(new Set([EMPTY]));
    expect(mutant.reached()).toBe(true);
  });
});
