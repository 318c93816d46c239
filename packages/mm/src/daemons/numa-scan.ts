/**
 * The scan of NUMA balancing in a run: translations of pages that are used are taken away all the same, so that a fault
 * tells from which node (`numa-fault.ts`). Mirrors kernel/sched/fair.c, task_numa_work(), and mm/mprotect.c with
 * MM_CP_PROT_NUMA, v6.18. task_numa_work() is the process's own in the kernel; here a kernel thread does it.
 */
import { count, noted, point, routine, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_PRESENT, _PAGE_PROTNONE, _PAGE_RW, _PAGE_USER, pte_present, pte_protnone } from '@shootdown/mmu';
import { pte_lock, pte_unlock, type Kernel, type Mm } from '../kernel.ts';
import { each_table } from '../mmap.ts';
import { tlb_finish_mmu, tlb_gather_mmu, type MmuGather } from '../mmu-gather.ts';
import { invalidate_range_end, invalidate_range_start } from '../notify.ts';
import { NumaCounter } from '../numa-fault.ts';
import type { ScanHand } from './scan.ts';

/** task_numa_work(): so many pages of an address space fault when they are used next. */
export const task_numa_work = routine(
  'task_numa_work',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, hand: ScanHand, pages: number): Steps {
    yield* mm.mmap_read_lock();
    for (let left = pages; left > 0;) {
      yield* point('scan', left);
      const start = yield* hand.next(mm);
      if (start < 0) break;
      let end = start + 1;
      while (end - start < left && (yield* mm.vmas.covers(start, end + 1))) end++;
      yield* hand.moveTo(end);
      yield* change_prot_numa(kernel, cpu, mm, start, end);
      left -= end - start;
    }
    yield* mm.mmap_read_unlock();
  },
);

const change_prot_numa = routine(
  'change_prot_numa',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, start: number, end: number): Steps {
    const tlb = yield* tlb_gather_mmu(mm);
    yield* invalidate_range_start(kernel, mm, start, end);
    yield* each_table(kernel, mm, start, end, (first, from, to) => change_pte_range(kernel, tlb, first, from, to));
    yield* invalidate_range_end(kernel, mm, start, end);
    yield* tlb_finish_mmu(kernel, cpu, tlb);
  },
);

/** change_pte_range() with MM_CP_PROT_NUMA: PAGE_NONE for every entry. */
const change_pte_range = noted(function* change_pte_range(
  kernel: Kernel,
  tlb: MmuGather,
  first: EntryPointer,
  from: number,
  to: number,
): Steps {
  const { frames } = kernel;
  yield* pte_lock(kernel, first.frame);
  for (let vpn = from; vpn < to; vpn++) {
    const ptep = frames.entry(first.frame, first.index + (vpn - from));
    const seen = yield* frames.read(ptep, { label: 'ptep_get()' });
    if (!pte_present(seen) || pte_protnone(seen)) continue;
    const oldpte = yield* frames.xchg(ptep, 0, { label: 'ptep_modify_prot_start()' });
    const ptent = (oldpte & ~(_PAGE_PRESENT | _PAGE_RW | _PAGE_USER)) | _PAGE_PROTNONE;
    yield* frames.write(ptep, ptent, { label: 'ptep_modify_prot_commit(PAGE_NONE)' });
    tlb.removeEntry(vpn);
    yield* count(NumaCounter.updates);
  }
  yield* pte_unlock(kernel, first.frame);
});
