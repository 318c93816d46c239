/** Lines of the x86 TLB code, and of what calls it, that no scenario needs; and why that is no surprise. */
import type { Survivor } from './mutants.test-support.ts';

const ONE_SENDER = 'one CPU sends to it at a time';
const ONE_TASK = 'one task of the mm takes it';
const IRQS_OFF = 'interrupts are off: no flush comes in between';
const OWN_SLOT = 'only this CPU looks at its ctxs[], with interrupts off';
const MORE = 'the next flush invalidates more than it need';
const OWN_WORD = 'only this CPU writes it, and interrupts are off';
const NEVER_BACK = 'the CPU has left the mm by then, and flushes all of it when it comes back';

/** Cross-CPU calls. */
export const ofCalls: readonly Survivor[] = [
  { change: 'smp_call_function_many/csd_lock:leave-out', because: 'the caller has waited for its previous call' },
  { change: 'smp_call_function_many/csd:swap-with-next', because: 'the IPI is sent after both' },
  { change: 'smp_call_function_many/llist_add:load-then-store', because: ONE_SENDER },
  { change: 'sysvec_call_function/llist_del_all:load-then-store', because: ONE_SENDER },
  {
    change: 'sysvec_call_function/llist_del_all:leave-out',
    because: 'one call: a second one would find the queue not empty and send no IPI',
  },
  { change: 'sysvec_call_function/*:swap-with-next', because: 'the handler runs with interrupts off' },
  { change: 'smp_call_function_many/send_IPI:swap-with-next', because: 'what follows does not depend on the IPI' },
  { change: 'smp_call_function_many/csd_lock_wait:swap-with-next', because: 'all are waited for, in either order' },
  { change: 'smp_call_function_many/local_irq_save:*', because: 'nobody calls the flushing CPU meanwhile' },
  { change: 'smp_call_function_many/flush_tlb_func:swap-with-next', because: 'it is done before the call returns' },
  { change: 'sysvec_call_function/csd:always-*', because: 'one function is called here' },
];

/** munmap() and madvise(). */
export const ofZap: readonly Survivor[] = [
  { change: 'madvise_dontneed/mmap_read_lock:*', because: ONE_TASK },
  { change: 'madvise_dontneed/zap_page_range_single:swap-with-next', because: 'nobody waits for mmap_lock' },
  { change: 'zap_pte_range/spin_lock:*', because: ONE_TASK },
  {
    change: 'zap_pte_range/ptep_get_and_clear_full:load-then-store',
    because: 'only hardware that sets accessed and dirty bits could come in between: see zap-vs-writeback',
  },
  {
    change: 'zap_pte_range/ptep_get:always-0',
    because: 'the other gather clears it, and this one flushes all the same',
  },
  { change: '*/dec_tlb_flush_pending:*', because: 'as long as a gather seems open, more is flushed than need be' },
  { change: '*/inc_tlb_flush_pending:*', because: 'one gather at a time: two-flushes has two' },
  { change: 'tlb_finish_mmu/tlb_flush_mmu:swap-with-next', because: 'no other gather waits for this one' },
  { change: 'zap_page_range_single/*:swap-with-next', because: 'one gather at a time: two-flushes has two' },
  { change: 'free_pgd_range/pgd_clear:swap-with-next', because: 'tlb_remove_table() only gathers the table' },
  { change: '*/__tlb_remove_table:swap-with-next', because: 'both are freed after the flush, in either order' },
  { change: 'unmap_region/*:swap-with-next', because: 'both are before the flush' },
  {
    change: 'tlb_flush_mmu/put_page:leave-out',
    because: 'the page leaks, and nothing here counts references: gup-fast-vs-unmap does',
  },
];

const LATER = 'the folio is written once more, or reclaimed later';
const FLAG = 'a word here is one flag of one folio';

/** munmap() of a page of a file, and its writeback. */
export const ofWriteback: readonly Survivor[] = [
  { change: 'unmap_vmas/zap_page_range:leave-out', because: 'what is not unmapped loses nothing' },
  { change: 'zap_page_range/zap_pte_range:leave-out', because: 'what is not unmapped loses nothing' },
  {
    change: 'zap_pte_range/ptep_get_and_clear_full:leave-out',
    variants: 'v3.15/mapped-twice',
    because: 'the other process maps the page, too: what is not unmapped loses nothing',
  },
  {
    change: 'zap_page_range/tlb_finish_mmu:leave-out',
    because: 'a dirty page has been flushed under the lock, and through a clean entry nobody writes without a walk',
  },
  { change: 'zap_pte_range/tlb_flush_mmu:leave-out', because: 'what has been gathered is freed by tlb_finish_mmu()' },
  { change: 'zap_pte_range/spin_unlock:swap-with-next', because: 'the lock is held longer' },
  { change: '*/folio_mark_dirty:load-then-store', because: FLAG },
  {
    change: 'folio_clear_dirty_for_io/folio_test_clear_dirty:load-then-store',
    because:
      'folio_mkclean() has had the lock under which zap_pte_range() marks the folio: it has done so, or finds it clean',
  },
  { change: 'folio_clear_dirty_for_io/folio_test_clear_dirty:leave-out', because: LATER },
  { change: '*/folio_remove_rmap_pte*:leave-out', because: LATER },
  { change: '*/folio_remove_rmap_pte*:load-then-store', because: 'one page table is unmapped here' },
  { change: 'kworker/shrink_folio_list:leave-out', because: LATER },
  { change: 'shrink_folio_list/__remove_mapping:leave-out', because: LATER },
  {
    change: 'shrink_folio_list/folio_mapped:always-0',
    because: '__remove_mapping() counts references, and an entry that maps the page has one',
  },
  { change: 'shrink_folio_list/folio_mapped:always-1', because: LATER },
  { change: 'folio_mkclean/folio_mapped:always-1', because: 'the lock is taken, and the entry looked at, for nothing' },
  {
    change: 'folio_mkclean/spin_lock:swap-with-next',
    because: 'the entry is only cleared meanwhile, and the exchange takes what is there',
  },
  {
    change: 'folio_mkclean/ptep_get:always-*',
    because: 'the exchange takes what is there; at worst the folio is written once more',
  },
  {
    change: 'folio_mkclean/ptep_clear_flush:load-then-store',
    because:
      'a writable entry counts as dirty, whatever hardware sets in it meanwhile, and data is read after the flush',
  },
  { change: 'folio_mkclean/set_pte_at:*', because: 'the entry stays clear, so that the next store faults' },
];

/** arch/x86/mm/tlb.c. */
export const ofX86Tlb: readonly Survivor[] = [
  {
    change: 'switch_mm_irqs_off/cpumask_set_cpu:load-then-store',
    neededIn: ['switch-mm-vs-flush', 'two-first-runs'],
  },
  { change: 'flush_tlb_func/cpumask_clear_cpu:leave-out', because: 'a CPU in the mask is interrupted for nothing' },
  {
    change: 'flush_tlb_func/cpumask_clear_cpu:load-then-store',
    because: 'one CPU changes the mask here: two-first-runs shows what it is to two',
  },
  { change: 'flush_tlb_mm_range/get_flush_tlb_info:swap-with-next', because: 'the info is read by handlers, later' },
  {
    change: 'flush_tlb_mm_range/get_flush_tlb_info:leave-out',
    because: 'an info that was never filled in says that everything is flushed, of any mm',
  },
  { change: 'flush_tlb_mm_range/inc_mm_tlb_gen:*', because: 'one flush at a time, or one of which no CPU keeps count' },
  {
    change: 'flush_tlb_mm_range/mm_cpumask:always-*',
    because: 'a CPU of the mask that has another mm is spared later',
  },
  { change: 'flush_tlb_mm_range/flush_tlb_func:swap-with-next', because: 'no interrupt comes to this CPU' },
  { change: 'flush_tlb_mm_range/local_irq_disable:*', because: 'no interrupt comes to this CPU' },
  { change: 'flush_tlb_func/ctxs*:leave-out', because: MORE },
  { change: 'flush_tlb_func/info.end:always-0', because: 'nought pages stands for all of them' },
  { change: 'flush_tlb_func/info.end:always-1', because: 'one page is what is flushed here' },
  { change: 'flush_tlb_func/info.*:leave-out-recheck', because: 'the sender waits: its info stays as it is' },
  { change: '*/mm_global_asid:leave-out-recheck', because: 'an mm gets a global ASID once, and keeps it' },
  { change: 'flush_tlb_func/*:leave-out-recheck', because: OWN_WORD },
  { change: 'flush_tlb_func/*:swap-with-next', because: OWN_SLOT },
  {
    change: 'flush_tlb_func/switch_mm_irqs_off.2:leave-out',
    because: 'a lazy CPU keeps the mm, and is interrupted on',
  },
  {
    change: 'flush_tlb_func/switch_mm_irqs_off:leave-out',
    because: 'a lazy CPU flushes when it comes back: see tlb_gen',
  },
  { change: 'should_flush_tlb/smp_rmb:*', because: 'x86 keeps loads in order: it is for the compiler', alsoOn: 'tso' },
  {
    change: 'should_flush_tlb/per_cpu:leave-out-recheck',
    because: 'a CPU that has switched meanwhile has read the generation after the flush began',
  },
  {
    change: 'choose_new_asid/store:leave-out',
    because: 'the slot is used again at once: another one is flushed less often',
  },
  { change: 'choose_new_asid/*:leave-out-recheck', because: 'an mm gets a global ASID once, and keeps it' },
  { change: 'switch_mm/switch_mm_irqs_off:swap-with-next', because: 'no flush of the mm that the CPU comes from' },
  { change: 'switch_mm/switch_mm_irqs_off:leave-out', because: 'the CPU goes on with the mm that it has' },
  { change: 'switch_mm/local_irq_save:*', because: 'see switch-mm-vs-flush' },
  {
    change: 'switch_mm_irqs_off/smp_mb:leave-out',
    neededIn: ['lazy-tlb-vs-flush', 'comes-back', { memoryModel: 'tso' }],
  },
  {
    change: 'switch_mm_irqs_off/smp_mb:swap-with-next',
    because: 'the next line reads what only this CPU writes: tlb_gen is read after both',
    alsoOn: 'tso',
  },
  { change: 'switch_mm_irqs_off/store*:*', because: 'the slot is new, and flushed when CR3 is written' },
  { change: 'switch_mm_irqs_off/*:leave-out-recheck', because: OWN_WORD },
  {
    change: 'switch_mm_irqs_off/cpu_tlbstate.is_lazy:always-1',
    because: 'a CPU that was not lazy looks at tlb_gen for nothing',
  },
  { change: 'switch_mm_irqs_off/ctxs:always-1', because: 'an older generation than it has: it flushes for nothing' },
  { change: 'switch_mm_irqs_off/is_lazy.2:*', because: NEVER_BACK },
  { change: 'switch_mm_irqs_off/*:swap-with-next', because: IRQS_OFF },
  { change: 'switch_mm_irqs_off/loaded_mm_asid*:leave-out', because: 'the slot that it had is the one that it gets' },
  { change: 'switch_mm_irqs_off/loaded_mm*:leave-out', because: 'the CPU is interrupted for an mm that it has left' },
  { change: 'switch_mm_irqs_off/is_lazy:leave-out', because: NEVER_BACK },
  { change: 'switch_mm_irqs_off/write_cr3*:leave-out', because: 'the CPU does not get to use the mm' },
  { change: 'schedule/switch_mm*:*', because: 'the CPU does not come back to the mm, or goes on with it' },
  { change: 'schedule/enter_lazy_tlb:*', because: 'the CPU is one that runs the mm' },
  {
    change: 'hyperv_flush_tlb_multi/local_irq_save:*',
    because: 'nobody else uses the per-CPU argument of the hypercall',
  },
  { change: 'hyperv_flush_tlb_multi/info.end:always-0', because: 'nought pages stands for all of them' },
  { change: 'broadcast_tlb_flush/info.end:always-0', because: 'nought pages stands for all of them' },
  { change: 'broadcast_tlb_flush/*:swap-with-next', because: 'tlbsync() comes after both' },
  { change: 'broadcast_tlb_flush/finish_asid_transition:leave-out', because: 'nobody is in transition' },
];

const LAZY_FIRST =
  'what is asked is whether leave_mm() finds its CPU lazy: CPU1 accesses nothing. remote-flush transition has one that does';

/** Transitions to a global ASID, by the CPU that flushes. */
export const ofTransition: readonly Survivor[] = [
  {
    change: 'finish_asid_transition/asid_transition:leave-out',
    because: 'each later flush looks at all CPUs once more',
  },
  { change: 'finish_asid_transition/*:leave-out-recheck', because: 'no CPU comes to the mm while it is looked at' },
  {
    change: 'native_flush_tlb_multi/mm_in_asid_transition:leave-out-recheck',
    because: 'finish_asid_transition() has just read it, and nobody else ends the transition',
  },
  { change: 'use_global_asid/raw_spin_lock:*', because: 'one CPU gives global ASIDs away' },
  { change: 'use_global_asid/raw_spin_unlock:leave-out', because: 'one CPU gives global ASIDs away' },
  { change: 'use_global_asid/global_asid:leave-out', because: 'the mm goes on without a global ASID' },
  { change: 'use_global_asid/*:swap-with-next', because: 'the CPU that flushes is the one that assigns it' },
  { change: 'getsGlobalAsid/use_global_asid:leave-out', because: 'the mm goes on without a global ASID' },
  { change: 'getsGlobalAsid/switch_mm:leave-out', because: 'the CPU changes to the ASID with its own flush' },
  { change: 'getsGlobalAsid/*:swap-with-next', because: 'the CPU changes to the ASID with its own flush' },
  { change: '*', variants: 'invlpgb/transition-lazy-first', because: LAZY_FIRST },
];

/** Where a walk may find an entry that is older: what is to be found has to be waited for. */
const OLDER_ENTRIES = {
  because: 'these TLBs walk what memory holds',
  shownBy: ['lazy-vmalloc', 'current', 'arch_flush_lazy_mmu_mode/emit_pte_barriers:leave-out', { memoryModel: 'arm' }],
} as const;
const DSB_BEFORE_TLBI = {
  because: 'these TLBs see a store when it is made',
  shownBy: ['sme-dvmsync-erratum', 'dmb', 'zap_page/dsb:leave-out', { memoryModel: 'arm' }],
} as const;
const LATER_LOAD = ['riscv-new-mapping', 'fence-in-fault', 'user/smp_rmb:leave-out', { memoryModel: 'arm' }] as const;

export const ofKernelRange: readonly Survivor[] = [
  { change: 'flush_tlb_kernel_range/dsb:*', ...DSB_BEFORE_TLBI },
  { change: 'flush_tlb_kernel_range/isb:*', because: 'the CPU that unmaps does not access the page' },
  { change: 'flush_tlb_kernel_range/invlpg*:*', because: 'the CPU that unmaps does not access the page' },
  { change: 'vunmap/smp_wmb:*', variants: 'arm64*', ...OLDER_ENTRIES },
  { change: 'vunmap/smp_wmb:*', because: 'x86 keeps stores in order: it is for the compiler', alsoOn: 'tso' },
  { change: 'vunmap/pointer:leave-out', because: 'the reader gets no address, and reads nothing' },
  { change: 'vunmap/ptep_get_and_clear:load-then-store', because: 'nobody else changes the entry' },
  { change: 'vunmap/put_page:*', because: 'nothing here counts references: gup-fast-vs-unmap does' },
  { change: 'vunmap/set_pte_at:*', because: 'the reader faults, or gets no address yet' },
  { change: 'schedule/cpumask_clear_cpu:*', because: 'a flush of the kernel looks at no mask of an mm' },
  { change: 'schedule/pointer:always-*', because: 'what it points to is mapped already, or the reader reads nothing' },
  {
    change: 'schedule/smp_rmb:*',
    variants: 'arm64*',
    because: 'these TLBs walk what memory holds',
    shownBy: LATER_LOAD,
  },
  { change: 'schedule/smp_rmb:*', because: 'x86 keeps loads in order: it is for the compiler', alsoOn: 'tso' },
  { change: 'schedule/write_cr3:swap-with-next', because: 'global translations survive it, early or late' },
];

export const ofRiscv: readonly Survivor[] = [
  { change: '*/smp_wmb:*', ...OLDER_ENTRIES },
  {
    change: 'user/smp_rmb:leave-out',
    variants: 'fence-in-fault*',
    neededIn: ['riscv-new-mapping', 'fence-in-fault', { memoryModel: 'arm' }],
  },
  {
    change: 'user/smp_rmb:*',
    because: 'these TLBs walk what memory holds, and nothing has cached that there was nothing',
    shownBy: LATER_LOAD,
  },
  {
    change: 'flush_cache_vmap/new_vmalloc:load-then-store',
    because: 'one hart at a time writes it: the others clear their bits when they fault',
  },
  { change: 'flush_cache_vmap/sfence.vma:*', because: 'the hart that maps does not access the page' },
  { change: 'sysvec_call_function/sfence.vma:swap-with-next', because: 'the handler runs with interrupts off' },
  {
    change: 'new_vmalloc_check/amoxor:leave-out',
    because: 'the hart fences once more than it need, at its next fault',
  },
  { change: 'user/pointer:always-*', because: 'the hart gets no address, and accesses nothing' },
  { change: 'user/pointer:leave-out-recheck', because: 'with an older value the hart accesses less' },
  { change: 'vmalloc/flush_cache_vmap:swap-with-next', because: 'the pointer is written after both' },
  { change: 'vmalloc/pointer:swap-with-next', because: 'two pages, and the hart reads one pointer after the other' },
];
