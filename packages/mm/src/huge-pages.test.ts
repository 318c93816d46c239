/** The order in __split_huge_pmd(): what each step waits for, and what goes wrong if it does not. */
import {
  assertThat,
  Change,
  Frames,
  mutated,
  program,
  replaceRoutines,
  routine,
  smp_wmb,
  store,
  SystemBuilder,
  waitFor,
  type MemoryModel,
  type Steps,
  type System,
} from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import type { Cpu } from '@shootdown/cpu';
import {
  _PAGE_ACCESSED,
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_RW,
  _PAGE_TABLE,
  _PAGE_USER,
  BBML0,
  BREAK_BEFORE_MAKE,
  mk_pte,
  pte_pfn,
  pte_present,
  tinyShape,
} from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import { HugePages, pmd_offset, pmd_trans_huge, split_huge_pmds } from './huge-pages.ts';
import { Mm, pte_lock, pte_unlock, use_mm, type Kernel } from './kernel.ts';
import { mmMachine } from './machines.test-support.ts';
import { pgd_alloc, pte_alloc } from './pgtable.ts';
import { VM_DATA_DEFAULT_FLAGS } from './vma.ts';

const [PAGE, NEIGHBOUR, BEHIND] = [0, 1, 2];
const SMALL = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED;

type Part = 'invalidate' | 'flush' | 'set_ptes' | 'smp_wmb' | 'populate';
/** v6.18. */
const KERNEL: readonly Part[] = ['invalidate', 'flush', 'set_ptes', 'smp_wmb', 'populate'];
const FLUSH_FIRST: readonly Part[] = ['flush', 'invalidate', 'set_ptes', 'smp_wmb', 'populate'];
const POPULATE_FIRST: readonly Part[] = ['invalidate', 'flush', 'smp_wmb', 'populate', 'set_ptes'];

/** A system whose __split_huge_pmd() does what it is told in the order that it is told. */
function inOrder(system: System, parts: readonly Part[]): System {
  const __split_huge_pmd = function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number): Steps {
    const { frames, thp } = kernel;
    const pmd = (yield* pmd_offset(kernel, mm, vpn))!;
    yield* pte_lock(kernel, pmd.frame);
    const huge = yield* frames.read(pmd);
    const table = yield* thp!.withdraw(pte_pfn(huge));
    const does: Readonly<Record<Part, () => Steps>> = {
      invalidate: () => frames.write(pmd, huge & ~_PAGE_PRESENT),
      flush: () => kernel.arch.flush_tlb_mm_range(cpu, mm, PAGE, BEHIND, true),
      *set_ptes() {
        for (const i of [PAGE, NEIGHBOUR])
          yield* frames.write(frames.entry(table, i), mk_pte(pte_pfn(huge) + i, SMALL));
      },
      smp_wmb: () => smp_wmb(),
      populate: () => frames.write(pmd, mk_pte(table, _PAGE_TABLE)),
    };
    for (const part of parts) yield* does[part]();
    yield* pte_unlock(kernel, pmd.frame);
  };
  return replaceRoutines(system, { __split_huge_pmd });
}

describe('a split while another CPU uses the page beside', () => {
  /** CPU 0 maps a huge page, and splits it while CPU 1 reads its second page. */
  const system = (): System =>
    mmMachine(
      {
        cpus: 2,
        arch: 'arm64',
        shape: tinyShape(2, 2),
        tables: 2,
        pages: 2,
        tlb: 'saturated',
        watched: [NEIGHBOUR],
        breakBeforeMake: BBML0,
        thp: 'complete',
      },
      [
        function* ({ kernel, mms, flags }, cpu) {
          const mm = mms[0]!;
          yield* pgd_alloc(kernel, mm);
          yield* mm.vmas.insert(PAGE, BEHIND, VM_DATA_DEFAULT_FLAGS);
          const ptep = (yield* pte_alloc(kernel, mm, PAGE))!;
          const pmd = (yield* pmd_offset(kernel, mm, PAGE))!;
          const huge = yield* kernel.frames.allocPages(2);
          yield* kernel.thp!.deposit(huge, ptep.frame);
          yield* kernel.frames.write(pmd, mk_pte(huge, SMALL | _PAGE_PSE));
          yield* use_mm(kernel, cpu, mm);
          yield* store(flags.at(0), 1);
          yield* split_huge_pmds(kernel, cpu, mm, PAGE, NEIGHBOUR);
        },
        function* ({ kernel, mms, flags }, cpu) {
          yield* waitFor(flags.at(0), -1, 1);
          yield* use_mm(kernel, cpu, mms[0]!);
          yield* kernel.mmus[cpu.id]!.access(NEIGHBOUR, false);
        },
      ],
    ).system;

  test('arm64: the flush comes when the pmd is invalid, or that CPU fetches the huge page again', () => {
    for (const right of [system(), inOrder(system(), KERNEL)])
      expect(everyRun(right)).toMatchObject({ violations: new Set(), deadlock: false });
    expect(everyRun(inOrder(system(), FLUSH_FIRST)).violations).toEqual(new Set([BREAK_BEFORE_MAKE]));
  });
});

describe('a split while another CPU walks without the lock', () => {
  const FULL = 'a table that comes in the place of a huge page maps all of it';
  const [root, table, huge] = [0, 1, 2];

  function system(memoryModel: MemoryModel): System {
    const builder = new SystemBuilder({ memoryModel });
    const frames = new Frames(builder, {
      tables: 2,
      entriesPerTable: 2,
      pages: 2,
      initialTables: [[mk_pte(huge, SMALL | _PAGE_PSE)], []],
      pointsTo: pte_pfn,
    });
    const thp = new HugePages(builder, frames, function* () {});
    const mm = new Mm(builder, 1, { root, cpumask: 0 });
    const arch = { *flush_tlb_mm_range() {} };
    const ptl = builder.region('ptl', 2);
    const kernel = { builder, frames, shape: tinyShape(2, 2), thp, ptl, arch } as unknown as Kernel;
    const split = routine('split', function* (): Steps {
      yield* thp.deposit(huge, table);
      yield* split_huge_pmds(kernel, {} as Cpu, mm, PAGE, NEIGHBOUR);
    });
    const walk = routine('walk', function* (): Steps {
      const pmd = yield* frames.read((yield* pmd_offset(kernel, mm, NEIGHBOUR))!);
      if (!pte_present(pmd) || pmd_trans_huge(pmd)) return;
      const entry = yield* frames.read(frames.entry(pte_pfn(pmd), NEIGHBOUR));
      yield* assertThat(pte_present(entry), FULL, 'page 0x1');
    });
    for (const [i, body] of [split, walk].entries()) builder.processor({ name: `CPU${i}`, tasks: [program(body)] });
    return builder.build();
  }

  test.each(['sc', 'arm'] as const)('%s: the table is full before the pmd points to it', (model) => {
    for (const right of [system(model), inOrder(system(model), KERNEL)])
      expect(everyRun(right)).toMatchObject({ violations: new Set(), deadlock: false });
    expect(everyRun(inOrder(system(model), POPULATE_FIRST)).violations).toEqual(new Set([FULL]));
  });

  test('arm: so it is for every CPU, because of smp_wmb()', () => {
    const without = { routine: '__split_huge_pmd', word: 'smp_wmb', position: null, change: Change.leaveOut };
    const mutant = mutated(system('arm'), without);
    expect(everyRun(mutant.system).violations).toEqual(new Set([FULL]));
    expect(mutant.reached()).toBe(true);
  });
});
