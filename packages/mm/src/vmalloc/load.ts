/**
 * Mapping and unmapping of kernel memory in small pages: what vmalloc() and vfree() do between huge mappings.
 *
 * Mirrors mm/vmalloc.c, v6.18: vmap_pages_pud_range() and below, vunmap_pud_range() and below. Unmapping leaves the
 * tables; a huge mapping of the same range then frees them. A range belongs to one task, so that allocating a table
 * takes no lock (init_mm.page_table_lock is left out).
 */
import { FrameKind, ModelError, NO_FRAME, routine, work, type EntryPointer, type Steps } from '@shootdown/machine';
import { pageDescriptor, pxd_leaf, pxd_none, pxd_pgtable, pxd_table, tableDescriptor } from './descriptor.ts';
import type { VmallocKernel } from './kernel.ts';

const FIRST_PFN = 0x80;

/** Maps the range of a pud entry with small pages, in the tables that are there or in new ones. */
export const vmap_pages_pud_range = routine(
  'vmap_pages_pud_range',
  function* (kernel: VmallocKernel, pud: EntryPointer): Steps {
    const pmds = yield* tableBelow(kernel, pud, 'pud');
    for (let i = 0; i < kernel.tree.pmds; i++) yield* vmap_pages_pmd_range(kernel, kernel.frames.entry(pmds, i));
  },
);

const vmap_pages_pmd_range = routine(
  'vmap_pages_pmd_range',
  function* (kernel: VmallocKernel, pmd: EntryPointer): Steps {
    const ptes = yield* tableBelow(kernel, pmd, 'pmd');
    for (let i = 0; i < kernel.tree.ptes; i++)
      yield* kernel.set(kernel.frames.entry(ptes, i), pageDescriptor(FIRST_PFN + i), 'pte');
  },
);

/** pmd_alloc_track(), pte_alloc_kernel_track(). */
function* tableBelow(kernel: VmallocKernel, entry: EntryPointer, level: 'pud' | 'pmd'): Steps<number> {
  const there = yield* kernel.get(entry, `${level}p_get`);
  if (pxd_table(there)) return pxd_pgtable(there);
  const table = yield* kernel.frames.alloc(FrameKind.table);
  if (table === NO_FRAME) throw new ModelError(`vmalloc: ${level}: out of table frames (${kernel.frames.tables})`);
  yield* kernel.set(entry, tableDescriptor(table), level);
  return table;
}

/** Unmaps the range of a pud entry: blocks, or the pages of its tables, which stay. */
export const vunmap_pud_range = routine(
  'vunmap_pud_range',
  function* (kernel: VmallocKernel, pud: EntryPointer): Steps {
    const entry = yield* kernel.get(pud, 'pudp_get');
    if (pxd_leaf(entry)) yield* kernel.clear(pud, 'pud');
    if (pxd_table(entry)) {
      for (let i = 0; i < kernel.tree.pmds; i++)
        yield* vunmap_pmd_range(kernel, kernel.frames.entry(pxd_pgtable(entry), i));
    }
    yield* work('dvm', { label: 'flush_tlb_kernel_range()' });
  },
);

const vunmap_pmd_range = routine('vunmap_pmd_range', function* (kernel: VmallocKernel, pmd: EntryPointer): Steps {
  const entry = yield* kernel.get(pmd, 'pmdp_get');
  if (pxd_leaf(entry)) yield* kernel.clear(pmd, 'pmd');
  if (!pxd_table(entry)) return;
  for (let i = 0; i < kernel.tree.ptes; i++) {
    const pte = kernel.frames.entry(pxd_pgtable(entry), i);
    if (!pxd_none(yield* kernel.get(pte, '__ptep_get'))) yield* kernel.clear(pte, 'pte');
  }
});
