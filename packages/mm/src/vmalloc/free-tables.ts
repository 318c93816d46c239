/**
 * pud_free_pmd_page() and pmd_free_pte_page(), in every version that was merged or posted. Mirrors arch/arm64/mm/mmu.c.
 *
 * Each takes the entry that still points to a table below which nothing is mapped any more, clears it, and frees that
 * table and what is below. The versions differ in what they do between the clear and the free, because ptdump may be in
 * there. The caller owns the virtual range: nobody else changes these entries. Versions are written out, so that each
 * can be laid beside the C.
 */
import { point, routine, type EntryPointer, type Routine, type Steps } from '@shootdown/machine';
import { percpu_down_read, percpu_up_read, static_branch_unlikely } from '@shootdown/sync';
import { mmap_read_lock, mmap_read_unlock } from '../mmap-lock.ts';
import { pxd_none, pxd_pgtable, pxd_table } from './descriptor.ts';
import type { VmallocKernel } from './kernel.ts';

/** Frees the table below an entry; returns 1, as the kernel's functions do. */
export type FreeTable = Routine<[kernel: VmallocKernel, cpu: number, entry: EntryPointer], number>;

/** One version of the pair. */
export interface FreeTables {
  readonly pmd_free_pte_page: FreeTable;
  readonly pud_free_pmd_page: FreeTable;
}

/**
 * v6.17 and before: nothing between the clear and the free. Huge vmalloc was off with CONFIG_PTDUMP_DEBUGFS for that
 * reason.
 */
export const beforeFix: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, _cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* kernel.clear(pmdp, 'pmd');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pte_free_kernel');
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* beforeFix.pmd_free_pte_page(kernel, cpu, kernel.frames.entry(table, i));
    }
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};

/** v1, 20250530082021.18182-1-dev.jain@arm.com: every clear under the read lock. */
export const v1: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, _cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* mmap_read_lock(kernel.init_mm);
    yield* kernel.clear(pmdp, 'pmd');
    yield* mmap_read_unlock(kernel.init_mm);
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pte_free_kernel');
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* v1.pmd_free_pte_page(kernel, cpu, kernel.frames.entry(table, i));
    }
    yield* mmap_read_lock(kernel.init_mm);
    yield* kernel.clear(pudp, 'pud');
    yield* mmap_read_unlock(kernel.init_mm);
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};

/**
 * A child of a table that no walker can find any more is freed without asking anybody: the tail of pud_free_pmd_page()
 * since v2.
 */
function* free_isolated(kernel: VmallocKernel, pmdp: EntryPointer): Steps {
  const pmd = yield* kernel.get(pmdp, 'pmdp_get');
  if (pxd_none(pmd)) return;
  yield* kernel.clear(pmdp, 'pmd');
  yield* kernel.__flush_tlb_kernel_pgtable();
  yield* kernel.free(pxd_pgtable(pmd), 'pte_free_kernel');
}

/** v2: as v1, but the pud entry is isolated first, so that the lock is taken once. */
export const v2: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, _cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* mmap_read_lock(kernel.init_mm);
    yield* kernel.clear(pmdp, 'pmd');
    yield* mmap_read_unlock(kernel.init_mm);
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pte_free_kernel');
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, _cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    yield* mmap_read_lock(kernel.init_mm);
    yield* kernel.clear(pudp, 'pud');
    yield* mmap_read_unlock(kernel.init_mm);
    yield* kernel.__flush_tlb_kernel_pgtable();
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* point('next_pmd', table, i);
      yield* free_isolated(kernel, kernel.frames.entry(table, i));
    }
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};

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
  pmd_free_pte_page: routine('pmd_free_pte_page', (kernel, _cpu, pmdp) => __pmd_free_pte_page(kernel, pmdp, true)),
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
      yield* __pmd_free_pte_page(kernel, pmdp, false);
    }
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};

/** The order proposed in reply to v3: sample the key, and clear under the lock if it is on. */
export const robertsOrder: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, _cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
    if (on === 1) yield* mmap_read_lock(kernel.init_mm);
    yield* kernel.clear(pmdp, 'pmd');
    if (on === 1) yield* mmap_read_unlock(kernel.init_mm);
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pte_free_kernel');
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, _cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
    if (on === 1) yield* mmap_read_lock(kernel.init_mm);
    yield* kernel.clear(pudp, 'pud');
    if (on === 1) yield* mmap_read_unlock(kernel.init_mm);
    yield* kernel.__flush_tlb_kernel_pgtable();
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* point('next_pmd', table, i);
      yield* free_isolated(kernel, kernel.frames.entry(table, i));
    }
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};

/** Mutant: the key is sampled before the clear, and the lock is taken after it. */
export const sampledBeforeClear: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, _cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
    yield* kernel.clear(pmdp, 'pmd');
    yield* kernel.__flush_tlb_kernel_pgtable();
    if (on === 1) {
      yield* mmap_read_lock(kernel.init_mm);
      yield* mmap_read_unlock(kernel.init_mm);
    }
    yield* kernel.free(table, 'pte_free_kernel');
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, _cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    if (on === 1) {
      yield* mmap_read_lock(kernel.init_mm);
      yield* mmap_read_unlock(kernel.init_mm);
    }
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* point('next_pmd', table, i);
      yield* free_isolated(kernel, kernel.frames.entry(table, i));
    }
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};

/** Mutant: the free comes before the wait. */
export const freedBeforeWait: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, _cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* kernel.clear(pmdp, 'pmd');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pte_free_kernel');
    if ((yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key)) === 1) {
      yield* mmap_read_lock(kernel.init_mm);
      yield* mmap_read_unlock(kernel.init_mm);
    }
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* freedBeforeWait.pmd_free_pte_page(kernel, cpu, kernel.frames.entry(table, i));
    }
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pmd_free');
    if ((yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key)) === 1) {
      yield* mmap_read_lock(kernel.init_mm);
      yield* mmap_read_unlock(kernel.init_mm);
    }
    return 1;
  }),
};

/** Mutant: children are taken for isolated while the pud entry still points to their table. */
export const notIsolated: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, _cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* kernel.clear(pmdp, 'pmd');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
    yield* kernel.free(table, 'pte_free_kernel');
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* notIsolated.pmd_free_pte_page(kernel, cpu, kernel.frames.entry(table, i));
    }
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    if ((yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key)) === 1) {
      yield* mmap_read_lock(kernel.init_mm);
      yield* mmap_read_unlock(kernel.init_mm);
    }
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};

/** A per-CPU semaphore held for reading around clear and free, as proposed in reply to v3. */
export const percpuRwsem: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* percpu_down_read(kernel.ptdump_sem, cpu);
    yield* kernel.clear(pmdp, 'pmd');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pte_free_kernel');
    yield* percpu_up_read(kernel.ptdump_sem, cpu);
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* percpuRwsem.pmd_free_pte_page(kernel, cpu, kernel.frames.entry(table, i));
    }
    yield* percpu_down_read(kernel.ptdump_sem, cpu);
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.free(table, 'pmd_free');
    yield* percpu_up_read(kernel.ptdump_sem, cpu);
    return 1;
  }),
};

/** Tables are freed a grace period after they were cleared, as GUP-fast relies on; proposed in reply to v1. */
export const rcuCallback: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, _cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* kernel.clear(pmdp, 'pmd');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.rcu.call_rcu(kernel.freeTableRcu, table);
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* rcuCallback.pmd_free_pte_page(kernel, cpu, kernel.frames.entry(table, i));
    }
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.rcu.call_rcu(kernel.freeTableRcu, table);
    return 1;
  }),
};

/** The same with synchronize_rcu(), which makes vmalloc sleep. */
export const rcuSynchronize: FreeTables = {
  pmd_free_pte_page: routine('pmd_free_pte_page', function* (kernel, cpu, pmdp) {
    const pmd = yield* kernel.get(pmdp, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    yield* kernel.clear(pmdp, 'pmd');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.rcu.synchronize_rcu(cpu);
    yield* kernel.free(table, 'pte_free_kernel');
    return 1;
  }),
  pud_free_pmd_page: routine('pud_free_pmd_page', function* (kernel, cpu, pudp) {
    const pud = yield* kernel.get(pudp, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    yield* kernel.clear(pudp, 'pud');
    yield* kernel.__flush_tlb_kernel_pgtable();
    yield* kernel.rcu.synchronize_rcu(cpu);
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* point('next_pmd', table, i);
      yield* free_isolated(kernel, kernel.frames.entry(table, i));
    }
    yield* kernel.free(table, 'pmd_free');
    return 1;
  }),
};
