/**
 * khugepaged on shared memory: the small pages of a file have been replaced by a huge one in the page cache, and the page tables that
 * map them are taken away. Mirrors mm/khugepaged.c, retract_page_tables(), v6.6 and later, and what it forgot before v6.1.
 */
import { load, routine, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { indexOf, pte_pfn, pte_present, type WalkLevel } from '@shootdown/mmu';
import { pte_lock, pte_unlock, type Kernel, type Mm } from '../kernel.ts';
import { invalidate_range_end, invalidate_range_start } from './notify.ts';

/**
 * Takes away the table that maps the page, on a tree of two levels; then the page cache lets the page go.
 * @param notifies false: before f268f6cf875f no secondary MMU was told
 */
export const retract_page_tables = routine('retract_page_tables', function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, notifies: boolean): Steps {
  const { frames, shape } = kernel;
  const level = shape.levels[0] as WalkLevel;
  const [start, end] = [vpn - (vpn % level.spanPages), vpn - (vpn % level.spanPages) + level.spanPages];
  const root = (yield* load(mm.pgd.at(0), { label: 'pmd_offset(mm, addr)' })) - 1;
  const pmd = frames.entry(root, indexOf(level, vpn));
  if (notifies) yield* invalidate_range_start(kernel, mm, start, end);
  yield* pte_lock(kernel, root);
  const table = yield* frames.read(pmd, { label: 'pmdp_get()' });
  yield* frames.xchg(pmd, 0, { label: 'pmdp_collapse_flush(pmd)' });
  yield* kernel.arch.flush_tlb_mm_range(cpu, mm, start, end, true);
  yield* pte_unlock(kernel, root);
  if (notifies) yield* invalidate_range_end(kernel, mm, start, end);
  // pte_free_defer() frees the table after a grace period, which is not what this is about: nobody frees it here.
  const pte = yield* frames.read(frames.entry(pte_pfn(table), vpn % level.spanPages), { label: '(page of the old table)' });
  if (pte_present(pte)) yield* frames.put(pte_pfn(pte), { label: `folio_put(0x${pte_pfn(pte).toString(16)})` });
});
