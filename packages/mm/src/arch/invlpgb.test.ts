import { load, store, waitFor } from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { user_mode } from '@shootdown/cpu';
import { tinyShape } from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import { kswapd_shrink_node } from '../daemons/kswapd.ts';
import { user_access } from '../fault.ts';
import { use_mm } from '../kernel.ts';
import {
  BASE,
  mmMachine,
  runMachine,
  type Body,
  type CountedRun,
  type MachineOptions,
} from '../machines.test-support.ts';
import { madvise_dontneed, mmap, munmap } from '../mmap.ts';
import { pgd_alloc } from '../pgtable.ts';
import { VM_DATA_DEFAULT_FLAGS } from '../vma.ts';
import { globalAsidOf, InvlpgbCounter, use_global_asid } from './invlpgb.ts';
import { X86Counter } from './x86-state.ts';

const HZ = 1000;
const SIZE = { pages: 40, tables: 40, connected: true };

/** The other CPUs run the mm and compute. */
const computes: Body = function* ({ kernel, mms, flags }, cpu) {
  yield* waitFor(flags.at(0), -1, 1);
  yield* use_mm(kernel, cpu, mms[0]!);
  yield* store(flags.at(1 + cpu.id), 1);
  yield* user_mode(cpu);
};

/** CPU 0 maps and unmaps as many pages as each number says, when all CPUs run the mm. */
function flushes(
  cpus: number,
  lengths: readonly number[],
  options: Partial<MachineOptions> & { readonly global?: boolean; readonly now?: number } = {},
): CountedRun & { readonly globalAsid: number } {
  let globalAsid = -1;
  const first: Body = function* (m, cpu) {
    const mm = m.mms[0]!;
    yield* pgd_alloc(m.kernel, mm);
    yield* use_mm(m.kernel, cpu, mm);
    yield* store(m.flags.at(0), 1);
    for (let other = 1; other < cpus; other++) yield* waitFor(m.flags.at(1 + other), -1, 1);
    yield* store(m.jiffies.at(0), options.now ?? 0);
    if (options.global) yield* use_global_asid(m.x86!, mm);
    for (const pages of lengths) {
      const start = yield* mmap(mm, BASE, pages);
      for (let page = start; page < start + pages; page++) yield* user_access(m.kernel, cpu, mm, page, true);
      yield* madvise_dontneed(m.kernel, cpu, mm, start, start + pages);
    }
    globalAsid = yield* load(mm.global_asid.at(0));
  };
  const counted = runMachine(
    mmMachine({ ...SIZE, cpus, ...options, x86: { invlpgb: {}, ...options.x86 } }, [
      first,
      ...Array.from({ length: cpus - 1 }, () => computes),
    ]),
  );
  expect([counted.violation, counted.run.end]).toEqual([null, 'rest']);
  return { ...counted, globalAsid };
}

describe('broadcast_tlb_flush()', () => {
  test('interrupts CPUs only until all of them use the global ASID', () => {
    const { counts } = flushes(2, [1, 1, 1], { global: true });
    expect(counts[X86Counter.interrupts]).toEqual([0, 1]);
    expect([counts[InvlpgbCounter.invlpgb], counts[InvlpgbCounter.tlbsync]]).toEqual([
      [3, 0],
      [3, 0],
    ]);
  });

  test.each([
    [1, 1],
    [8, 1],
    [9, 2],
    [17, 3],
  ])('%i pages take %i INVLPGB', (pages, instructions) => {
    expect(flushes(2, [pages], { global: true }).counts[InvlpgbCounter.invlpgb]).toEqual([instructions, 0]);
  });

  test('more pages than the ceiling take one, for the whole PCID', () => {
    expect(
      flushes(2, [5], { global: true, x86: { invlpgb: { countMax: 1 }, ceiling: 4 } }).counts[InvlpgbCounter.invlpgb],
    ).toEqual([1, 0]);
  });
});

describe('consider_global_asid()', () => {
  test.each([
    ['an mm that is busy on four CPUs gets a global ASID', 4, 1, globalAsidOf(1)],
    ['on three it gets none', 3, 1, 0],
    ['nor if it is flushed at another jiffy than one in 32', 4, 2, 0],
  ])('%s', (_, cpus, now, expected) => {
    const { jiffies } = mmMachine({ ...SIZE, cpus, x86: { invlpgb: {} } }, []);
    const options = { now, x86: { jiffies: { address: jiffies.at(0), hz: HZ } } };
    expect(flushes(cpus, [1], options).globalAsid).toBe(expected);
  });
});

describe('page tables are freed while another CPU is lazy', () => {
  const PAGE = 0;
  test('INVLPGB reaches it too', () => {
    const { system } = mmMachine(
      {
        cpus: 2,
        shape: tinyShape(2, 2),
        tables: 4,
        pages: 3,
        tlb: 'saturated',
        watched: [PAGE],
        connected: true,
        x86: { invlpgb: {} },
      },
      [
        function* (m, cpu) {
          const mm = m.mms[0]!;
          yield* pgd_alloc(m.kernel, mm);
          yield* mm.vmas.insert(PAGE, PAGE + 1, VM_DATA_DEFAULT_FLAGS);
          yield* use_global_asid(m.x86!, mm);
          yield* use_mm(m.kernel, cpu, mm);
          yield* user_access(m.kernel, cpu, mm, PAGE, true);
          yield* store(m.flags.at(0), 1);
          yield* waitFor(m.flags.at(1), -1, 1);
          yield* munmap(m.kernel, cpu, mm, PAGE, PAGE + 1);
        },
        function* ({ kernel, mms, flags }, cpu) {
          yield* waitFor(flags.at(0), -1, 1);
          yield* use_mm(kernel, cpu, mms[0]!);
          yield* kernel.arch.enter_lazy_tlb(cpu);
          yield* store(flags.at(1), 1);
        },
      ],
    );
    expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
  });
});

test('a lazy CPU is told as long as CPUs change to the global ASID, so that all have in the end', () => {
  let transition = -1;
  const flushesTwice: Body = function* (m, cpu) {
    const mm = m.mms[0]!;
    yield* pgd_alloc(m.kernel, mm);
    yield* use_mm(m.kernel, cpu, mm);
    yield* store(m.flags.at(0), 1);
    yield* waitFor(m.flags.at(1), -1, 1);
    yield* use_global_asid(m.x86!, mm);
    for (let i = 0; i < 2; i++) {
      const start = yield* mmap(mm, BASE, 1);
      yield* user_access(m.kernel, cpu, mm, start, true);
      yield* madvise_dontneed(m.kernel, cpu, mm, start, start + 1);
    }
    transition = yield* load(mm.asid_transition.at(0));
  };
  const idles: Body = function* ({ kernel, mms, flags }, cpu) {
    yield* waitFor(flags.at(0), -1, 1);
    yield* use_mm(kernel, cpu, mms[0]!);
    yield* kernel.arch.enter_lazy_tlb(cpu);
    yield* store(flags.at(1), 1);
    yield* user_mode(cpu);
  };
  const { violation, run } = runMachine(mmMachine({ ...SIZE, cpus: 2, x86: { invlpgb: {} } }, [flushesTwice, idles]));
  expect([violation, run.end, transition]).toEqual([null, 'rest', 0]);
});

test('the flush that reclaim has put off reaches CPUs that use a global ASID', () => {
  const PAGE = 0;
  const { system } = mmMachine(
    {
      cpus: 2,
      shape: tinyShape(2, 2),
      tables: 4,
      pages: 3,
      tlb: 'saturated',
      watched: [PAGE],
      connected: true,
      reclaim: 'complete',
      x86: { invlpgb: {} },
    },
    [
      function* (m, cpu) {
        const mm = m.mms[0]!;
        yield* pgd_alloc(m.kernel, mm);
        yield* mm.vmas.insert(PAGE, PAGE + 1, VM_DATA_DEFAULT_FLAGS);
        yield* use_global_asid(m.x86!, mm);
        yield* use_mm(m.kernel, cpu, mm);
        yield* user_access(m.kernel, cpu, mm, PAGE, true);
        yield* store(m.flags.at(0), 1);
        yield* waitFor(m.flags.at(1), -1, 1);
        for (let i = 0; i < 3; i++) yield* kswapd_shrink_node(m.kernel, cpu, mm, m.hand, 1);
      },
      function* ({ kernel, mms, flags }, cpu) {
        yield* waitFor(flags.at(0), -1, 1);
        yield* use_mm(kernel, cpu, mms[0]!);
        yield* store(flags.at(1), 1);
        yield* kernel.mmus[cpu.id]!.access(PAGE, false);
      },
    ],
  );
  expect(everyRun(system)).toMatchObject({ violations: new Set(), deadlock: false });
});
