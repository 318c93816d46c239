/**
 * Page faults of anonymous memory. Mirrors mm/memory.c: handle_mm_fault(), do_anonymous_page(), do_wp_page(), v6.18.
 */
import { count, FrameKind, load, NO_FRAME, routine, work, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_ACCESSED, _PAGE_DIRTY, _PAGE_PRESENT, _PAGE_RW, _PAGE_USER, Fault, mk_pte, pte_pfn, pte_present, pte_write, type MmuInstructions } from '@shootdown/mmu';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import { pte_alloc } from './pgtable.ts';
import { VM_READ, VM_WRITE } from './vma.ts';

/** What a fault came to. `retry`: the access will succeed, or fault again for another reason. */
export type FaultResult = 'retry' | 'sigsegv' | 'oom';

const YOUNG = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED;

/** vm_get_page_prot() for an entry that is being written: dirty and writable, or young and read-only. */
function protection(write: boolean): number {
  return write ? YOUNG | _PAGE_RW | _PAGE_DIRTY : YOUNG;
}

/** An access by user code: faults until it goes through. `segv` is counted, and the access given up. */
export const user_access = routine('user_access', function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, write: boolean): Steps<FaultResult> {
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
});

/** exc_page_fault(): the exception, and the fault under the mmap read lock (per-VMA locks are not modelled). */
export const exc_page_fault = routine('exc_page_fault', function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, write: boolean): Steps<FaultResult> {
  yield* count('pgfault');
  yield* work('page_fault', { label: '(page fault)' });
  yield* mm.mmap_read_lock();
  const flags = yield* mm.vmas.find(vpn);
  const permitted = (flags & (write ? VM_WRITE : VM_READ)) !== 0;
  const result = permitted ? yield* handle_mm_fault(kernel, cpu, mm, vpn, write) : 'sigsegv';
  yield* mm.mmap_read_unlock();
  return result;
});

const handle_mm_fault = routine('handle_mm_fault', function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, write: boolean): Steps<FaultResult> {
  const ptep = yield* pte_alloc(kernel, mm, vpn);
  if (!ptep) return 'oom';
  const entry = yield* kernel.frames.read(ptep, { label: 'ptep_get_lockless()' });
  if (!pte_present(entry)) return yield* do_anonymous_page(kernel, ptep, write);
  if (write && !pte_write(entry)) return yield* do_wp_page(kernel, cpu, mm, vpn, ptep, entry);
  return 'retry';
});

/** A page of zeroes where there was none. (A read maps a page too: the shared zero page is not modelled.) */
const do_anonymous_page = routine('do_anonymous_page', function* (kernel: Kernel, ptep: EntryPointer, write: boolean): Steps<FaultResult> {
  const { frames } = kernel;
  const page = yield* frames.alloc(FrameKind.page);
  if (page === NO_FRAME) return 'oom';
  yield* work('page_zero', { label: 'clear_user_highpage()' });
  yield* pte_lock(kernel, ptep.frame);
  const raced = pte_present(yield* frames.read(ptep, { label: 'ptep_get()' }));
  if (!raced) yield* frames.write(ptep, mk_pte(page, protection(write)), { label: `set_pte_at(page 0x${page.toString(16)})` });
  yield* pte_unlock(kernel, ptep.frame);
  if (raced) yield* frames.put(page);
  return 'retry';
});

/** A write to a read-only entry of a writable area: take the page over if nobody else has it, otherwise copy it. */
export const do_wp_page = routine(
  'do_wp_page',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, seen: number): Steps<FaultResult> {
    const { frames } = kernel;
    const old = pte_pfn(seen);
    yield* pte_lock(kernel, ptep.frame);
    const entry = yield* frames.read(ptep, { label: 'ptep_get()' });
    if (entry !== seen) {
      yield* pte_unlock(kernel, ptep.frame);
      return 'retry';
    }
    if ((yield* load(frames.refcount.at(old), { label: `folio_ref_count(0x${old.toString(16)})` })) === 1) {
      // wp_page_reuse(): more permissive than before, so stale translations only cost a spurious fault.
      yield* frames.xchg(ptep, entry | _PAGE_RW | _PAGE_DIRTY | _PAGE_ACCESSED, { label: 'ptep_set_access_flags(): writable' });
      yield* pte_unlock(kernel, ptep.frame);
      return 'retry';
    }
    yield* frames.ref(old, 1, { label: 'folio_get(old)' });
    yield* pte_unlock(kernel, ptep.frame);
    return yield* wp_page_copy(kernel, cpu, mm, vpn, ptep, seen);
  },
);

/** Copies the page and switches the entry to the copy: clear, flush, set, so that no CPU ever uses both at once. */
const wp_page_copy = routine(
  'wp_page_copy',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, seen: number): Steps<FaultResult> {
    const { frames } = kernel;
    const old = pte_pfn(seen);
    const copy = yield* frames.alloc(FrameKind.page);
    if (copy === NO_FRAME) {
      yield* frames.put(old);
      return 'oom';
    }
    yield* work('page_copy', { label: 'copy_user_highpage()' });
    yield* pte_lock(kernel, ptep.frame);
    const same = (yield* frames.read(ptep, { label: 'ptep_get()' })) === seen;
    if (same) {
      yield* frames.xchg(ptep, 0, { label: 'ptep_clear()' });
      yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
      yield* frames.write(ptep, mk_pte(copy, protection(true)), { label: `set_pte_at(page 0x${copy.toString(16)})` });
      yield* frames.put(old, { label: 'folio_remove_rmap_pte(old)' });
    }
    yield* pte_unlock(kernel, ptep.frame);
    if (!same) yield* frames.put(copy);
    yield* frames.put(old);
    return 'retry';
  },
);
