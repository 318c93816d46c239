/**
 * Reading kernel_page_tables, in every version. Mirrors arm64_ptdump_walk_pgd() of arch/arm64/mm/ptdump.c and
 * ptdump_walk_pgd() of mm/ptdump.c.
 */
import { routine, type Routine, type Steps, type SystemBuilder } from '@shootdown/machine';
import { Ptdump, type EntryReader, type Fetch, type PtdumpMm, type WalkLevel } from '@shootdown/ptdump';
import {
  percpu_down_write,
  percpu_up_write,
  static_branch_dec,
  static_branch_disable,
  static_branch_enable,
  static_branch_inc,
} from '@shootdown/sync';
import { formatDescriptor, pxd_leaf, pxd_none, pxd_pgtable } from './descriptor.ts';
import { mmap_write_lock, mmap_write_unlock, type MmStruct } from '../mmap-lock.ts';
import type { VmallocKernel } from './kernel.ts';

const entries: EntryReader = { none: pxd_none, leaf: pxd_leaf, table: pxd_pgtable, format: formatDescriptor };

/** A reader of the kernel's page table, with the levels of this kernel. */
export function addPtdump(
  builder: SystemBuilder,
  kernel: VmallocKernel,
  name: string,
  fetch: Fetch,
  onLine?: (level: string) => void,
): Ptdump {
  const levels: WalkLevel[] = [
    { name: 'pud', entries: kernel.tree.puds, looksAgain: true },
    { name: 'pmd', entries: kernel.tree.pmds },
    { name: 'pte', entries: kernel.tree.ptes },
  ];
  const ptdump = new Ptdump(builder, {
    name,
    frames: kernel.frames,
    levels,
    entries,
    fetch,
    ...(onLine && { onLine }),
  });
  kernel.ptdumps.push(ptdump);
  return ptdump;
}

/** One dump by a task on processor `cpu`. */
export type Dump = Routine<[kernel: VmallocKernel, ptdump: Ptdump, cpu: number], void>;

/** An mm as the walker is handed it; `nested` is locked inside `mm`. */
export function walked(kernel: VmallocKernel, mm: MmStruct, nested?: MmStruct): PtdumpMm {
  return {
    root: kernel.root,
    *mmap_write_lock() {
      yield* mmap_write_lock(mm);
      if (nested) yield* mmap_write_lock(nested);
    },
    *mmap_write_unlock() {
      if (nested) yield* mmap_write_unlock(nested);
      yield* mmap_write_unlock(mm);
    },
  };
}

function dump(name: string, body: (kernel: VmallocKernel, ptdump: Ptdump, cpu: number) => Steps): Dump {
  return routine(name, function* (kernel: VmallocKernel, ptdump: Ptdump, cpu: number): Steps {
    yield* ptdump.open();
    yield* body(kernel, ptdump, cpu);
    yield* ptdump.release();
  });
}

/** ptdump_walk_pgd(init_mm): the write lock and nothing else. */
export const plainDump = dump('ptdump_show', (kernel, ptdump) =>
  ptdump.ptdump_walk_pgd(walked(kernel, kernel.init_mm)),
);

/** v3 to v5: static_branch_enable() and static_branch_disable() around it, not counted. */
export const enablingDump = dump('ptdump_show', function* (kernel, ptdump, cpu) {
  yield* static_branch_enable(kernel.arm64_ptdump_lock_key, cpu);
  yield* ptdump.ptdump_walk_pgd(walked(kernel, kernel.init_mm));
  yield* static_branch_disable(kernel.arm64_ptdump_lock_key, cpu);
});

/** v6, merged as fa93b45fd397: static_branch_inc() and static_branch_dec(). */
export const countingDump = dump('arm64_ptdump_walk_pgd', function* (kernel, ptdump, cpu) {
  yield* static_branch_inc(kernel.arm64_ptdump_lock_key, cpu);
  yield* ptdump.ptdump_walk_pgd(walked(kernel, kernel.init_mm));
  yield* static_branch_dec(kernel.arm64_ptdump_lock_key, cpu);
});

/** Mutant: the key is turned off before the lock is released. */
export const decBeforeUnlock = dump('arm64_ptdump_walk_pgd', function* (kernel, ptdump, cpu) {
  const mm = walked(kernel, kernel.init_mm);
  yield* static_branch_inc(kernel.arm64_ptdump_lock_key, cpu);
  yield* ptdump.ptdump_walk_pgd({
    ...mm,
    *mmap_write_unlock() {
      yield* static_branch_dec(kernel.arm64_ptdump_lock_key, cpu);
      yield* mm.mmap_write_unlock();
    },
  });
});

/** Mutant: the key is turned off before the walk. */
export const decBeforeWalk = dump('arm64_ptdump_walk_pgd', function* (kernel, ptdump, cpu) {
  const mm = walked(kernel, kernel.init_mm);
  yield* static_branch_inc(kernel.arm64_ptdump_lock_key, cpu);
  yield* ptdump.ptdump_walk_pgd({
    ...mm,
    *mmap_write_lock() {
      yield* mm.mmap_write_lock();
      yield* static_branch_dec(kernel.arm64_ptdump_lock_key, cpu);
    },
  });
});

/** Mutant: the lock is taken before the key is turned on. */
export const incAfterLock = dump('arm64_ptdump_walk_pgd', function* (kernel, ptdump, cpu) {
  const mm = walked(kernel, kernel.init_mm);
  yield* ptdump.ptdump_walk_pgd({
    ...mm,
    *mmap_write_lock() {
      yield* mm.mmap_write_lock();
      yield* static_branch_inc(kernel.arm64_ptdump_lock_key, cpu);
    },
  });
  yield* static_branch_dec(kernel.arm64_ptdump_lock_key, cpu);
});

/** Mutant: nobody takes the lock for writing. */
export const dumpWithoutLock = dump('arm64_ptdump_walk_pgd', function* (kernel, ptdump, cpu) {
  yield* static_branch_inc(kernel.arm64_ptdump_lock_key, cpu);
  yield* ptdump.ptdump_walk_pgd({ root: kernel.root, *mmap_write_lock() {}, *mmap_write_unlock() {} });
  yield* static_branch_dec(kernel.arm64_ptdump_lock_key, cpu);
});

/** A per-CPU semaphore, held for writing around the walk. */
export const percpuDump = dump('ptdump_show', function* (kernel, ptdump, cpu) {
  yield* percpu_down_write(kernel.ptdump_sem, cpu);
  yield* ptdump.ptdump_walk_pgd(walked(kernel, kernel.init_mm));
  yield* percpu_up_write(kernel.ptdump_sem);
});

/** The walk is an RCU read-side section, as lockless walkers are. */
export const rcuDump = dump('ptdump_show', function* (kernel, ptdump, cpu) {
  const mm = walked(kernel, kernel.init_mm);
  yield* ptdump.ptdump_walk_pgd({
    ...mm,
    *mmap_write_lock() {
      yield* mm.mmap_write_lock();
      yield* kernel.rcu.rcu_read_lock();
    },
    *mmap_write_unlock() {
      yield* kernel.rcu.rcu_read_unlock(cpu);
      yield* mm.mmap_write_unlock();
    },
  });
});

/** Dump of efi_mm, whose lock is not the one that vmalloc looks at. */
export const efiDump = dump('efi_ptdump_show', (kernel, ptdump) =>
  ptdump.ptdump_walk_pgd(walked(kernel, kernel.efi_mm)),
);

/** The same with init_mm's lock nested inside, as the series of July 2026 has it. */
export const efiDumpNested = dump('efi_ptdump_show', (kernel, ptdump) =>
  ptdump.ptdump_walk_pgd(walked(kernel, kernel.efi_mm, kernel.init_mm)),
);
