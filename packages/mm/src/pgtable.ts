/**
 * Software walks of a simulated tree, and freeing of its tables.
 * Mirrors mm/memory.c: pte_alloc_map(), pmd_install(), free_pgd_range(), v6.18. Addresses are virtual page numbers.
 */
import {
  FrameKind,
  load,
  ModelError,
  NO_FRAME,
  routine,
  smp_wmb,
  store,
  type EntryPointer,
  type Steps,
  noted,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_PSE, _PAGE_TABLE, indexOf, mk_pte, pte_pfn, pte_present, type WalkLevel } from '@shootdown/mmu';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import { tlb_remove_table, type MmuGather } from './mmu-gather.ts';

/** mm_init(): gives an mm its root table and what the architecture keeps for it. */
export const pgd_alloc = routine('pgd_alloc', function* (kernel: Kernel, mm: Mm): Steps<number> {
  const root = yield* kernel.frames.alloc(FrameKind.table);
  if (root === NO_FRAME)
    throw new ModelError(
      `mm: pgd_alloc: out of table frames (${kernel.frames.tables}): give the machine more (memory.tables)`,
    );
  yield* store(mm.mm_count.at(0), 1, { label: 'mm->mm_count = 1' });
  yield* kernel.arch.init_new_context(mm);
  yield* store(mm.pgd.at(0), root + 1, { label: 'mm->pgd = pgd' });
  return root;
});

/** pgd_free(): the root goes. Nobody may walk it any more. */
export const pgd_free = routine('pgd_free', function* (kernel: Kernel, mm: Mm): Steps {
  const root = (yield* load(mm.pgd.at(0), { label: 'mm->pgd' })) - 1;
  yield* store(mm.pgd.at(0), 0, { label: 'mm->pgd = NULL' });
  yield* kernel.frames.free(root, { label: 'pgd_free()' });
});

/** The table that mm->pgd names. Throws ModelError if there is none. */
export function rootOf({ id }: Mm, pgd: number): number {
  if (pgd === 0)
    throw new ModelError(
      `mm: pgd_offset: mm${id} has no page table: its process has not started, or has exited while a thread goes on`,
    );
  return pgd - 1;
}

/**
 * Walks to the last-level entry of a page, without allocating: null where a table is missing, or a huge page is mapped.
 * Reads every level, as pgd_offset() .. pte_offset_map() do.
 */
export const pte_offset = noted(function* pte_offset(kernel: Kernel, mm: Mm, vpn: number): Steps<EntryPointer | null> {
  const { levels } = kernel.shape;
  let table = rootOf(mm, yield* load(mm.pgd.at(0), { label: 'pgd_offset(mm, addr)' }));
  for (const level of levels.slice(0, -1)) {
    const entry = yield* kernel.frames.read(kernel.frames.entry(table, indexOf(level, vpn)), {
      label: `${level.name}p_get()`,
    });
    if (!pte_present(entry) || (entry & _PAGE_PSE) !== 0) return null;
    table = pte_pfn(entry);
  }
  return kernel.frames.entry(table, indexOf(levels.at(-1) as WalkLevel, vpn));
});

/**
 * Like {@link pte_offset}, allocating the tables that are missing (__pte_alloc() and relatives); null when out of
 * memory.
 */
export const pte_alloc = routine(
  'pte_alloc',
  function* (kernel: Kernel, mm: Mm, vpn: number): Steps<EntryPointer | null> {
    const { frames, shape } = kernel;
    let table = rootOf(mm, yield* load(mm.pgd.at(0), { label: 'pgd_offset(mm, addr)' }));
    for (const level of shape.levels.slice(0, -1)) {
      const pointer = frames.entry(table, indexOf(level, vpn));
      let entry = yield* frames.read(pointer, { label: `${level.name}p_get()` });
      if (!pte_present(entry)) {
        const fresh = yield* frames.alloc(FrameKind.table);
        if (fresh === NO_FRAME) return null;
        // Another fault may have been faster: whoever populates first wins, under the table's lock.
        yield* pte_lock(kernel, table);
        entry = yield* frames.read(pointer, { label: `${level.name}p_get()` });
        if (pte_present(entry)) yield* frames.free(fresh);
        else {
          entry = mk_pte(fresh, _PAGE_TABLE);
          // pmd_install(): who walks without the lock must not come upon the table before its entries are empty.
          yield* smp_wmb();
          yield* frames.write(pointer, entry, { label: `${level.name}_populate()` });
        }
        yield* pte_unlock(kernel, table);
      }
      table = pte_pfn(entry);
    }
    return frames.entry(table, indexOf(shape.levels.at(-1) as WalkLevel, vpn));
  },
);

/**
 * free_pgd_range(): unlinks the tables of [start, end) that nothing else in [floor, ceiling) needs and queues them.
 * @param floor end of the area below; no table that reaches below it is freed
 * @param ceiling start of the area above, Infinity if there is none
 * @param cpu who runs this: needed where batches of tables are bounded ({@link Kernel.tableFreeing})
 */
export const free_pgd_range = routine(
  'free_pgd_range',
  function* (
    kernel: Kernel,
    tlb: MmuGather,
    start: number,
    end: number,
    floor: number,
    ceiling: number,
    cpu?: Cpu,
  ): Steps {
    const root = rootOf(tlb.mm, yield* load(tlb.mm.pgd.at(0), { label: 'pgd_offset(mm, addr)' }));
    yield* free_range(kernel, cpu, tlb, root, 0, start, end, floor, ceiling);
  },
);

/** Frees below one table at depth `depth`: the shape of free_p4d_range(), free_pud_range() and free_pmd_range(). */
function* free_range(
  kernel: Kernel,
  cpu: Cpu | undefined,
  tlb: MmuGather,
  table: number,
  depth: number,
  start: number,
  end: number,
  floor: number,
  ceiling: number,
): Steps {
  const level = kernel.shape.levels[depth] as WalkLevel;
  if (depth === kernel.shape.levels.length - 1) return;
  for (let addr = alignDown(start, level.spanPages); addr < end; addr += level.spanPages) {
    const pointer = kernel.frames.entry(table, indexOf(level, addr));
    const entry = yield* kernel.frames.read(pointer, { label: `${level.name}p_get()` });
    if (!pte_present(entry)) continue;
    const from = Math.max(start, addr);
    const to = Math.min(end, addr + level.spanPages);
    yield* free_range(kernel, cpu, tlb, pte_pfn(entry), depth + 1, from, to, floor, ceiling);
    // Somebody else's area begins or ends in this table's span: it stays.
    if (addr < floor || addr + level.spanPages > ceiling) continue;
    yield* kernel.frames.write(pointer, 0, { label: `${level.name}_clear()` });
    yield* tlb_remove_table(kernel, cpu, tlb, addr, pte_pfn(entry));
  }
}

/** The multiple of `span` at or below `vpn`. */
export function alignDown(vpn: number, span: number): number {
  return vpn - (vpn % span);
}
