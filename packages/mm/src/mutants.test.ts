/**
 * What every guard is for: the kernel's way is safe in every run of a small machine, and leaving out one guard is not.
 */
import { FREED_FRAME, load, store, waitFor, type Steps } from '@shootdown/machine';
import { local_irq_restore, local_irq_save } from '@shootdown/cpu';
import { STALE_TRANSLATION, tinyShape, pte_pfn, pte_present } from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import type { X86TlbMutant } from './arch/x86-state.ts';
import { everyRun, type EveryRun } from '@shootdown/machine/every-run';
import { user_access } from './fault.ts';
import { use_mm } from './kernel.ts';
import { mmMachine, type Body, type Machine, type MachineOptions } from './machines.test-support.ts';
import { madvise_dontneed, munmap, unmap_page_range } from './mmap.ts';
import { tlb_finish_mmu, tlb_gather_mmu } from './mmu-gather.ts';
import { free_pgd_range, pgd_alloc, pte_offset } from './pgtable.ts';
import { VM_DATA_DEFAULT_FLAGS } from './vma.ts';

type Cpu = Parameters<Body>[1];
type Remover = (m: Machine, cpu: Cpu) => Steps;

const PAGE = 0;
const NEIGHBOUR = 1;
const TINY = tinyShape(2, 2);

/** CPU 0 has touched both pages and lets CPU 1 come; then it removes PAGE while CPU 1 does what it is told. */
function machine(remove: Remover, other: Body, options: Partial<MachineOptions> = {}): Machine {
  return mmMachine(
    { cpus: 2, mms: 2, shape: TINY, tables: 6, pages: 3, tlb: 'saturated', watched: [PAGE, NEIGHBOUR], ...options },
    [
      function* (m, cpu) {
        const mm = m.mms[0]!;
        yield* pgd_alloc(m.kernel, mm);
        yield* mm.vmas.insert(PAGE, NEIGHBOUR + 1, VM_DATA_DEFAULT_FLAGS);
        yield* use_mm(m.kernel, cpu, mm);
        for (const vpn of [PAGE, NEIGHBOUR]) yield* user_access(m.kernel, cpu, mm, vpn, true);
        yield* store(m.flags.at(0), 1);
        yield* waitFor(m.flags.at(1), -1, 1);
        yield* remove(m, cpu);
      },
      other,
    ],
  );
}

/** Runs in the mm, and touches the page once at any time. */
const runs: Body = function* ({ kernel, mms, flags }, cpu) {
  yield* waitFor(flags.at(0), -1, 1);
  yield* use_mm(kernel, cpu, mms[0]!);
  yield* store(flags.at(1), 1);
  yield* kernel.mmus[cpu.id]!.access(PAGE, false);
};

const SAFE: Partial<EveryRun> = { violations: new Set(), deadlock: false };

describe('removing a page', () => {
  const removers: Record<string, Remover> = {
    'munmap()': ({ kernel, mms }, cpu) => munmap(kernel, cpu, mms[0]!, PAGE, PAGE + 1),
    MADV_DONTNEED: ({ kernel, mms }, cpu) => madvise_dontneed(kernel, cpu, mms[0]!, PAGE, PAGE + 1),
  };

  const mutants: Record<string, Remover> = {
    'the flush is skipped': function* ({ kernel, mms }, cpu) {
      const tlb = yield* tlb_gather_mmu(mms[0]!);
      yield* unmap_page_range(kernel, cpu, tlb, PAGE, PAGE + 1);
      for (const frame of tlb.pages) yield* kernel.frames.put(frame);
    },
    'the page is freed before the flush': function* ({ kernel, mms }, cpu) {
      const tlb = yield* tlb_gather_mmu(mms[0]!);
      yield* unmap_page_range(kernel, cpu, tlb, PAGE, PAGE + 1);
      for (const frame of tlb.pages.splice(0)) yield* kernel.frames.put(frame);
      yield* tlb_finish_mmu(kernel, cpu, tlb);
    },
    'the flush comes before the clear': function* ({ kernel, mms }, cpu) {
      const ptep = (yield* pte_offset(kernel, mms[0]!, PAGE))!;
      yield* kernel.arch.flush_tlb_mm_range(cpu, mms[0]!, PAGE, PAGE + 1, false);
      yield* kernel.frames.put(pte_pfn(yield* kernel.frames.xchg(ptep, 0)));
    },
    'only the own CPU is flushed': function* ({ kernel, mms }, cpu) {
      const ptep = (yield* pte_offset(kernel, mms[0]!, PAGE))!;
      const old = yield* kernel.frames.xchg(ptep, 0);
      yield* kernel.mmus[cpu.id]!.invlpg(PAGE);
      yield* kernel.frames.put(pte_pfn(old));
    },
  };

  describe.each(['x86', 'arm64'] as const)('%s', (arch) => {
    test.each(Object.entries(removers))('%s is safe in every run', (_, remove) => {
      expect(everyRun(machine(remove, runs, { arch }).system)).toMatchObject(SAFE);
    });

    test.each(Object.entries(mutants))('if %s, the other CPU uses a freed page', (_, remove) => {
      expect(everyRun(machine(remove, runs, { arch }).system).violations).toEqual(new Set([FREED_FRAME]));
    });
  });
});

describe('removing the page tables', () => {
  const everything: Remover = ({ kernel, mms }, cpu) => munmap(kernel, cpu, mms[0]!, PAGE, NEIGHBOUR + 1);
  const lazy: Body = function* ({ kernel, mms, flags }, cpu) {
    yield* waitFor(flags.at(0), -1, 1);
    yield* use_mm(kernel, cpu, mms[0]!);
    yield* kernel.arch.enter_lazy_tlb(cpu);
    yield* store(flags.at(1), 1);
  };

  test.each(['x86', 'arm64'] as const)(
    '%s: munmap() is safe while another CPU is lazy: it may walk, although it never asks to',
    (arch) => {
      expect(everyRun(machine(everything, lazy, { arch }).system)).toMatchObject(SAFE);
    },
  );

  test('x86: a lazy CPU that gets no IPI for freed tables walks a freed table', () => {
    expect(
      everyRun(machine(everything, lazy, { x86: { mutant: 'lazy CPUs keep freed tables' } }).system).violations,
    ).toEqual(new Set([FREED_FRAME]));
  });

  const withoutFreedTables: Remover = function* ({ kernel, mms }, cpu) {
    const tlb = yield* tlb_gather_mmu(mms[0]!);
    yield* unmap_page_range(kernel, cpu, tlb, PAGE, NEIGHBOUR + 1);
    yield* free_pgd_range(kernel, tlb, PAGE, NEIGHBOUR + 1, 0, Number.POSITIVE_INFINITY);
    tlb.freed_tables = false;
    yield* tlb_finish_mmu(kernel, cpu, tlb);
  };

  test.each([
    ['x86', 'a lazy CPU is skipped'],
    ['arm64', 'TLBI VALE1 leaves the walk caches'],
  ] as const)('%s: a gather that does not say freed_tables is not enough: %s', (arch, _why) => {
    expect(everyRun(machine(withoutFreedTables, lazy, { arch }).system).violations).toEqual(new Set([FREED_FRAME]));
  });
});

describe('removing the page tables under a walk that takes no lock', () => {
  const everything: Remover = ({ kernel, mms }, cpu) => munmap(kernel, cpu, mms[0]!, PAGE, NEIGHBOUR + 1);

  /** Walks with interrupts off, as GUP-fast does; the root stays, the table below it may not. */
  const walks: Body = function* ({ kernel: { frames, arch }, mms, flags }, cpu) {
    yield* waitFor(flags.at(0), -1, 1);
    yield* arch.switch_mm(cpu, mms[0]!);
    yield* store(flags.at(1), 1);
    const irqs = yield* local_irq_save(cpu);
    const root = (yield* load(mms[0]!.pgd.at(0))) - 1;
    const entry = yield* frames.read(frames.entry(root, 0));
    if (pte_present(entry)) yield* frames.read(frames.entry(pte_pfn(entry), 0));
    yield* local_irq_restore(cpu, irqs);
  };

  test.each([
    ['x86', 'by IPI, which waits for the walk', false, []],
    ['arm64', 'by TLBI, which does not', false, [FREED_FRAME]],
    ['arm64', 'by TLBI, and RCU does', true, []],
  ] as const)('%s flushes %s', (arch, _, rcu, found) => {
    expect(
      everyRun(machine(everything, walks, { arch, rcu, tables: 4 }).system, undefined, undefined, 400_000),
    ).toMatchObject({ violations: new Set(found), deadlock: false });
  });

  test('arm64: RCU helps nobody if the tables are handed to it before the flush: hardware walks them still', () => {
    const early: Remover = function* ({ kernel, mms }, cpu) {
      const tlb = yield* tlb_gather_mmu(mms[0]!);
      yield* unmap_page_range(kernel, cpu, tlb, PAGE, NEIGHBOUR + 1);
      yield* free_pgd_range(kernel, tlb, PAGE, NEIGHBOUR + 1, 0, Number.POSITIVE_INFINITY);
      yield* kernel.tlb_remove_table_free!(tlb.tables.splice(0));
      yield* tlb_finish_mmu(kernel, cpu, tlb);
    };
    expect(
      everyRun(machine(early, walks, { arch: 'arm64', rcu: true, tables: 4 }).system, undefined, undefined, 400_000)
        .violations,
    ).toEqual(new Set([FREED_FRAME]));
  });
});

describe('x86: a CPU that comes back to the mm while a page is removed', () => {
  const remove: Remover = ({ kernel, mms }, cpu) => madvise_dontneed(kernel, cpu, mms[0]!, PAGE, PAGE + 1);

  const leavesLazyMode: Body = function* ({ kernel, mms, flags }, cpu) {
    yield* waitFor(flags.at(0), -1, 1);
    yield* use_mm(kernel, cpu, mms[0]!);
    yield* kernel.arch.enter_lazy_tlb(cpu);
    yield* store(flags.at(1), 1);
    yield* kernel.arch.switch_mm(cpu, mms[0]!);
    yield* kernel.mmus[cpu.id]!.access(PAGE, false);
  };

  const switchesBack: Body = function* ({ kernel, mms, flags }, cpu) {
    yield* waitFor(flags.at(0), -1, 1);
    yield* pgd_alloc(kernel, mms[1]!);
    yield* use_mm(kernel, cpu, mms[0]!);
    yield* kernel.arch.switch_mm(cpu, mms[1]!);
    yield* store(flags.at(1), 1);
    yield* kernel.arch.switch_mm(cpu, mms[0]!);
    yield* kernel.mmus[cpu.id]!.access(PAGE, false);
  };

  const runsOf = (other: Body, mutant?: X86TlbMutant, memoryModel: 'sc' | 'tso' = 'sc'): EveryRun =>
    everyRun(
      machine(remove, other, { memoryModel, tables: 4, ...(mutant ? { x86: { mutant } } : {}) }).system,
      undefined,
      undefined,
      400_000,
    );

  test('from lazy mode: the look at tlb_gen makes it safe in every run', () => {
    expect(runsOf(leavesLazyMode)).toMatchObject(SAFE);
    expect(runsOf(leavesLazyMode, 'lazy mode ends without flush').violations).toEqual(new Set([STALE_TRANSLATION]));
  });

  test('from another mm: LOADED_MM_SWITCHING counts as loaded', () => {
    expect(runsOf(switchesBack)).toMatchObject(SAFE);
    expect(runsOf(switchesBack, 'no flush while switching').violations).toEqual(new Set([STALE_TRANSLATION]));
  });

  test('under tso the end of lazy mode needs a barrier before the look at tlb_gen; under sc it does not', () => {
    expect(runsOf(leavesLazyMode, 'no barrier after lazy mode')).toMatchObject(SAFE);
    expect(runsOf(leavesLazyMode, undefined, 'tso')).toMatchObject(SAFE);
    expect(runsOf(leavesLazyMode, 'no barrier after lazy mode', 'tso').violations).toEqual(
      new Set([STALE_TRANSLATION]),
    );
  });
});

describe('x86: two CPUs that flush at once', () => {
  const flushes = (vpn: number): Body =>
    function* ({ kernel, mms, flags }, cpu) {
      const mm = mms[0]!;
      if (cpu.id === 0) {
        yield* pgd_alloc(kernel, mm);
        yield* mm.vmas.insert(PAGE, NEIGHBOUR + 1, VM_DATA_DEFAULT_FLAGS);
        yield* use_mm(kernel, cpu, mm);
        for (const page of [PAGE, NEIGHBOUR]) yield* user_access(kernel, cpu, mm, page, true);
        yield* store(flags.at(0), 1);
        yield* waitFor(flags.at(1), -1, 1);
      } else {
        yield* waitFor(flags.at(0), -1, 1);
        yield* use_mm(kernel, cpu, mm);
        yield* store(flags.at(1), 1);
      }
      const ptep = (yield* pte_offset(kernel, mm, vpn))!;
      yield* kernel.frames.xchg(ptep, 0);
      yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
      for (const page of [PAGE, NEIGHBOUR]) yield* kernel.mmus[cpu.id]!.access(page, false);
    };

  const runsOf = (mutant?: X86TlbMutant): EveryRun =>
    everyRun(
      mmMachine(
        {
          cpus: 2,
          shape: TINY,
          tables: 4,
          pages: 3,
          tlb: 'saturated',
          watched: [PAGE, NEIGHBOUR],
          ...(mutant ? { x86: { mutant } } : {}),
        },
        [flushes(PAGE), flushes(NEIGHBOUR)],
      ).system,
    );

  test('a CPU that finds a generation missing flushes everything, so that the other page is gone too', () => {
    expect(runsOf()).toMatchObject(SAFE);
  });

  test('if it flushed its range only, the other page would be used after its flush completed', () => {
    expect(runsOf('partial flush skips generations').violations).toEqual(new Set([STALE_TRANSLATION]));
  });
});
