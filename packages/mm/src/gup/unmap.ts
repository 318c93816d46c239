/**
 * The removers: munmap() and madvise(MADV_DONTNEED) of everything that is mapped, and the freeing of its tables in
 * every era.
 *
 * Mirrors mm/memory.c (zap_pte_range, free_pte_range) and mm/mmu_gather.c, v5.16 to v7.1. Locks that nobody else here
 * takes (mmap_lock, the page-table lock) are left out.
 */
import {
  checkedOnce,
  checkValues,
  FrameKind,
  is,
  local,
  point,
  routine,
  wordsOf,
  type Routine,
  type Steps,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { PMD_TABLE, PTE_TABLE, type GupKernel } from './kernel.ts';
import type { Kernel, Mm } from '../kernel.ts';
import { unmap_page_range } from '../mmap.ts';
import {
  MmuGather,
  TABLE_FREEING_VALUES,
  tlb_finish_mmu,
  tlb_flush_mmu,
  tlb_gather_mmu,
  tlb_remove_table,
  type TableFreeing,
} from '../mmu-gather.ts';
import { free_pgd_range } from '../pgtable.ts';
import { zap_pte_range } from '../zap.ts';

/** What is unmapped. `munmap` also frees the tables; `dontneed` leaves them. */
export type Unmap = 'munmap' | 'dontneed';

/** What a remover is built from. */
export interface UnmapDesign {
  readonly tableFreeing: TableFreeing;
  readonly unmap: Unmap;
}

const checkUnmap = checkedOnce((design: UnmapDesign) =>
  checkValues(
    'gup: unmap_region: design',
    design,
    {
      tableFreeing: is.options(TABLE_FREEING_VALUES, ['batch', 'allocation', 'one', 'free']),
      unmap: is.oneOf(wordsOf<Unmap>()('munmap', 'dontneed')),
    },
    ['tableFreeing', 'unmap'],
  ),
);

/** Unmaps the pages; then their frames come into other hands at once, as the allocator may do. */
export const unmap_region = routine(
  'unmap_region',
  function* (kernel: GupKernel, cpu: Cpu, design: UnmapDesign): Steps {
    const { tableFreeing, unmap } = checkUnmap(design);
    const { frames, mm } = kernel;
    const tlb = yield* local(new MmuGather(mm, false, tableFreeing));
    for (let i = 0; i < kernel.tables; i++)
      yield* zap_pte_range(kernel, cpu, tlb, frames.entry(PTE_TABLE + i, 0), i, i + 1);
    if (unmap === 'munmap') {
      for (let i = 0; i < kernel.tables; i++) {
        yield* point('free_pte_range', i);
        yield* free_pte_range(kernel, cpu, tlb, i);
      }
    }
    yield* point('tlb_finish_mmu');
    yield* tlb_flush_mmu(kernel, cpu, tlb);
    for (let i = 0; i < kernel.tables; i++) {
      yield* point('reuse', i);
      yield* frames.alloc(FrameKind.page, { label: 'alloc_page()' });
    }
  },
);

const free_pte_range = routine(
  'free_pte_range',
  function* (kernel: GupKernel, cpu: Cpu, tlb: MmuGather, i: number): Steps {
    yield* kernel.frames.write(kernel.frames.entry(PMD_TABLE, i), 0, { label: 'pmd_clear(pmd)' });
    yield* tlb_remove_table(kernel, cpu, tlb, i, PTE_TABLE + i);
  },
);

/** A kernel with address spaces of its own. */
interface AnyKernel {
  readonly kernel: Kernel;
  readonly mms: readonly Mm[];
}

/**
 * The same by the kernel's usual functions: the first page of a range of the first mm is given back, and all tables
 * that lead to the range.
 */
export const unmap_region_with_tables = (start: number, end: number): Routine<readonly [AnyKernel, Cpu], void> =>
  routine('unmap_region', function* ({ kernel, mms }: AnyKernel, cpu: Cpu): Steps {
    const tlb = yield* tlb_gather_mmu(mms[0] as Mm);
    yield* unmap_page_range(kernel, cpu, tlb, start, start + 1);
    yield* free_pgd_range(kernel, tlb, start, end, 0, Number.POSITIVE_INFINITY);
    yield* tlb_finish_mmu(kernel, cpu, tlb);
  });
