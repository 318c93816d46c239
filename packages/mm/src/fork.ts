/**
 * fork() with copy-on-write. Mirrors kernel/fork.c, dup_mmap(), and mm/memory.c, copy_page_range(), v6.18.
 */
import { ModelError, routine, work, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_RW, pte_pfn, pte_present, pte_write } from '@shootdown/mmu';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import { each_table } from './mmap.ts';
import { pgd_alloc, pte_alloc } from './pgtable.ts';
import { invalidate_range_end, invalidate_range_start } from './notify.ts';

/**
 * fork(): the child gets the parent's areas and pages; writable pages become read-only in both, and the parent's stale
 * writable translations are flushed once at the end, before the parent's mmap_lock is dropped. The flush is flush_tlb_mm():
 * whether or not anything was protected, of everything, and on x86 lazy CPUs get it too (it passes freed_tables).
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
    yield* each_table(kernel, parent, vma.start, vma.end, (first, from, to) =>
      copy_pte_range(kernel, child, first, from, to),
    );
    yield* invalidate_range_end(kernel, parent, vma.start, vma.end);
  }
  yield* child.mmap_write_unlock();
  yield* kernel.arch.flush_tlb_mm_range(cpu, parent, 0, Number.MAX_SAFE_INTEGER, true);
  yield* parent.mmap_write_unlock();
});

/** Copies the entries of one table, write-protecting the parent's where they are writable. */
const copy_pte_range = routine(
  'copy_pte_range',
  function* (kernel: Kernel, child: Mm, first: EntryPointer, from: number, to: number): Steps {
    const { frames } = kernel;
    for (let vpn = from; vpn < to; vpn++) {
      const source = frames.entry(first.frame, first.index + (vpn - from));
      if (!pte_present(yield* frames.read(source, { label: 'ptep_get(src_pte)' }))) continue;
      const target = yield* pte_alloc(kernel, child, vpn);
      if (!target)
        throw new ModelError(`mm: fork: out of table frames (${frames.tables}): give the machine more (memory.tables)`);
      yield* pte_lock(kernel, target.frame);
      yield* pte_lock(kernel, first.frame);
      let entry = yield* frames.read(source, { label: 'ptep_get(src_pte)' });
      if (pte_write(entry)) {
        // ptep_set_wrprotect() is atomic: hardware may be setting accessed and dirty bits.
        for (let old = entry; ; old = entry) {
          entry = yield* frames.cmpxchg(source, old, old & ~_PAGE_RW, { label: 'ptep_set_wrprotect(src_pte)' });
          if (entry === old) break;
        }
      }
      yield* frames.ref(pte_pfn(entry), 1, { label: 'folio_get()' });
      yield* frames.write(target, entry & ~_PAGE_RW, { label: 'set_pte_at(dst_pte)' });
      yield* pte_unlock(kernel, first.frame);
      yield* pte_unlock(kernel, target.frame);
    }
  },
);
