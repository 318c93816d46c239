/**
 * The system calls on address ranges. Mirrors mm/mmap.c, mm/madvise.c, mm/memory.c, v6.18; mprotect() is in
 * `mprotect.ts`. Ranges are virtual page numbers, half open.
 */
import { atomicAdd, routine, work, type EntryPointer, type Steps, noted } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { WalkLevel } from '@shootdown/mmu';
import type { Kernel, Mm } from './kernel.ts';
import { tlb_finish_mmu, tlb_gather_mmu, type MmuGather } from './mmu-gather.ts';
import { zap_huge_pmds } from './huge-pages.ts';
import { alignDown, free_pgd_range, pgd_free, pte_offset } from './pgtable.ts';
import { invalidate_range_end, invalidate_range_start, release } from './notify.ts';
import { PAGES_MAX, VM_DATA_DEFAULT_FLAGS } from './vma.ts';
import { zap_pte_range } from './zap.ts';

/** mmap(NULL, pages, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS), top down: returns the first page. */
export const mmap = routine(
  'mmap',
  function* (mm: Mm, mmap_base: number, pages: number, flags: number = VM_DATA_DEFAULT_FLAGS): Steps<number> {
    yield* work('syscall', { label: '(system call)' });
    yield* mm.mmap_write_lock();
    const below = yield* mm.vmas.unmappedArea(mmap_base, pages);
    const start = mmap_base - below;
    yield* mm.vmas.insert(start, start + pages, flags, {
      label: `mmap_region(0x${start.toString(16)}, ${pages} pages)`,
    });
    yield* mm.mmap_write_unlock();
    return start;
  },
);

/** munmap(): removes the areas; then, as a reader of mmap_lock, their translations; flushes once, frees. */
export const munmap = routine(
  'munmap',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, start: number, end: number): Steps {
    yield* work('syscall', { label: '(system call)' });
    yield* mm.mmap_write_lock();
    yield* mm.vmas.remove(start, end, {
      label: `vms_gather_munmap_vmas(0x${start.toString(16)}, ${end - start} pages)`,
    });
    const floor = start - (yield* mm.vmas.gapBelow(start));
    const above = yield* mm.vmas.gapAbove(end);
    yield* mm.mmap_write_downgrade();
    const tlb = yield* tlb_gather_mmu(mm);
    yield* invalidate_range_start(kernel, mm, start, end);
    yield* unmap_page_range(kernel, cpu, tlb, start, end);
    yield* invalidate_range_end(kernel, mm, start, end);
    yield* free_pgd_range(
      kernel,
      tlb,
      start,
      end,
      floor,
      above === PAGES_MAX ? Number.POSITIVE_INFINITY : end + above,
      cpu,
    );
    yield* tlb_finish_mmu(kernel, cpu, tlb);
    yield* mm.mmap_read_unlock();
  },
);

/** madvise(MADV_DONTNEED): the areas stay, their pages go. */
export const madvise_dontneed = routine(
  'madvise_dontneed',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, start: number, end: number): Steps {
    yield* work('syscall', { label: '(system call)' });
    yield* mm.mmap_read_lock();
    yield* zap_page_range_single(kernel, cpu, mm, start, end);
    yield* mm.mmap_read_unlock();
  },
);

/**
 * zap_page_range_single(): secondary MMUs may look at the range again as soon as it is clear; the pages go after the
 * flush.
 */
export const zap_page_range_single = routine(
  'zap_page_range_single',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, start: number, end: number): Steps {
    const tlb = yield* tlb_gather_mmu(mm);
    yield* invalidate_range_start(kernel, mm, start, end);
    yield* unmap_page_range(kernel, cpu, tlb, start, end);
    yield* invalidate_range_end(kernel, mm, start, end);
    yield* tlb_finish_mmu(kernel, cpu, tlb);
  },
);

/**
 * exit_mm() and exit_mmap(): the last user of the address space is gone, and everything goes. The CPU runs on lazily
 * until the tables are gone, then leaves; the root goes with the last CPU that may walk it (mmdrop()).
 */
export const exit_mmap = routine('exit_mmap', function* (kernel: Kernel, cpu: Cpu, mm: Mm): Steps {
  yield* release(kernel, mm);
  yield* kernel.arch.enter_lazy_tlb(cpu);
  const tlb = yield* tlb_gather_mmu(mm, true);
  yield* mm.mmap_read_lock();
  const areas = yield* mm.vmas.count();
  for (let i = 0; i < areas; i++) {
    const vma = yield* mm.vmas.at(i);
    yield* unmap_page_range(kernel, cpu, tlb, vma.start, vma.end);
  }
  yield* mm.mmap_read_unlock();
  yield* mm.mmap_write_lock();
  for (let i = 0; i < areas; i++) {
    const vma = yield* mm.vmas.at(i);
    const above = yield* mm.vmas.gapAbove(vma.end);
    yield* free_pgd_range(
      kernel,
      tlb,
      vma.start,
      vma.end,
      0,
      above === PAGES_MAX ? Number.POSITIVE_INFINITY : vma.end + above,
      cpu,
    );
  }
  yield* tlb_finish_mmu(kernel, cpu, tlb);
  yield* mm.vmas.remove(0, Number.MAX_SAFE_INTEGER, { label: 'remove_vma()' });
  yield* mm.mmap_write_unlock();
  yield* put_mm(kernel, mm);
  yield* mmdrop(kernel, cpu, mm);
});

/** A CPU that ran the mm, lazily by now, goes on to something else: mmdrop() after switch_mm() to init_mm. */
export const mmdrop = routine('mmdrop', function* (kernel: Kernel, cpu: Cpu, mm: Mm): Steps {
  yield* kernel.arch.leave_mm(cpu);
  yield* put_mm(kernel, mm);
});

function* put_mm(kernel: Kernel, mm: Mm): Steps {
  if ((yield* atomicAdd(mm.mm_count.at(0), -1, { label: 'mmdrop(mm)' })) === 0) yield* pgd_free(kernel, mm);
}

/** unmap_page_range(): zaps every table's part of the range. */
export const unmap_page_range = routine(
  'unmap_page_range',
  function* (kernel: Kernel, cpu: Cpu, tlb: MmuGather, start: number, end: number): Steps {
    if (kernel.thp) yield* zap_huge_pmds(kernel, cpu, tlb, start, end);
    yield* each_table(kernel, tlb.mm, start, end, (first, from, to) =>
      zap_pte_range(kernel, cpu, tlb, first, from, to),
    );
  },
);

/** Calls `body` for the part of [start, end) in each last-level table that exists. */
export const each_table = noted(function* each_table(
  kernel: Kernel,
  mm: Mm,
  start: number,
  end: number,
  body: (first: EntryPointer, from: number, to: number) => Steps,
): Steps {
  const span = (kernel.shape.levels.at(-1) as WalkLevel).entries;
  for (let from = start; from < end; from = alignDown(from, span) + span) {
    const first = yield* pte_offset(kernel, mm, from);
    if (first) yield* body(first, from, Math.min(end, alignDown(from, span) + span));
  }
});
