/**
 * fork() with copy-on-write. Mirrors kernel/fork.c, dup_mmap(), and mm/memory.c, copy_page_range(), v6.18.
 */
import { ModelError, routine, work, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_PRESENT, _PAGE_RW, _PAGE_USER, mk_pte, pte_pfn, pte_present, pte_write } from '@shootdown/mmu';
import { spin_lock, type Spinlock } from '@shootdown/sync';
import { folio_pte_batch, set_ptes, wrprotect_ptes } from './arch/arm64-contpte.ts';
import { ANY_WRITABLE, FPB_MERGE_WRITE, FPB_RESPECT_DIRTY } from './arch/contpte/batch.ts';
import { pte_lock, type Kernel, type Mm } from './kernel.ts';
import {
  lazy_mmu_mode_disable as mode_disable,
  lazy_mmu_mode_enable as mode_enable,
  pte_unmap_unlock as unlock,
  ptep_get as pte_get,
} from './lazy-ptes.ts';
import { split_huge_pmds } from './huge-pages.ts';
import { each_table } from './mmap.ts';
import { pgd_alloc, pte_alloc } from './pgtable.ts';
import type { Current, LazyMmu } from './lazy/lazy-mmu.ts';
import {
  arch_flush_lazy_mmu_mode,
  lazy_mmu_mode_disable,
  lazy_mmu_mode_enable,
  lazy_mmu_mode_pause,
  lazy_mmu_mode_resume,
  returns,
} from './lazy/mode.ts';
import { dereference, ptep_get, ptep_set_wrprotect, pte_unmap_unlock, set_pte } from './lazy/pte.ts';
import type { SectionRoutine } from './lazy/sections.ts';
import { device_exclusive_pfn, is_device_exclusive_entry } from './lazy/swap-entries.ts';
import { invalidate_range_end, invalidate_range_start } from './notify.ts';

/**
 * fork(): the child gets the parent's areas and pages; writable pages become read-only in both, and the parent's stale
 * writable translations are flushed once at the end, before the parent's mmap_lock is dropped. The flush is
 * flush_tlb_mm(): whether or not anything was protected, of everything, and on x86 lazy CPUs get it too (it passes
 * freed_tables).
 */
export const fork = routine('fork', function* (kernel: Kernel, cpu: Cpu, parent: Mm, child: Mm): Steps {
  yield* work('syscall', { label: '(system call)' });
  yield* pgd_alloc(kernel, child);
  yield* parent.mmap_write_lock();
  yield* child.mmap_write_lock();
  const areas = yield* parent.vmas.count();
  for (let i = 0; i < areas; i++) {
    const vma = yield* parent.vmas.at(i);
    yield* child.vmas.insert(vma.start, vma.end, vma.flags, { label: 'vma_iter_bulk_store()' });
    yield* invalidate_range_start(kernel, parent, vma.start, vma.end);
    if (kernel.thp) yield* split_huge_pmds(kernel, cpu, parent, vma.start, vma.end);
    yield* each_table(kernel, parent, vma.start, vma.end, (first, from, to) =>
      copy_pte_range(kernel, cpu, parent, child, first, from, to),
    );
    yield* invalidate_range_end(kernel, parent, vma.start, vma.end);
  }
  yield* child.mmap_write_unlock();
  yield* kernel.arch.flush_tlb_mm_range(cpu, parent, 0, Number.MAX_SAFE_INTEGER, true);
  yield* parent.mmap_write_unlock();
});

/**
 * Copies the entries of one table, write-protecting the parent's where they are writable. The kernel locks both tables
 * and enters the mode once for all of them; here that is done for each, because tables are allocated one by one.
 */
const copy_pte_range = routine(
  'copy_pte_range',
  function* (kernel: Kernel, cpu: Cpu, parent: Mm, child: Mm, first: EntryPointer, from: number, to: number): Steps {
    const { frames } = kernel;
    for (let vpn = from, nr = 1; vpn < to; vpn += nr) {
      nr = 1;
      const source = frames.entry(first.frame, first.index + (vpn - from));
      if (!pte_present(yield* frames.read(source, { label: 'ptep_get(src_pte)' }))) continue;
      const target = yield* pte_alloc(kernel, child, vpn);
      if (!target)
        throw new ModelError(`mm: fork: out of table frames (${frames.tables}): give the machine more (memory.tables)`);
      yield* pte_lock(kernel, target.frame);
      yield* pte_lock(kernel, first.frame);
      yield* mode_enable(kernel, cpu);
      let entry = yield* pte_get(kernel, cpu, source, { label: 'ptep_get(src_pte)' });
      const batch = yield* folio_pte_batch(kernel, cpu, source, entry, to - vpn, FPB_RESPECT_DIRTY | FPB_MERGE_WRITE);
      nr = batch & ~ANY_WRITABLE;
      if (pte_write(entry) || nr !== batch) entry = yield* wrprotect_ptes(kernel, cpu, parent, vpn, source, entry, nr);
      for (let i = 0; i < nr; i++) yield* frames.ref(pte_pfn(entry) + i, 1, { label: 'folio_get()' });
      yield* set_ptes(kernel, cpu, child, vpn, target, entry & ~_PAGE_RW, nr, 'set_pte_at(dst_pte)');
      yield* mode_disable(kernel, cpu);
      yield* unlock(kernel, cpu, first.frame);
      yield* unlock(kernel, cpu, target.frame);
    }
  },
);

/** How copy_pte_range() reads an entry again that copy_nonpresent_pte() has restored. */
export type ReadsAgain =
  /** ptep_get(src_pte), as it is. */
  | 'ptep_get'
  /** arch_flush_lazy_mmu_mode() first: proposed in the thread. */
  | 'flush first'
  /** The restore is made between lazy_mmu_mode_pause() and lazy_mmu_mode_resume(). */
  | 'pause'
  /** `*src_pte`: what s390 would not see. */
  | 'dereference';

/** One table of the parent and one of the child, on a machine with lazy MMU mode. */
export interface LazyCopy {
  readonly lazy: LazyMmu;
  readonly current: Current;
  readonly source: readonly EntryPointer[];
  readonly target: readonly EntryPointer[];
  readonly dst_ptl: Spinlock;
  readonly src_ptl: Spinlock;
  readonly readsAgain: ReadsAgain;
}

/**
 * copy_pte_range() with the mode: both locks, one section, and entries that a device has to itself. The second read of
 * such an entry came with the fix for the hmm selftest `exclusive_cow` (2025); before it the swap-style value was
 * copied on every architecture.
 */
export const copy_pte_range_lazy = routine(
  'copy_pte_range',
  function* ({ lazy, current, source, target, dst_ptl, src_ptl, readsAgain }: LazyCopy): Steps {
    yield* spin_lock(dst_ptl);
    yield* spin_lock(src_ptl);
    yield* lazy_mmu_mode_enable(lazy, current);
    for (const [i, src_pte] of source.entries()) {
      let ptent = yield* ptep_get(lazy, current, src_pte, { label: 'ptep_get(src_pte)' });
      if (ptent === 0) continue;
      if (!pte_present(ptent)) {
        if (readsAgain === 'pause') yield* lazy_mmu_mode_pause(lazy, current);
        yield* copy_nonpresent_pte(lazy, current, src_pte, ptent);
        if (readsAgain === 'pause') yield* lazy_mmu_mode_resume(lazy, current);
        if (readsAgain === 'flush first') yield* arch_flush_lazy_mmu_mode(lazy, current);
        const again = { label: readsAgain === 'dereference' ? '*src_pte' : 'ptep_get(src_pte)' };
        ptent =
          readsAgain === 'dereference'
            ? yield* dereference(lazy, current, src_pte, again)
            : yield* ptep_get(lazy, current, src_pte, again);
      }
      if (pte_write(ptent)) yield* ptep_set_wrprotect(lazy, current, src_pte, { label: 'wrprotect_ptes(src_pte)' });
      yield* lazy.frames.ref(pte_pfn(ptent), 1, { label: `folio_get(0x${pte_pfn(ptent).toString(16)})` });
      yield* set_pte(lazy, current, target[i] as EntryPointer, ptent & ~_PAGE_RW, { label: 'set_ptes(dst_pte)' });
    }
    yield* lazy_mmu_mode_disable(lazy, current);
    yield* pte_unmap_unlock(lazy, current, src_ptl);
    yield* pte_unmap_unlock(lazy, current, dst_ptl);
    yield* returns(lazy, current);
  },
);

/**
 * The case of a device-exclusive entry: restore_exclusive_pte() makes it present again, writable where the area is, and
 * -ENOENT asks the caller to go on with it.
 */
const copy_nonpresent_pte = routine(
  'copy_nonpresent_pte',
  function* (lazy: LazyMmu, current: Current, src_pte: EntryPointer, entry: number): Steps {
    if (!is_device_exclusive_entry(entry)) return;
    yield* set_pte(lazy, current, src_pte, mk_pte(device_exclusive_pfn(entry), _PAGE_PRESENT | _PAGE_RW | _PAGE_USER), {
      label: 'set_pte_at(src_pte, restored)',
    });
  },
);

const fork_reading = (readsAgain: ReadsAgain): SectionRoutine =>
  routine('fork', function* ({ lazy, current, ptes, ptl, otherPtl = ptl }) {
    const [first] = ptes as [EntryPointer];
    const target = ptes.map((_, i) => lazy.frames.entry(1 - first.frame, i));
    const locks = { src_ptl: ptl, dst_ptl: otherPtl };
    yield* copy_pte_range_lazy({ lazy, current, source: ptes, target, ...locks, readsAgain });
  });

/** fork() as a section of lazy MMU mode: the second table is the child's. */
export const fork_section = fork_reading('ptep_get');

/** The same with the second read made through the pointer. */
export const fork_section_dereferencing = fork_reading('dereference');
