/** Kernel threads that move pages: khugepaged and NUMA balancing. */
import { store, waitFor, work } from '@shootdown/machine';
import { exc_page_fault, madvise_dontneed, mmap, pte_offset, user_access, type daemons } from '@shootdown/mm';
import { pte_present, pte_protnone } from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { machine } from './builder.ts';
import { runMachine, type MachineRun } from './run.ts';
import { parseTopology, type Action, type TopologyInput } from './schema.ts';
import { MMAP_BASE_PAGE, VDSO_PAGES } from './script.ts';

const total = (run: MachineRun, counter: string): number => (run.total[counter] ?? []).reduce((a, b) => a + b, 0);
const HUGE = 512;
/** What is mapped after so many pages is aligned: the mmap area ends below [vdso]. */
const PAD = 505;
const SMALL_TLB = { l1: '4x2', l2: '8x2', walkCache: 2 } as const;

function scanner(cpu: number, scan: Action, cycles = 20_000): NonNullable<TopologyInput['kernelThreads']>[number] {
  return {
    name: 'scanner',
    cpu,
    run: [{ do: 'repeat', times: 1000, body: [scan, { do: 'compute', cycles }] }],
  };
}

/** A thread that does `after` when khugepaged has been through its memory, and one that spins. */
function collapsed(
  after: readonly Action[],
  architecture: TopologyInput['architecture'] = 'x86-64-4l',
  mutant?: daemons.HugePagesMutant,
): MachineRun {
  const run: Action[] = [
    { do: 'mmap', area: 'pad', pages: PAD },
    { do: 'mmap', area: 'a', pages: HUGE },
    { do: 'touch', area: 'a' },
    { do: 'compute', cycles: 3_000_000 },
    { do: 'measure', phase: 'after' },
    ...after,
  ];
  const built = assemble(
    parseTopology({
      name: 'm',
      architecture,
      cpus: 3,
      ...(mutant === undefined && { tlb: SMALL_TLB }),
      memory: { tables: 32, pages: 4 * HUGE },
      processes: [
        {
          name: 'p',
          threads: [
            { cpu: 0, run },
            { cpu: 1, run: [{ do: 'spin' }] },
          ],
        },
      ],
      kernelThreads: [scanner(2, { do: 'collapse', process: 'p', pages: HUGE })],
    }),
  );
  const { thp } = built.kernel;
  if (thp && mutant) thp.mutant = mutant;
  return runMachine(built, { stepsMax: 200_000 });
}

describe('khugepaged', () => {
  test.each(['x86-64-4l', 'arm64-4k-48'] as const)(
    'makes a huge page, which takes fewer misses: %s',
    (architecture) => {
      const run = collapsed([{ do: 'touch', area: 'a' }], architecture);
      expect(run).toMatchObject({ end: 'done', violation: null });
      expect(total(run, 'thp_collapse_alloc')).toBeGreaterThan(0);
      // The TLB has room for sixteen translations, so each small page misses; of a huge one the first does.
      expect(run.phases['after']?.['tlb_miss']?.[0] ?? 0).toBeLessThan(2);
      expect(run.phases['after']?.['pgfault']?.[0] ?? 0).toBe(0);
    },
  );

  test('what is unmapped in part, or protected, is split first, and every frame comes back', () => {
    const protect: Action[] = [
      { do: 'mprotect', area: 'a', prot: 'r' },
      { do: 'mprotect', area: 'a', prot: 'rw' },
      { do: 'touch', area: 'a' },
      { do: 'exit' },
    ];
    const run = collapsed(protect);
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, 'thp_split_pmd')).toBeGreaterThan(0);
    const whole = collapsed([{ do: 'munmap', area: 'a' }]);
    expect(whole).toMatchObject({ end: 'done', violation: null });
    expect(total(whole, 'thp_split_pmd')).toBe(0);
  });

  test.each(['no collapse flush', 'no zap flush'] as const)('%s: a CPU uses what is freed', (mutant) => {
    const again: Action[] = [
      { do: 'touch', area: 'a' },
      { do: 'madvise-dontneed', area: 'a' },
      { do: 'touch', area: 'a' },
    ];
    expect(collapsed(again, 'x86-64-4l', mutant).violation).toBe('no access to a freed frame or table');
    expect(collapsed(again).violation).toBeNull();
  });
});

const TWO_NODES = { cpus: 4, sockets: ['0-1', '2-3'], memory: { tables: 64, pages: 256 } };

describe('NUMA balancing', () => {
  const near: Action[] = [
    { do: 'mmap', area: 'a', pages: 32 },
    { do: 'touch', area: 'a' },
    { do: 'fork', child: 'q' },
    { do: 'exit' },
  ];
  const away: Action[] = [
    {
      do: 'repeat',
      times: 20,
      body: [
        { do: 'touch', area: 'a' },
        { do: 'compute', cycles: 20_000 },
      ],
    },
  ];
  const moved = (scan: boolean): MachineRun =>
    runMachine(
      assemble(
        parseTopology({
          name: 'm',
          architecture: 'x86-64-4l',
          ...TWO_NODES,
          processes: [
            { name: 'p', threads: [{ cpu: 0, run: near }] },
            { name: 'q', threads: [{ cpu: 2, run: away }] },
          ],
          ...(scan && { kernelThreads: [scanner(1, { do: 'numa-scan', process: 'q', pages: 16 })] }),
        }),
      ),
      { stepsMax: 300_000 },
    );

  test('brings pages to the node that uses them', () => {
    const run = moved(true);
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, 'numa_pte_updates')).toBeGreaterThan(32);
    // fork() has left the pages to the child; a page that has come once is at home from then on.
    expect(total(run, 'numa_pages_migrated')).toBe(32);
    expect(total(run, 'numa_hint_faults_local')).toBeGreaterThan(0);
    expect(total(moved(false), 'numa_hint_faults')).toBe(0);
  });

  const PAGES = 32;
  const FIRST = MMAP_BASE_PAGE - VDSO_PAGES - PAGES;

  /** CPU 0 uses one page all the time, CPU 2 of the other node all of them in turn; and one more drops them. */
  function contended(mutant?: daemons.NumaMutant): MachineRun {
    const built = machine({
      name: 'm',
      architecture: 'x86-64-4l',
      ...TWO_NODES,
      tlb: { l1: '1x1', l2: '1x1', walkCache: 1 },
      // So long the scan waits for CPUs to flush.
      costs: { ipi: 20_000 },
      kernelThreads: [scanner(1, { do: 'numa-scan', process: 'p', pages: PAGES }, 2000)],
    })
      .thread('p', 0, function* ({ kernel, cpu, mm, process }) {
        yield* mmap(mm, MMAP_BASE_PAGE, PAGES);
        yield* store(process.resting.at(0), 1);
        for (let i = 0; i < 3000; i++) {
          yield* user_access(kernel, cpu, mm, FIRST, true);
          yield* work('compute');
        }
      })
      .thread('p', 2, function* ({ kernel, cpu, mm, process }) {
        yield* waitFor(process.resting.at(0), -1, 1);
        for (let i = 0; i < 3000; i++) {
          yield* user_access(kernel, cpu, mm, FIRST + (i % 4), true);
          yield* work('compute');
        }
      })
      .thread('p', 3, function* ({ kernel, cpu, mm, process }) {
        yield* waitFor(process.resting.at(0), -1, 1);
        for (let i = 0; i < 50; i++) {
          yield* user_access(kernel, cpu, mm, FIRST + 1, true);
          yield* madvise_dontneed(kernel, cpu, mm, FIRST + 1, FIRST + 3);
        }
      })
      .assemble();
    const { numa } = built.kernel;
    if (numa && mutant) numa.mutant = mutant;
    return runMachine(built, { stepsMax: 300_000 });
  }

  test('moves no page that a CPU still has a translation of: the scan may not have flushed yet', () => {
    const run = contended();
    expect(run).toMatchObject({ end: 'done', violation: null });
    expect(total(run, 'numa_pages_migrated')).toBeGreaterThan(1);
    expect(contended('pending flush is ignored').violation).toBe('no access to a freed frame or table');
  });

  /** What is in the entry of a page that was dropped while it was on its way. */
  function dropped(mutant?: daemons.NumaMutant): number {
    let entry = -1;
    const built = machine({
      name: 'm',
      architecture: 'x86-64-4l',
      ...TWO_NODES,
      kernelThreads: [scanner(1, { do: 'numa-scan', process: 'p', pages: 1 })],
    })
      .thread('p', 0, function* ({ kernel, cpu, mm, process }) {
        const step = process.resting.at(0);
        yield* mmap(mm, MMAP_BASE_PAGE, PAGES);
        yield* user_access(kernel, cpu, mm, FIRST, true);
        const ptep = yield* pte_offset(kernel, mm, FIRST);
        if (!ptep) return;
        while (!pte_protnone(yield* kernel.frames.read(ptep)));
        yield* store(step, 1);
        while (pte_present(yield* kernel.frames.read(ptep)));
        yield* madvise_dontneed(kernel, cpu, mm, FIRST, FIRST + 1);
        yield* waitFor(step, -1, 2);
        entry = yield* kernel.frames.read(ptep);
      })
      .thread('p', 2, function* ({ kernel, cpu, mm, process }) {
        const step = process.resting.at(0);
        yield* waitFor(step, -1, 1);
        yield* exc_page_fault(kernel, cpu, mm, FIRST, false);
        yield* store(step, 2);
      })
      .assemble();
    const { numa } = built.kernel;
    if (numa && mutant) numa.mutant = mutant;
    expect(runMachine(built, { stepsMax: 100_000 })).toMatchObject({ end: 'done', violation: null });
    return entry;
  }

  test('brings nothing back that was dropped while it was moved', () => {
    expect(dropped()).toBe(0);
    expect(pte_present(dropped('migration entries stay'))).toBe(true);
  });
});
