import { store, waitFor, type Executor, type Steps } from '@shootdown/machine';
import { _PAGE_DIRTY, _PAGE_RW, pte_pfn, pte_present, tinyShape } from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import { everyRun } from '@shootdown/machine/every-run';
import { user_access } from './fault.ts';
import type { FaultResult } from './wp-page.ts';
import { use_mm, type Mm } from './kernel.ts';
import {
  BASE,
  entryOf,
  inUse,
  mmMachine,
  recording,
  runMachine,
  tablesOf,
  type Body,
  type Flushed,
  type Machine,
  type MachineOptions,
} from './machines.test-support.ts';
import { exit_mmap, madvise_dontneed, mmap, munmap } from './mmap.ts';
import { mprotect } from './mprotect.ts';
import { GATHER_PAGES_MAX, MmuGather, tlb_finish_mmu, tlb_gather_mmu } from './mmu-gather.ts';
import { pgd_alloc } from './pgtable.ts';
import { VM_READ, VM_WRITE } from './vma.ts';

type Process = (
  of: Machine & { readonly mm: Mm; readonly access: (vpn: number, write: boolean) => Steps<FaultResult> },
  cpu: Parameters<Body>[1],
) => Steps;

/** Runs one process on one CPU; flushes are recorded. */
function alone(body: Process, options: Partial<MachineOptions> = {}) {
  const flushes: Flushed[] = [];
  const machine = mmMachine({ cpus: 1, ...options, wrap: recording(flushes) }, [
    function* (m, cpu) {
      const mm = m.mms[0]!;
      yield* pgd_alloc(m.kernel, mm);
      yield* use_mm(m.kernel, cpu, mm);
      yield* body({ ...m, mm, access: (vpn, write) => user_access(m.kernel, cpu, mm, vpn, write) }, cpu);
    },
  ]);
  const run = runMachine(machine);
  expect(run.violation).toBeNull();
  expect(run.run.end).toBe('rest');
  return {
    flushes: flushes.map(({ start, end, freed_tables }) => [start, end, freed_tables]),
    ...run,
    machine,
    mm: machine.mms[0]!,
  };
}

const entry = ({ machine, executor, mm }: { machine: Machine; executor: Executor; mm: Mm }, vpn: number): number =>
  entryOf(machine, executor, mm, vpn);

describe('demand faults', () => {
  test('a write maps a fresh page, writable and dirty; a read one that is neither', () => {
    const done = alone(function* ({ mm, access }) {
      yield* mmap(mm, BASE, 2);
      yield* access(BASE - 1, true);
      yield* access(BASE - 2, false);
    });
    expect(entry(done, BASE - 1) & (_PAGE_RW | _PAGE_DIRTY)).toBe(_PAGE_RW | _PAGE_DIRTY);
    expect(entry(done, BASE - 2) & (_PAGE_RW | _PAGE_DIRTY)).toBe(0);
    expect(done.counts['pgfault']).toEqual([2]);
    expect(done.flushes).toEqual([]);
  });

  test('a write after a read takes the page over without a copy and without a flush', () => {
    const done = alone(function* ({ mm, access }) {
      yield* mmap(mm, BASE, 1);
      yield* access(BASE - 1, false);
      yield* access(BASE - 1, true);
    });
    expect(inUse(done.machine, done.executor).pages).toHaveLength(1);
    expect(done.flushes).toEqual([]);
  });

  test.each([
    ['outside every area', false, 4],
    ['a write to a read-only area', true, 1],
  ])('%s is a segmentation fault', (_, write, below) => {
    const results: FaultResult[] = [];
    const done = alone(function* ({ mm, access }) {
      yield* mmap(mm, BASE, 1, VM_READ);
      results.push(yield* access(BASE - below, write));
    });
    expect(results).toEqual(['sigsegv']);
    expect(done.counts['sigsegv']).toEqual([1]);
    expect(inUse(done.machine, done.executor).pages).toEqual([]);
  });

  test.each([
    ['page frames', { pages: 1 }],
    ['table frames', { tables: 4, pages: 8 }],
  ])('without %s a fault says so', (_, memory) => {
    const results: FaultResult[] = [];
    alone(function* ({ mm, access }) {
      yield* mmap(mm, BASE, 20);
      results.push(yield* access(BASE - 1, true), yield* access(BASE - 20, true));
    }, memory);
    expect(results).toEqual(['retry', 'oom']);
  });

  test('two CPUs that fault on one page at once leave one page and one set of tables, in every run', () => {
    const machine = mmMachine(
      { cpus: 2, shape: tinyShape(2, 2), pages: 2, tables: 3, tlb: 'saturated', watched: [0] },
      [
        function* ({ kernel, mms, flags }, cpu) {
          yield* pgd_alloc(kernel, mms[0]!);
          yield* mms[0]!.vmas.insert(0, 1, VM_READ | VM_WRITE);
          yield* store(flags.at(0), 1);
          yield* use_mm(kernel, cpu, mms[0]!);
          yield* user_access(kernel, cpu, mms[0]!, 0, true);
        },
        function* ({ kernel, mms, flags }, cpu) {
          yield* waitFor(flags.at(0), -1, 1);
          yield* use_mm(kernel, cpu, mms[0]!);
          yield* user_access(kernel, cpu, mms[0]!, 0, false);
        },
      ],
    );
    const { frames } = machine.kernel;
    const ends = new Set<string>();
    const result = everyRun(machine.system, undefined, (read) => {
      ends.add(
        Array.from({ length: frames.count }, (_, f) =>
          read(frames.state.at(f)) > 0 ? read(frames.refcount.at(f)) : 0,
        ).join(),
      );
    });
    expect(result).toMatchObject({ violations: new Set(), deadlock: false });
    expect(ends).toEqual(new Set(['1,1,0,1,0', '1,1,0,0,1', '1,0,1,1,0', '1,0,1,0,1']));
  });
});

describe('who flushes what', () => {
  const mapped: Process = function* ({ mm, access }) {
    yield* mmap(mm, BASE, 4);
    for (let vpn = BASE - 4; vpn < BASE; vpn++) yield* access(vpn, true);
  };

  const after = (then: Process, options: Partial<MachineOptions> = {}) =>
    alone(function* (of, cpu) {
      yield* mapped(of, cpu);
      yield* then(of, cpu);
    }, options);

  test('mprotect to read-only flushes the range once; back to writable again, although nothing more restrictive was cached', () => {
    const done = after(function* ({ kernel, mm }, cpu) {
      yield* mprotect(kernel, cpu, mm, BASE - 4, BASE - 1, VM_READ);
      yield* mprotect(kernel, cpu, mm, BASE - 4, BASE - 1, VM_READ | VM_WRITE);
    });
    expect(done.flushes).toEqual([
      [BASE - 4, BASE - 1, false],
      [BASE - 4, BASE - 1, false],
    ]);
  });

  test('mprotect to what it is already does nothing', () => {
    expect(
      after(function* ({ kernel, mm }, cpu) {
        yield* mprotect(kernel, cpu, mm, BASE - 4, BASE, VM_READ | VM_WRITE);
      }).flushes,
    ).toEqual([]);
  });

  test.each([
    ['x86', []],
    ['arm64', [[BASE - 4, BASE - 3, false]]],
  ] as const)('an entry that mprotect leaves as it was is flushed on arm64 only (%s)', (arch, flushes) => {
    const done = alone(
      function* ({ kernel, mm, access }, cpu) {
        yield* mmap(mm, BASE, 4, VM_READ);
        yield* access(BASE - 4, false);
        yield* mprotect(kernel, cpu, mm, BASE - 4, BASE, VM_READ | VM_WRITE);
      },
      { arch },
    );
    expect(done.flushes).toEqual(flushes);
  });

  test('MADV_DONTNEED flushes what was there, frees the pages, keeps the table and the area', () => {
    const done = after(function* ({ kernel, mm, access }, cpu) {
      yield* madvise_dontneed(kernel, cpu, mm, BASE - 4, BASE - 2);
      yield* madvise_dontneed(kernel, cpu, mm, BASE - 4, BASE - 2);
      yield* access(BASE - 4, false);
    });
    expect(done.flushes).toEqual([[BASE - 4, BASE - 2, false]]);
    expect(inUse(done.machine, done.executor).pages).toHaveLength(3);
    expect(pte_present(entry(done, BASE - 4))).toBe(true);
    expect(pte_present(entry(done, BASE - 3))).toBe(false);
  });

  test('munmap of an untouched area flushes nothing', () => {
    expect(
      alone(function* ({ kernel, mm }, cpu) {
        const start = yield* mmap(mm, BASE, 4);
        yield* munmap(kernel, cpu, mm, start, start + 4);
      }).flushes,
    ).toEqual([]);
  });

  test('munmap of everything frees the tables, and says so in one flush from where they begin', () => {
    const done = after(function* ({ kernel, mm }, cpu) {
      yield* munmap(kernel, cpu, mm, BASE - 4, BASE);
    });
    expect(done.flushes).toEqual([[16, BASE, true]]);
    expect(tablesOf(done.machine, done.executor, done.mm)).toEqual([]);
    expect(inUse(done.machine, done.executor)).toEqual({ tables: [0], pages: [] });
  });

  test('exit flushes everything once, and frees all tables and the root', () => {
    const done = after(function* ({ kernel, mm }, cpu) {
      yield* exit_mmap(kernel, cpu, mm);
    });
    expect(done.flushes).toEqual([[0, Number.MAX_SAFE_INTEGER, true]]);
    expect(inUse(done.machine, done.executor)).toEqual({ tables: [], pages: [] });
  });

  test('a gather that is full flushes before it goes on', () => {
    const gather = new MmuGather({} as Mm);
    const full = Array.from({ length: GATHER_PAGES_MAX }, (_, i) => gather.removePage(i));
    expect(full.indexOf(true)).toBe(GATHER_PAGES_MAX - 1);
    expect(GATHER_PAGES_MAX).toBe(8 + 19 * 510);
  });

  test('with another gather open on the mm everything is flushed, even by one that removed nothing', () => {
    const done = after(function* ({ kernel, mm }, cpu) {
      const outer = yield* tlb_gather_mmu(mm);
      yield* madvise_dontneed(kernel, cpu, mm, BASE - 4, BASE - 3);
      const empty = yield* tlb_gather_mmu(mm);
      yield* tlb_finish_mmu(kernel, cpu, empty);
      yield* tlb_finish_mmu(kernel, cpu, outer);
    });
    expect(done.flushes).toEqual([
      [0, Number.MAX_SAFE_INTEGER, true],
      [0, Number.MAX_SAFE_INTEGER, true],
    ]);
    expect(done.executor.store.read(done.mm.tlb_flush_pending.at(0))).toBe(0);
  });
});

describe('mmap', () => {
  test('places areas top down, in the highest gap that fits', () => {
    const starts: number[] = [];
    alone(function* ({ kernel, mm }, cpu) {
      for (const pages of [2, 3, 2]) starts.push(yield* mmap(mm, BASE, pages));
      yield* munmap(kernel, cpu, mm, BASE - 5, BASE - 2);
      for (const pages of [4, 2, 1]) starts.push(yield* mmap(mm, BASE, pages));
    });
    expect(starts).toEqual([BASE - 2, BASE - 5, BASE - 7, BASE - 11, BASE - 4, BASE - 5]);
  });

  test('pages keep their frames until they are unmapped', () => {
    const pfns: number[] = [];
    const done = alone(function* ({ mm, access }) {
      yield* mmap(mm, BASE, 3);
      for (const vpn of [BASE - 1, BASE - 2, BASE - 1]) yield* access(vpn, true);
    });
    for (const vpn of [BASE - 1, BASE - 2]) pfns.push(pte_pfn(entry(done, vpn)));
    expect(new Set(pfns).size).toBe(2);
  });
});
