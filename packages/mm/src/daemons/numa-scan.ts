/**
 * The scan of NUMA balancing in a run: translations of pages that are used are taken away all the same, so that a fault
 * tells from which node (`numa-fault.ts`). Mirrors kernel/sched/fair.c, task_numa_work(), and mm/mempolicy.c,
 * change_prot_numa(), v6.18. task_numa_work() is the process's own in the kernel, which spares a process of one thread
 * the faults of pages that are at home; here a kernel thread does it, for every process.
 */
import { count, point, routine, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import type { Kernel, Mm } from '../kernel.ts';
import { mmap_read_trylock } from '../mmap-lock.ts';
import { tlb_finish_mmu, tlb_gather_mmu } from '../mmu-gather.ts';
import { change_protection } from '../mprotect.ts';
import { NumaCounter } from '../numa-fault.ts';
import type { ScanHand } from './scan.ts';

/** task_numa_work(): so many pages of an address space fault when they are used next. */
export const task_numa_work = routine(
  'task_numa_work',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, hand: ScanHand, pages: number): Steps {
    if ((yield* mmap_read_trylock(mm)) === 0) return;
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
    const nr_updated = yield* change_protection(kernel, cpu, tlb, start, end, 'MM_CP_PROT_NUMA');
    if (nr_updated > 0) yield* count(NumaCounter.updates, nr_updated);
    yield* tlb_finish_mmu(kernel, cpu, tlb);
  },
);
