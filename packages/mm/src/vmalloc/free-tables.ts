/**
 * pud_free_pmd_page() and pmd_free_pte_page(), in every version that was merged or posted. Mirrors arch/arm64/mm/mmu.c.
 *
 * Each takes the entry that still points to a table below which nothing is mapped any more, clears it, and frees that table
 * and what is below. The versions differ in what they do between the clear and the free, because ptdump may be in there.
 * The caller owns the virtual range: nobody else changes these entries.
 */
import { point, routine, type EntryPointer, type Routine, type Steps } from '@shootdown/machine';
import { percpu_down_read, percpu_up_read, static_branch_unlikely } from '@shootdown/sync';
import { pxd_none, pxd_pgtable, pxd_table } from './descriptor.ts';
import { mmap_read_lock, mmap_read_unlock, type VmallocKernel } from './kernel.ts';

/**
 * Frees the table below an entry; returns 1, as the kernel's functions do.
 * `caller` is what the caller's future depends on, for the points in here.
 */
export type FreeTable = Routine<[kernel: VmallocKernel, cpu: number, entry: EntryPointer, caller: readonly number[]], number>;

/** One version of the pair. */
export interface FreeTables {
  readonly pmd_free_pte_page: FreeTable;
  readonly pud_free_pmd_page: FreeTable;
}

/** One entry and the table it points to, on the way out. */
interface Doomed {
  readonly level: 'pud' | 'pmd';
  readonly entry: EntryPointer;
  readonly table: number;
  /** Everything that the rest of the routine depends on. */
  readonly at: readonly number[];
}

/** What a version does with one entry. */
type Step = (kernel: VmallocKernel, cpu: number, doomed: Doomed) => Steps;

/** Children first, each treated as the entry itself: v6.17 and before, v1, and the series of July 2026. */
function childrenFirst(remove: Step): FreeTables {
  const pmd_free_pte_page: FreeTable = routine('pmd_free_pte_page', function* (kernel, cpu, entry, caller) {
    const pmd = yield* kernel.get(entry, 'pmdp_get');
    const table = pxd_pgtable(pmd);
    if (pxd_table(pmd)) yield* remove(kernel, cpu, { level: 'pmd', entry, table, at: [...caller, entry.frame, entry.index, table] });
    return 1;
  });
  const pud_free_pmd_page: FreeTable = routine('pud_free_pmd_page', function* (kernel, cpu, entry, caller) {
    const pud = yield* kernel.get(entry, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    const at = [...caller, entry.index, table];
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* point('next_pmd', ...at, i);
      yield* pmd_free_pte_page(kernel, cpu, kernel.frames.entry(table, i), at);
    }
    yield* point('pud', ...at);
    yield* remove(kernel, cpu, { level: 'pud', entry, table, at });
    return 1;
  });
  return { pmd_free_pte_page, pud_free_pmd_page };
}

/**
 * The pud entry first, so that a walker can no longer find the children; these are then freed without asking anybody.
 * @param isolate what has to happen before the free: clear, flush, and wait for walkers
 * @param child what is done to a pmd entry whose table has been isolated already
 */
function isolateFirst(isolate: Step, child: Step = clearFlush): FreeTables {
  const pmd_free_pte_page: FreeTable = routine('pmd_free_pte_page', function* (kernel, cpu, entry, caller) {
    const pmd = yield* kernel.get(entry, 'pmdp_get');
    if (!pxd_table(pmd)) return 1;
    const table = pxd_pgtable(pmd);
    const at = [...caller, entry.frame, entry.index, table];
    yield* isolate(kernel, cpu, { level: 'pmd', entry, table, at });
    yield* point('pte_free_kernel', ...at);
    yield* free(kernel, table, 'pmd');
    return 1;
  });
  const pud_free_pmd_page: FreeTable = routine('pud_free_pmd_page', function* (kernel, cpu, entry, caller) {
    const pud = yield* kernel.get(entry, 'pudp_get');
    if (!pxd_table(pud)) return 1;
    const table = pxd_pgtable(pud);
    const at = [...caller, entry.index, table];
    yield* isolate(kernel, cpu, { level: 'pud', entry, table, at });
    for (let i = 0; i < kernel.tree.pmds; i++) {
      yield* point('next_pmd', ...at, i);
      const pmdp = kernel.frames.entry(table, i);
      const pmd = yield* kernel.get(pmdp, 'pmdp_get');
      if (pxd_none(pmd)) continue;
      const pte = pxd_pgtable(pmd);
      yield* child(kernel, cpu, { level: 'pmd', entry: pmdp, table: pte, at: [...at, i, pte] });
      yield* point('pte_free_kernel', ...at, i, pte);
      yield* free(kernel, pte, 'pmd');
    }
    yield* point('pmd_free', ...at);
    yield* free(kernel, table, 'pud');
    return 1;
  });
  return { pmd_free_pte_page, pud_free_pmd_page };
}

function* free(kernel: VmallocKernel, table: number, level: 'pud' | 'pmd'): Steps {
  yield* kernel.free(table, level === 'pud' ? 'pmd_free' : 'pte_free_kernel');
}

function* clearFlush(kernel: VmallocKernel, _cpu: number, { entry, level }: Doomed): Steps {
  yield* kernel.clear(entry, level);
  yield* kernel.__flush_tlb_kernel_pgtable();
}

/** Returns when whoever held the lock for writing has released it: the lock is taken only for that. */
function* waitForWalkers(kernel: VmallocKernel): Steps {
  yield* mmap_read_lock(kernel.init_mm);
  yield* mmap_read_unlock(kernel.init_mm);
}

/** v6.17 and before: nothing between the clear and the free. Huge vmalloc was off with CONFIG_PTDUMP_DEBUGFS for that reason. */
export const beforeFix = childrenFirst(function* (kernel, cpu, doomed) {
  yield* clearFlush(kernel, cpu, doomed);
  yield* free(kernel, doomed.table, doomed.level);
});

/** v1, 20250530082021.18182-1-dev.jain@arm.com: every clear under the read lock. */
export const v1 = childrenFirst(function* (kernel, _cpu, { entry, table, level, at }) {
  yield* mmap_read_lock(kernel.init_mm);
  yield* kernel.clear(entry, level);
  yield* mmap_read_unlock(kernel.init_mm);
  yield* point('unlocked', ...at);
  yield* kernel.__flush_tlb_kernel_pgtable();
  yield* free(kernel, table, level);
});

/** v2: as v1, but the pud entry is isolated first, so that the lock is taken once. */
export const v2 = isolateFirst(function* (kernel, _cpu, { entry, level, at }) {
  yield* mmap_read_lock(kernel.init_mm);
  yield* kernel.clear(entry, level);
  yield* mmap_read_unlock(kernel.init_mm);
  yield* point('unlocked', ...at);
  yield* kernel.__flush_tlb_kernel_pgtable();
});

/** v3 to v6, merged as fa93b45fd397: isolate, flush, and wait on the lock if the key is on. */
export const keyed = isolateFirst(
  function* (kernel, cpu, doomed) {
    yield* clearFlush(kernel, cpu, doomed);
    if ((yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key)) === 1) yield* waitForWalkers(kernel);
  },
  // acquire_mmap_lock is false here: the branch is executed and nothing follows from it.
  function* (kernel, cpu, doomed) {
    yield* clearFlush(kernel, cpu, doomed);
    yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
  },
);

/** The order proposed in reply to v3: sample the key, and clear under the lock if it is on. */
export const robertsOrder = isolateFirst(function* (kernel, _cpu, { entry, level, at }) {
  const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
  if (on === 1) yield* mmap_read_lock(kernel.init_mm);
  yield* kernel.clear(entry, level);
  if (on === 1) yield* mmap_read_unlock(kernel.init_mm);
  yield* point('unlocked', ...at);
  yield* kernel.__flush_tlb_kernel_pgtable();
});

/** Mutant: the key is sampled before the clear, and the lock is taken after it. */
export const sampledBeforeClear = isolateFirst(function* (kernel, cpu, doomed) {
  const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
  yield* clearFlush(kernel, cpu, doomed);
  if (on === 1) yield* waitForWalkers(kernel);
});

/** Mutant: the free comes before the wait. */
export const freedBeforeWait = childrenFirst(function* (kernel, cpu, doomed) {
  yield* clearFlush(kernel, cpu, doomed);
  yield* free(kernel, doomed.table, doomed.level);
  if ((yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key)) === 1) yield* waitForWalkers(kernel);
});

/** Mutant: children are taken for isolated while the pud entry still points to their table. */
export const notIsolated = childrenFirst(function* (kernel, cpu, doomed) {
  yield* clearFlush(kernel, cpu, doomed);
  const on = yield* static_branch_unlikely(kernel.arm64_ptdump_lock_key);
  if (on === 1 && doomed.level === 'pud') yield* waitForWalkers(kernel);
  yield* point('waited', ...doomed.at);
  yield* free(kernel, doomed.table, doomed.level);
});

/** A per-CPU semaphore held for reading around clear and free, as proposed in reply to v3. */
export const percpuRwsem = childrenFirst(function* (kernel, cpu, doomed) {
  yield* percpu_down_read(kernel.ptdump_sem, cpu);
  yield* point('locked', ...doomed.at);
  yield* clearFlush(kernel, cpu, doomed);
  yield* free(kernel, doomed.table, doomed.level);
  yield* percpu_up_read(kernel.ptdump_sem, cpu);
});

/** Tables are freed a grace period after they were cleared, as GUP-fast relies on; proposed in reply to v1. */
export const rcuCallback = childrenFirst(function* (kernel, cpu, doomed) {
  yield* clearFlush(kernel, cpu, doomed);
  yield* kernel.rcu.call_rcu(kernel.freeTableRcu, doomed.table);
});

/** The same with synchronize_rcu(), which makes vmalloc sleep. */
export const rcuSynchronize = isolateFirst(function* (kernel, cpu, doomed) {
  yield* clearFlush(kernel, cpu, doomed);
  yield* kernel.rcu.synchronize_rcu(cpu);
});
