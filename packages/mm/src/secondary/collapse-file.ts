/**
 * khugepaged on shared memory: the page cache has a huge page, and a page table that maps parts of it one by one is
 * taken away, so that it can be mapped whole. Mirrors mm/khugepaged.c, collapse_pte_mapped_thp(), v6.1, and what it
 * forgot before f268f6cf875f.
 */
import { load, routine, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { indexOf, pte_pfn, pte_present, type WalkLevel } from '@shootdown/mmu';
import { pte_lock, pte_unlock, type Kernel, type Mm } from '../kernel.ts';
import { invalidate_range_end, invalidate_range_start } from '../notify.ts';

/**
 * Takes away the table that maps the page, on a tree of two levels. Some time later the page is reclaimed: its rmap
 * says that nobody maps it.
 * @param notifies false: before f268f6cf875f no secondary MMU was told
 */
export const collapse_pte_mapped_thp = routine(
  'collapse_pte_mapped_thp',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, notifies: boolean): Steps {
    const { frames, shape } = kernel;
    const level = shape.levels[0] as WalkLevel;
    const [start, end] = [vpn - (vpn % level.spanPages), vpn - (vpn % level.spanPages) + level.spanPages];
    const root = (yield* load(mm.pgd.at(0), { label: 'pmd_offset(mm, addr)' })) - 1;
    const pmd = frames.entry(root, indexOf(level, vpn));
    yield* mm.mmap_write_lock();
    if (notifies) yield* invalidate_range_start(kernel, mm, start, end);
    yield* pte_lock(kernel, root);
    const table = yield* frames.read(pmd, { label: 'pmdp_get()' });
    yield* frames.xchg(pmd, 0, { label: 'pmdp_collapse_flush(pmd)' });
    yield* kernel.arch.flush_tlb_mm_range(cpu, mm, start, end, true);
    yield* pte_unlock(kernel, root);
    if (notifies) yield* invalidate_range_end(kernel, mm, start, end);
    yield* mm.mmap_write_unlock();
    // pte_free_defer() frees the table after a grace period, which is not what this is about: nobody frees it here.
    const pte = yield* frames.read(frames.entry(pte_pfn(table), vpn % level.spanPages), {
      label: '(page of the old table)',
    });
    if (pte_present(pte))
      yield* frames.put(pte_pfn(pte), { label: `(later: page 0x${pte_pfn(pte).toString(16)} is reclaimed)` });
  },
);
