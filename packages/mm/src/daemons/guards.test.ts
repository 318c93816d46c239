/**
 * Kernel threads that take, move and merge pages under the feet of everybody else: what each guard is for. The kernel's
 * way is safe in every run of a small machine, and leaving out one guard is not.
 */
import { assertThat, FREED_FRAME, load, replaceRoutines, store, waitFor } from '@shootdown/machine';
import { local_irq_restore, local_irq_save } from '@shootdown/cpu';
import {
  _PAGE_ACCESSED,
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RW,
  _PAGE_USER,
  BBML0,
  BREAK_BEFORE_MAKE,
  Fault,
  mk_pte,
  pte_dirty,
  pte_pfn,
  pte_present,
  pte_protnone,
  tinyShape,
} from '@shootdown/mmu';
import { everyRun, type EveryRun } from '@shootdown/machine/every-run';
import { describe, expect, test } from 'vitest';
import { exc_page_fault, user_access } from '../fault.ts';
import { folio_try_get } from '../folio.ts';
import { pte_lock, pte_unlock, use_mm } from '../kernel.ts';
import { make_migration_entry } from '../lazy/swap-entries.ts';
import {
  entryOf,
  mmMachine,
  recording,
  runMachine,
  type Body,
  type Flushed,
  type MachineOptions,
} from '../machines.test-support.ts';
import { madvise_dontneed, munmap } from '../mmap.ts';
import { mprotect } from '../mprotect.ts';
import { NumaCounter } from '../numa-fault.ts';
import { pgd_alloc, pte_alloc, pte_offset } from '../pgtable.ts';
import { try_to_merge_one_page } from '../secondary/ksm.ts';
import { primaryMmu } from '../secondary/primary.ts';
import { VM_DATA_DEFAULT_FLAGS, VM_READ } from '../vma.ts';
import { khugepaged_scan_mm_slot } from './khugepaged.ts';
import { kswapd_shrink_node } from './kswapd.ts';
import { task_numa_work } from './numa-scan.ts';

const PAGE = 0;
const NEIGHBOUR = 1;
const SAFE: Partial<EveryRun> = { violations: new Set(), deadlock: false };
const CLEAN = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED;

/** CPU 0 maps both pages, writes to them and does what it is told, beside the others. */
function machine(options: Partial<MachineOptions>, first: Body, ...others: Body[]) {
  return mmMachine(
    {
      cpus: 1 + others.length,
      arch: 'arm64',
      shape: tinyShape(2, 2),
      tables: 4,
      pages: 6,
      tlb: 'saturated',
      watched: [PAGE, NEIGHBOUR],
      ...options,
    },
    [
      function* (m, cpu) {
        const mm = m.mms[0]!;
        yield* pgd_alloc(m.kernel, mm);
        yield* mm.vmas.insert(PAGE, NEIGHBOUR + 1, VM_DATA_DEFAULT_FLAGS);
        yield* use_mm(m.kernel, cpu, mm);
        for (const vpn of [PAGE, NEIGHBOUR]) yield* user_access(m.kernel, cpu, mm, vpn, true);
        yield* store(m.flags.at(0), 1);
        yield* first(m, cpu);
      },
      ...others.map(
        (body): Body =>
          function* (m, cpu) {
            yield* waitFor(m.flags.at(0), -1, 1);
            yield* body(m, cpu);
          },
      ),
    ],
  );
}

const collapses: Body = ({ kernel, mms, hand }, cpu) => khugepaged_scan_mm_slot(kernel, cpu, mms[0]!, hand, 2);
const scans: Body = ({ kernel, mms, hand }, cpu) => task_numa_work(kernel, cpu, mms[0]!, hand, 1);

const MOVED = 'what is pinned stays where it is mapped';

/** Pins PAGE as GUP-fast does, and looks whether it is where it was when CPU 0 is done. */
const pins: Body = function* ({ kernel, mms, flags }, cpu) {
  const { frames } = kernel;
  const irqs = yield* local_irq_save(cpu);
  const pmdp = frames.entry(0, 0);
  const pmd = yield* frames.read(pmdp);
  let pinned = -1;
  if (pte_present(pmd) && (pmd & _PAGE_PSE) === 0) {
    const ptep = frames.entry(pte_pfn(pmd), 0);
    const pte = yield* frames.read(ptep);
    if (pte_present(pte) && (yield* folio_try_get(frames, pte_pfn(pte)))) {
      const same = (yield* frames.read(pmdp)) === pmd && (yield* frames.read(ptep)) === pte;
      if (same) pinned = pte_pfn(pte);
      else yield* frames.put(pte_pfn(pte));
    }
  }
  yield* local_irq_restore(cpu, irqs);
  yield* waitFor(flags.at(1), -1, 1);
  if (pinned < 0) return;
  const ptep = yield* pte_offset(kernel, mms[0]!, PAGE);
  const mapped = ptep ? pte_pfn(yield* frames.read(ptep)) : -1;
  yield* assertThat(mapped === pinned, MOVED, `page 0x${pinned.toString(16)}`);
};

const then = (...bodies: readonly Body[]): Body =>
  function* (m, cpu) {
    for (const body of bodies) yield* body(m, cpu);
  };
const signals =
  (flag: number): Body =>
  ({ flags }) =>
    store(flags.at(flag), 1);

describe('khugepaged', () => {
  test('a table is deposited, and freed later, when no walker without a lock is in it any more', () => {
    const drops: Body = ({ kernel, mms }, cpu) => madvise_dontneed(kernel, cpu, mms[0]!, PAGE, NEIGHBOUR + 1);
    const walks: Body = function* ({ kernel: { frames } }, cpu) {
      const irqs = yield* local_irq_save(cpu);
      const pmd = yield* frames.read(frames.entry(0, 0));
      if (pte_present(pmd) && (pmd & _PAGE_PSE) === 0) yield* frames.read(frames.entry(pte_pfn(pmd), 0));
      yield* local_irq_restore(cpu, irqs);
    };
    const runsOf = (thp: MachineOptions['thp']): EveryRun =>
      everyRun(machine({ thp }, then(collapses, drops), walks).system);
    expect(runsOf('complete')).toMatchObject(SAFE);
    expect(runsOf('no table sync').violations).toEqual(new Set([FREED_FRAME]));
  });

  test('a page that somebody has pinned is not copied away', () => {
    const runsOf = (thp: MachineOptions['thp']): EveryRun =>
      everyRun(machine({ thp }, then(collapses, signals(1)), pins).system);
    expect(runsOf('complete')).toMatchObject(SAFE);
    expect(runsOf('does not count').violations).toEqual(new Set([MOVED]));
  });

  test('what was unmapped while it waited for the lock stays unmapped', () => {
    const GONE = 'munmap() lasts';
    const unmaps: Body = function* ({ kernel, mms, flags }, cpu) {
      yield* munmap(kernel, cpu, mms[0]!, PAGE, PAGE + 1);
      yield* waitFor(flags.at(1), -1, 1);
      const pmd = yield* kernel.frames.read(kernel.frames.entry(0, 0));
      yield* assertThat((pmd & _PAGE_PSE) === 0, GONE, 'a huge page covers it');
    };
    const runsOf = (thp: MachineOptions['thp']): EveryRun =>
      everyRun(machine({ thp }, then(collapses, signals(1)), unmaps).system);
    expect(runsOf('complete')).toMatchObject(SAFE);
    expect(runsOf('no revalidation').violations).toContain(GONE);
  });

  test('arm64: a huge page and a table of small ones are never held at once, because the split flushes', () => {
    const protects: Body = ({ kernel, mms }, cpu) => mprotect(kernel, cpu, mms[0]!, PAGE, PAGE + 1, VM_READ);
    const runsOf = (thp: MachineOptions['thp']): EveryRun =>
      everyRun(machine({ thp, breakBeforeMake: BBML0 }, then(collapses, protects)).system);
    expect(runsOf('complete')).toMatchObject(SAFE);
    expect(runsOf('no split flush').violations).toEqual(new Set([BREAK_BEFORE_MAKE]));
  });
});

describe('the scan of NUMA balancing', () => {
  test('takes what will be moved, and leaves the zero page and what others have alone', () => {
    const flushed: Flushed[] = [];
    const built = mmMachine({ cpus: 1, numa: 'complete', wrap: recording(flushed) }, [
      function* ({ kernel, mms, hand }, cpu) {
        const mm = mms[0]!;
        yield* pgd_alloc(kernel, mm);
        yield* mm.vmas.insert(0, 4, VM_DATA_DEFAULT_FLAGS);
        yield* use_mm(kernel, cpu, mm);
        for (const vpn of [0, 1, 2]) yield* user_access(kernel, cpu, mm, vpn, true);
        yield* user_access(kernel, cpu, mm, 3, false);
        yield* mprotect(kernel, cpu, mm, 1, 2, VM_READ);
        const shared = yield* kernel.frames.read((yield* pte_offset(kernel, mm, 2))!);
        yield* kernel.frames.ref(pte_pfn(shared), 1);
        flushed.length = 0;
        yield* task_numa_work(kernel, cpu, mm, hand, 4);
      },
    ]);
    const { executor, counts, violation } = runMachine(built);
    expect(violation).toBeNull();
    expect([0, 1, 2, 3].map((vpn) => pte_protnone(entryOf(built, executor, built.mms[0]!, vpn)))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(counts[NumaCounter.updates]).toEqual([2]);
    // The read-only one, too: who only reads must fault as well.
    expect(Math.min(...flushed.map(({ start }) => start))).toBe(0);
    expect(Math.max(...flushed.map(({ end }) => end))).toBe(2);
  });

  test('x86: of an entry that was read-only before, the old translation is flushed', () => {
    const flushed: Flushed[] = [];
    const built = mmMachine({ cpus: 1, numa: 'complete', wrap: recording(flushed) }, [
      function* ({ kernel, mms, hand }, cpu) {
        const mm = mms[0]!;
        yield* pgd_alloc(kernel, mm);
        yield* mm.vmas.insert(0, 1, VM_DATA_DEFAULT_FLAGS);
        yield* use_mm(kernel, cpu, mm);
        yield* user_access(kernel, cpu, mm, 0, true);
        yield* mprotect(kernel, cpu, mm, 0, 1, VM_READ);
        flushed.length = 0;
        yield* task_numa_work(kernel, cpu, mm, hand, 1);
      },
    ]);
    runMachine(built);
    expect(flushed).toHaveLength(1);
  });

  test('mprotect() of what it has taken permits accesses again', () => {
    const built = mmMachine({ cpus: 1, numa: 'complete' }, [
      function* ({ kernel, mms, hand }, cpu) {
        const mm = mms[0]!;
        yield* pgd_alloc(kernel, mm);
        yield* mm.vmas.insert(0, 1, VM_DATA_DEFAULT_FLAGS);
        yield* use_mm(kernel, cpu, mm);
        yield* user_access(kernel, cpu, mm, 0, true);
        yield* task_numa_work(kernel, cpu, mm, hand, 1);
        yield* mprotect(kernel, cpu, mm, 0, 1, VM_READ);
      },
    ]);
    const { executor } = runMachine(built);
    expect(entryOf(built, executor, built.mms[0]!, 0) & (_PAGE_PRESENT | _PAGE_RW)).toBe(_PAGE_PRESENT);
  });
});

describe('hinting faults', () => {
  const touches: Body = function* ({ kernel, mms }, cpu) {
    yield* exc_page_fault(kernel, cpu, mms[0]!, PAGE, false);
  };
  const drops: Body = ({ kernel, mms }, cpu) => madvise_dontneed(kernel, cpu, mms[0]!, PAGE, PAGE + 1);
  const runsOf = (
    numa: MachineOptions['numa'],
    first: Body,
    other: Body,
    more: Partial<MachineOptions> = {},
  ): EveryRun => everyRun(machine({ numa, pages: 8, ...more }, then(scans, signals(2), first), waits(other)).system);
  const waits = (body: Body): Body =>
    function* (m, cpu) {
      yield* waitFor(m.flags.at(2), -1, 1);
      yield* use_mm(m.kernel, cpu, m.mms[0]!);
      yield* body(m, cpu);
    };

  test('do_numa_page() looks again whether the entry is the one that faulted', () => {
    const MAPPED = 'an entry maps a page';
    const looks: Body = function* ({ kernel, mms }, cpu) {
      yield* exc_page_fault(kernel, cpu, mms[0]!, PAGE, false);
      const entry = yield* kernel.frames.read((yield* pte_offset(kernel, mms[0]!, PAGE))!);
      yield* assertThat(
        !pte_present(entry) || pte_pfn(entry) >= kernel.frames.tables,
        MAPPED,
        `0x${entry.toString(16)}`,
      );
    };
    expect(runsOf('complete', looks, drops)).toMatchObject(SAFE);
    expect(runsOf('no pte_same()', looks, drops).violations).toContain(MAPPED);
  });

  test('try_to_migrate_one() looks again whether the entry maps the page', () => {
    expect(runsOf('complete', drops, touches)).toMatchObject(SAFE);
    expect(runsOf('unmaps whatever is there', drops, touches).violations.size).toBeGreaterThan(0);
  });

  test('a page that was pinned meanwhile stays', () => {
    const moves = then(touches, signals(1));
    expect(runsOf('complete', pins, moves)).toMatchObject(SAFE);
    expect(runsOf('moves what is pinned', pins, moves).violations).toEqual(new Set([MOVED]));
  });

  test('what another CPU has made accessible again is flushed before the page is copied', () => {
    const uses: Body = function* ({ kernel, mms }, cpu) {
      yield* exc_page_fault(kernel, cpu, mms[0]!, PAGE, false);
      yield* kernel.mmus[cpu.id]!.access(PAGE, false);
    };
    expect(runsOf('complete', uses, touches, { reclaim: 'complete' })).toMatchObject(SAFE);
    expect(runsOf('complete', uses, touches, { reclaim: 'no flush before freeing' }).violations).toEqual(
      new Set([FREED_FRAME]),
    );
  });

  test('a fault of a page that was not there leaves a migration entry alone that has come instead', () => {
    const KEPT = 'a migration entry is replaced by whoever made it, or by a zap';
    const built = mmMachine(
      {
        cpus: 2,
        arch: 'arm64',
        shape: tinyShape(2, 2),
        tables: 4,
        pages: 6,
        tlb: 'saturated',
        watched: [PAGE],
        numa: 'complete',
      },
      [
        function* ({ kernel, mms, flags }, cpu) {
          const mm = mms[0]!;
          yield* pgd_alloc(kernel, mm);
          yield* mm.vmas.insert(PAGE, NEIGHBOUR + 1, VM_DATA_DEFAULT_FLAGS);
          yield* use_mm(kernel, cpu, mm);
          const ptep = (yield* pte_alloc(kernel, mm, PAGE))!;
          yield* store(flags.at(0), 1);
          // A fault, the scan and try_to_migrate_one(), all of them under the lock.
          yield* pte_lock(kernel, ptep.frame);
          const none = (yield* kernel.frames.read(ptep)) === 0;
          if (none) yield* kernel.frames.write(ptep, make_migration_entry(5));
          yield* pte_unlock(kernel, ptep.frame);
          if (!none) return;
          yield* pte_lock(kernel, ptep.frame);
          const now = yield* kernel.frames.read(ptep);
          yield* assertThat(now === make_migration_entry(5), KEPT, `0x${now.toString(16)}`);
          yield* kernel.frames.write(ptep, 0);
          yield* pte_unlock(kernel, ptep.frame);
        },
        function* (m, cpu) {
          yield* waitFor(m.flags.at(0), -1, 1);
          yield* touches(m, cpu);
        },
      ],
    );
    expect(everyRun(built.system)).toMatchObject(SAFE);
  });

  test('a guest, too, is told from which node a page is used: hva_to_pfn() takes no PROT_NONE entry', () => {
    const built = mmMachine({ cpus: 1, numa: 'complete' }, [
      function* ({ kernel, mms, hand }, cpu) {
        const mm = mms[0]!;
        yield* pgd_alloc(kernel, mm);
        yield* mm.vmas.insert(0, 1, VM_DATA_DEFAULT_FLAGS);
        yield* use_mm(kernel, cpu, mm);
        yield* user_access(kernel, cpu, mm, 0, true);
        yield* task_numa_work(kernel, cpu, mm, hand, 1);
        const primary = primaryMmu(kernel, cpu, mm);
        const page = (yield* primary.lookup(0, false))!;
        yield* primary.release(page);
      },
    ]);
    const { counts, executor } = runMachine(built);
    expect(counts[NumaCounter.faults]).toEqual([1]);
    expect(pte_protnone(entryOf(built, executor, built.mms[0]!, 0))).toBe(false);
  });
});

describe('kswapd', () => {
  test('a page that was pinned meanwhile stays', () => {
    const takes = then(
      ...[1, 2, 3].map(
        (): Body =>
          ({ kernel, mms, hand }, cpu) =>
            kswapd_shrink_node(kernel, cpu, mms[0]!, hand, 1),
      ),
      signals(1),
    );
    const runsOf = (reclaim: MachineOptions['reclaim']): EveryRun => everyRun(machine({ reclaim }, takes, pins).system);
    expect(runsOf('complete')).toMatchObject(SAFE);
    expect(runsOf('takes what is pinned').violations).toEqual(new Set([MOVED]));
  });

  test('nobody writes to a page that is on its way to the disk', () => {
    const LATE = 'no store goes to a page that is being written out';
    const writes: Body = function* ({ kernel, mms, flags }, cpu) {
      yield* use_mm(kernel, cpu, mms[0]!);
      if ((yield* load(flags.at(1))) === 0) return;
      const fault = yield* kernel.mmus[cpu.id]!.access(PAGE, true);
      yield* assertThat(fault !== Fault.none, LATE, 'page 0x0');
    };
    const takes: Body = function* ({ kernel, mms, hand }, cpu) {
      for (let i = 0; i < 3; i++) yield* kswapd_shrink_node(kernel, cpu, mms[0]!, hand, 1);
    };
    const runsOf = (reclaim: MachineOptions['reclaim']): EveryRun => {
      const { system, flags } = machine({ reclaim }, takes, writes);
      const swap_writeout = () => store(flags.at(1), 1);
      return everyRun(replaceRoutines(system, { swap_writeout }));
    };
    expect(runsOf('complete')).toMatchObject(SAFE);
    expect(runsOf('no flush before writing out').violations).toEqual(new Set([LATE]));
  });
});

describe('a dirty bit that hardware sets at any time is not lost', () => {
  /** CPU 0 looks at a page that is clean so far, while CPU 1 writes to it. */
  function lost(looks: Body): number {
    let count = 0;
    const built = machine(
      { dirtyBits: true, reclaim: 'complete' },
      function* (m, cpu) {
        const ptep = (yield* pte_offset(m.kernel, m.mms[0]!, PAGE))!;
        const entry = yield* m.kernel.frames.xchg(ptep, 0);
        yield* m.kernel.arch.flush_tlb_mm_range(cpu, m.mms[0]!, PAGE, NEIGHBOUR + 1, false);
        yield* m.kernel.frames.write(ptep, mk_pte(pte_pfn(entry), CLEAN));
        yield* store(m.flags.at(1), 1);
        yield* looks(m, cpu);
      },
      function* ({ kernel, mms, flags }, cpu) {
        yield* waitFor(flags.at(1), -1, 1);
        yield* use_mm(kernel, cpu, mms[0]!);
        const fault = yield* kernel.mmus[cpu.id]!.access(PAGE, true);
        if (fault === Fault.none) yield* store(flags.at(2), 1);
      },
    );
    const { violations } = everyRun(built.system, undefined, (read) => {
      const table = pte_pfn(read(built.kernel.frames.entry(0, 0).address));
      const entry = read(built.kernel.frames.entry(table, PAGE).address);
      if (read(built.flags.at(2)) === 1 && !pte_dirty(entry)) count++;
    });
    expect(violations).toEqual(new Set());
    return count;
  }

  test('kswapd clears the accessed bit alone', () => {
    expect(lost(({ kernel, mms, hand }, cpu) => kswapd_shrink_node(kernel, cpu, mms[0]!, hand, 1))).toBe(0);
  });

  test('ksmd puts back what it has taken', () => {
    expect(
      lost(function* ({ kernel, mms }, cpu) {
        const entry = yield* kernel.frames.read((yield* pte_offset(kernel, mms[0]!, PAGE))!);
        yield* kernel.frames.ref(pte_pfn(entry), 1);
        yield* try_to_merge_one_page(kernel, cpu, mms[0]!, PAGE, pte_pfn(entry) + 1);
      }),
    ).toBe(0);
  });
});
