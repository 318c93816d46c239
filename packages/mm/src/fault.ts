/**
 * Page faults of anonymous memory. Mirrors mm/memory.c: handle_mm_fault(), do_anonymous_page(), v6.18.
 */
import { count, FrameKind, NO_FRAME, routine, work, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { Fault, mk_pte, pte_present, pte_protnone, pte_write, type MmuInstructions } from '@shootdown/mmu';
import { do_anonymous_folio } from './anon-folio.ts';
import { is_huge } from './huge-pages.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import { is_migration_entry } from './lazy/swap-entries.ts';
import { do_numa_page } from './numa-fault.ts';
import { pte_alloc } from './pgtable.ts';
import { VM_READ, VM_WRITE } from './vma.ts';
import { do_wp_page, protection, type FaultResult } from './wp-page.ts';

/** An access by user code: faults until it goes through. `segv` is counted, and the access given up. */
export const user_access = routine(
  'user_access',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, write: boolean): Steps<FaultResult> {
    const mmu = kernel.mmus[cpu.id] as MmuInstructions;
    for (;;) {
      const fault = yield* mmu.access(vpn, write);
      if (fault === Fault.none) return 'retry';
      const result = yield* exc_page_fault(kernel, cpu, mm, vpn, write);
      if (result !== 'retry') {
        yield* count(result);
        return result;
      }
    }
  },
);

/** exc_page_fault(): the exception, and the fault under the mmap read lock (per-VMA locks are not modelled). */
export const exc_page_fault = routine(
  'exc_page_fault',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, write: boolean): Steps<FaultResult> {
    yield* count('pgfault');
    yield* work('page_fault', { label: '(page fault)' });
    yield* mm.mmap_read_lock();
    const flags = yield* mm.vmas.find(vpn);
    const permitted = (flags & (write ? VM_WRITE : VM_READ)) !== 0;
    const result = permitted ? yield* handle_mm_fault(kernel, cpu, mm, vpn, write) : 'sigsegv';
    yield* mm.mmap_read_unlock();
    return result;
  },
);

/** handle_mm_fault(), under the mmap lock or what stands for it. */
export const handle_mm_fault = routine(
  'handle_mm_fault',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, write: boolean): Steps<FaultResult> {
    // A huge page, or one that is about to be split: the access goes through, or faults again.
    if (kernel.thp && (yield* is_huge(kernel, mm, vpn))) return 'retry';
    const ptep = yield* pte_alloc(kernel, mm, vpn);
    if (!ptep) return 'oom';
    const entry = yield* kernel.frames.read(ptep, { label: 'ptep_get_lockless()' });
    if (pte_protnone(entry)) return yield* do_numa_page(kernel, cpu, mm, vpn, ptep, entry);
    // migration_entry_wait(): here the access faults until the page is there.
    if (kernel.numa && is_migration_entry(entry)) return 'retry';
    if (!pte_present(entry)) return yield* do_anonymous_page(kernel, cpu, mm, vpn, ptep, write);
    if (write && !pte_write(entry)) return yield* do_wp_page(kernel, cpu, mm, vpn, ptep, entry);
    return 'retry';
  },
);

/** A page of zeroes where there was none. (A read maps a page too: the shared zero page is not modelled.) */
const do_anonymous_page = routine(
  'do_anonymous_page',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, write: boolean): Steps<FaultResult> {
    const { frames } = kernel;
    if (yield* do_anonymous_folio(kernel, cpu, mm, vpn, ptep, write)) return 'retry';
    const page = yield* frames.alloc(FrameKind.page);
    if (page === NO_FRAME) return 'oom';
    yield* work('page_zero', { label: 'clear_user_highpage()' });
    yield* pte_lock(kernel, ptep.frame);
    // vmf_pte_changed(): an entry that is not present may be that of a page on its way.
    const raced = (yield* frames.read(ptep, { label: 'ptep_get()' })) !== 0;
    if (!raced)
      yield* frames.write(ptep, mk_pte(page, protection(write)), { label: `set_pte_at(page 0x${page.toString(16)})` });
    yield* pte_unlock(kernel, ptep.frame);
    if (raced) yield* frames.put(page);
    return 'retry';
  },
);
