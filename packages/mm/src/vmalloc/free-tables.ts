/**
 * pud_free_pmd_page() and pmd_free_pte_page(), in every version that was merged or posted. Mirrors arch/arm64/mm/mmu.c.
 *
 * Each takes the entry that still points to a table below which nothing is mapped any more, clears it, and frees that table
 * and what is below. The versions differ in what they do between the clear and the free, because ptdump may be in there.
 * The caller owns the virtual range: nobody else changes these entries.
 */
import { inlined, point, routine, type EntryPointer, type Routine, type Steps } from '@shootdown/machine';
import { percpu_down_read, percpu_up_read, static_branch_unlikely } from '@shootdown/sync';
import { pxd_none, pxd_pgtable, pxd_table } from './descriptor.ts';
import { mmap_read_lock, mmap_read_unlock } from '../mmap-lock.ts';
import type { VmallocKernel } from './kernel.ts';

/** Frees the table below an entry; returns 1, as the kernel's functions do. */
export type FreeTable = Routine<[kernel: VmallocKernel, cpu: number, entry: EntryPointer], number>;

/** One version of the pair. */
export interface FreeTables {
  readonly pmd_free_pte_page: FreeTable;
  readonly pud_free_pmd_page: FreeTable;
}

type Level = 'pud' | 'pmd';

/** What a version does with one entry and the table it points to. */
type Step = (kernel: VmallocKernel, cpu: number, entry: EntryPointer, level: Level, table: number) => Steps;

/** Children first, each treated as the entry itself: v6.17 and before, v1, and the series of July 2026. */
function childrenFirst(remove: Step): FreeTables {
  const pmd_free_pte_page: FreeTable = routine('pmd_free_pte_page', function* (kernel, cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (pxd_table(pmd)) yield* remove(kernel, cpu, pmdp, 'pmd', pxd_pgtable(pmd));
    return 1;
  });
  const pud_free_pmd_page: FreeTable = routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* kernel.routine(pmd_free_pte_page)(kernel, cpu, kernel.frames.entry(table, i));
    }
    yield* remove(kernel, cpu, pudp, 'pud', table);
    return 1;
  });
  return { pmd_free_pte_page, pud_free_pmd_page };
}

/**
 * The pud entry first, so that a walker can no longer find the children; these are then freed without asking anybody.
 * @param step what has to happen before the free: clear, flush, and wait for walkers
 */
function isolateFirst(step: Step): FreeTables {
  const isolate = inlined(step);
  const pmd_free_pte_page: FreeTable = routine('pmd_free_pte_page', function* (kernel, cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* isolate(kernel, cpu, pmdp, 'pmd', table);
    yield* free(kernel, table, 'pmd');
    return 1;
  });
  const pud_free_pmd_page: FreeTable = routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    yield* isolate(kernel, cpu, pudp, 'pud', table);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      const pmdp = kernel.frames.entry(table, i);
      const pmd = yield* kernel.get(pmdp, 'pmdp_get');
      if (pxd_none(pmd)) continue;
      yield* clearFlush(kernel, cpu, pmdp, 'pmd');
      yield* free(kernel, pxd_pgtable(pmd), 'pmd');
    }
    yield* free(kernel, table, 'pud');
    return 1;
  });
  return { pmd_free_pte_page, pud_free_pmd_page };
}

function* free(kernel: VmallocKernel, table: number, level: Level): Steps {
  yield* kernel.free(table, level === 'pud' ? 'pmd_free' : 'pte_free_kernel');
}

function* clearFlush(kernel: VmallocKernel, _cpu: number, entry: EntryPointer, level: Level): Steps {
  yield* kernel.clear(entry, level);
  yield* kernel.__flush_tlb_kernel_pgtable();
}

/** Returns when whoever held the lock for writing has released it: the lock is taken only for that. */
function* waitForWalkers(kernel: VmallocKernel): Steps {
  yield* mmap_read_lock(kernel.init_mm);
  yield* mmap_read_unlock(kernel.init_mm);
}

/** v6.17 and before: nothing between the clear and the free. Huge vmalloc was off with CONFIG_PTDUMP_DEBUGFS for that reason. */
export const beforeFix = childrenFirst(function* (kernel, cpu, entry, level, table) {
  yield* clearFlush(kernel, cpu, entry, level);
  yield* free(kernel, table, level);
});

/** v1, 20250530082021.18182-1-dev.jain@arm.com: every clear under the read lock. */
export const v1 = childrenFirst(function* (kernel, _cpu, entry, level, table) {
  yield* mmap_read_lock(kernel.init_mm);
  yield* kernel.clear(entry, level);
  yield* mmap_read_unlock(kernel.init_mm);
  yield* kernel.__flush_tlb_kernel_pgtable();
  yield* free(kernel, table, level);
});

/** v2: as v1, but the pud entry is isolated first, so that the lock is taken once. */
export const v2 = isolateFirst(function* (kernel, _cpu, entry, level) {
  yield* mmap_read_lock(kernel.init_mm);
  yield* kernel.clear(entry, level);
  yield* mmap_read_unlock(kernel.init_mm);
  yield* kernel.__flush_tlb_kernel_pgtable();
});

/** v3 to v6, merged as fa93b45fd397: isolate, flush, and wait on the lock if the key is on. */
export const __pmd_free_pte_page = routine(
  '__pmd_free_pte_page',
  function* (kernel: VmallocKernel, pmdp: EntryPointer, acquire_mmap_lock: boolean): Steps<number> {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* kernel.clear(pmdp, 'pmd');
    yield* kernel.__flush_tlb_kernel_pgtable();
    if ((yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key)) === 1 && acquire_mmap_lock) {
      yield* mmap_read_lock(kernel.init_mm);
      yield* mmap_read_unlock(kernel.init_mm);
    }
    yield* kernel.free(table, 'pte_free_kernel');
    return 1;
  },
);

export const keyed: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', (kernel, _cpu, pmdp) =>
    kernel.routine(__pmd_free_pte_page)(kernel, pmdp, true),
  ),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, _cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    if ((yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key)) === 1) {
      yield* mmap_read_lock(kernel.init_mm);
      yield* mmap_read_unlock(kernel.init_mm);
    }
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* point('next_pmd', table, i);
      const pmdp = kernel.frames.entry(table, i);
      if (pxd_none(yield* kernel.get(pmdp, 'pmdp_get'))) continue;
      yield* kernel.routine(__pmd_free_pte_page)(kernel, pmdp, false);
    }
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};

/** The order proposed in reply to v3: sample the key, and clear under the lock if it is on. */
export const robertsOrder = isolateFirst(function* (kernel, _cpu, entry, level) {
  const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
  if (on === 1) yield* mmap_read_lock(kernel.init_mm);
  yield* kernel.clear(entry, level);
  if (on === 1) yield* mmap_read_unlock(kernel.init_mm);
  yield* kernel.__flush_tlb_kernel_pgtable();
});

/** Mutant: the key is sampled before the clear, and the lock is taken after it. */
export const sampledBeforeClear = isolateFirst(function* (kernel, cpu, entry, level) {
  const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
  yield* clearFlush(kernel, cpu, entry, level);
  if (on === 1) yield* waitForWalkers(kernel);
});

/** Mutant: the free comes before the wait. */
export const freedBeforeWait = childrenFirst(function* (kernel, cpu, entry, level, table) {
  yield* clearFlush(kernel, cpu, entry, level);
  yield* free(kernel, table, level);
  if ((yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key)) === 1) yield* waitForWalkers(kernel);
});

/** Mutant: children are taken for isolated while the pud entry still points to their table. */
export const notIsolated = childrenFirst(function* (kernel, cpu, entry, level, table) {
  yield* clearFlush(kernel, cpu, entry, level);
  const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
  if (on === 1 && level === 'pud') yield* waitForWalkers(kernel);
  yield* free(kernel, table, level);
});

/** A per-CPU semaphore held for reading around clear and free, as proposed in reply to v3. */
export const percpuRwsem = childrenFirst(function* (kernel, cpu, entry, level, table) {
  yield* percpu_down_read(kernel.ptdump_sem, cpu);
  yield* clearFlush(kernel, cpu, entry, level);
  yield* free(kernel, table, level);
  yield* percpu_up_read(kernel.ptdump_sem, cpu);
});

/** Tables are freed a grace period after they were cleared, as GUP-fast relies on; proposed in reply to v1. */
export const rcuCallback = childrenFirst(function* (kernel, cpu, entry, level, table) {
  yield* clearFlush(kernel, cpu, entry, level);
  yield* kernel.rcu.call_rcu(kernel.freeTableRcu, table);
});

/** The same with synchronize_rcu(), which makes vmalloc sleep. */
export const rcuSynchronize = isolateFirst(function* (kernel, cpu, entry, level) {
  yield* clearFlush(kernel, cpu, entry, level);
  yield* kernel.rcu.synchronize_rcu(cpu);
});
