import { FREED_FRAME, load, store, waitFor } from '@shootdown/machine';
import { everyRun, type EveryRun } from '@shootdown/machine/every-run';
import { user_mode } from '@shootdown/cpu';
import { tinyShape } from '@shootdown/mmu';
import { describe, expect, test } from 'vitest';
import { user_access } from '../fault.ts';
import { use_mm } from '../kernel.ts';
import { BASE, mmMachine, runMachine, type Body, type CountedRun } from '../machines.test-support.ts';
import { madvise_dontneed, mmap, munmap } from '../mmap.ts';
import { pgd_alloc } from '../pgtable.ts';
import { VM_DATA_DEFAULT_FLAGS } from '../vma.ts';
import {
  HypercallCounter,
  hypercallTlbFlush,
  type HypercallMutant,
  type HypercallTlbOptions,
} from './hypercall-tlb.ts';
import { TLB_NR_DYN_ASIDS, X86Counter } from './x86-state.ts';

const NEIGHBOUR = BASE - 8;

/** CPU 1 runs the mm and has the neighbour in its TLB; it touches it again after CPU 0 has unmapped `pages` pages. */
function flushes(
  hypervisor: HypercallTlbOptions['hypervisor'],
  pages: number,
): { readonly counts: CountedRun['counts']; readonly generations: readonly number[] } {
  const generations: number[] = [];
  const machine = mmMachine({ cpus: 2, connected: true, x86: { flush_tlb_multi: hypercallTlbFlush({ hypervisor }) } }, [
    function* (m, cpu) {
      const mm = m.mms[0]!;
      yield* pgd_alloc(m.kernel, mm);
      yield* use_mm(m.kernel, cpu, mm);
      yield* mm.vmas.insert(NEIGHBOUR, NEIGHBOUR + 1, VM_DATA_DEFAULT_FLAGS);
      yield* store(m.flags.at(0), 1);
      yield* waitFor(m.flags.at(1), -1, 1);
      const start = yield* mmap(mm, BASE, pages);
      for (let page = start; page < start + pages; page++) yield* user_access(m.kernel, cpu, mm, page, true);
      yield* madvise_dontneed(m.kernel, cpu, mm, start, start + pages);
      for (const { id } of m.kernel.cpus) generations.push(yield* load(m.x86!.ctx_tlb_gen.at(id * TLB_NR_DYN_ASIDS)));
      yield* store(m.flags.at(0), 2);
    },
    function* (m, cpu) {
      const mm = m.mms[0]!;
      yield* waitFor(m.flags.at(0), -1, 1);
      yield* use_mm(m.kernel, cpu, mm);
      yield* user_access(m.kernel, cpu, mm, NEIGHBOUR, true);
      yield* user_access(m.kernel, cpu, mm, NEIGHBOUR, true);
      yield* store(m.flags.at(1), 1);
      yield* waitFor(m.flags.at(0), -1, 2);
      yield* user_access(m.kernel, cpu, mm, NEIGHBOUR, true);
      yield* user_mode(cpu);
    },
  ]);
  const { violation, run, counts } = runMachine(machine);
  expect([violation, run.end]).toEqual([null, 'rest']);
  return { counts, generations };
}

describe('a flush by hypercall', () => {
  test.each(['hyper-v', 'xen-pv'] as const)('%s: interrupts nobody, and no generation advances', (hypervisor) => {
    const { counts, generations } = flushes(hypervisor, 1);
    expect([counts[X86Counter.interrupts], counts[HypercallCounter.hypercalls]]).toEqual([undefined, [1, 0]]);
    expect(generations).toEqual([1, 1]);
  });

  test('Hyper-V takes a list of pages; Xen knows one page or everything, so that a neighbour goes too', () => {
    const misses = (hypervisor: HypercallTlbOptions['hypervisor'], pages: number): number =>
      flushes(hypervisor, pages).counts['tlb_miss']?.[1] ?? 0;
    const kept = misses('hyper-v', 1);
    expect([misses('xen-pv', 1), misses('hyper-v', 2), misses('xen-pv', 2)]).toEqual([kept, kept, kept + 1]);
  });
});

describe('page tables are freed while CPU 1 is lazy', () => {
  const PAGE = 0;
  const lazy: Body = function* ({ kernel, mms, flags }, cpu) {
    yield* waitFor(flags.at(0), -1, 1);
    yield* use_mm(kernel, cpu, mms[0]!);
    yield* kernel.arch.enter_lazy_tlb(cpu);
    yield* store(flags.at(1), 1);
  };
  const unmaps: Body = function* (m, cpu) {
    const mm = m.mms[0]!;
    yield* pgd_alloc(m.kernel, mm);
    yield* mm.vmas.insert(PAGE, PAGE + 1, VM_DATA_DEFAULT_FLAGS);
    yield* use_mm(m.kernel, cpu, mm);
    yield* user_access(m.kernel, cpu, mm, PAGE, true);
    yield* store(m.flags.at(0), 1);
    yield* waitFor(m.flags.at(1), -1, 1);
    yield* munmap(m.kernel, cpu, mm, PAGE, PAGE + 1);
  };
  /** With a third CPU the mask is not HV_FLUSH_ALL_PROCESSORS, which would look at nobody. */
  const runs = (mutant?: HypercallMutant): EveryRun =>
    everyRun(
      mmMachine(
        {
          cpus: 3,
          shape: tinyShape(2, 2),
          tables: 4,
          pages: 3,
          tlb: 'saturated',
          watched: [PAGE],
          connected: true,
          x86: { flush_tlb_multi: hypercallTlbFlush({ hypervisor: 'hyper-v', ...(mutant && { mutant }) }) },
        },
        [unmaps, lazy],
      ).system,
    );

  test('it is flushed as well', () => {
    expect(runs()).toMatchObject({ violations: new Set(), deadlock: false });
  });

  test('if it were skipped as it is otherwise, it would walk a freed table', () => {
    expect(runs('lazy CPUs keep freed tables').violations).toEqual(new Set([FREED_FRAME]));
  });
});
