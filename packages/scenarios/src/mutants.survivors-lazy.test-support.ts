/**
 * Lines of the sections of lazy MMU mode, and of words that CPUs change at once, that no scenario needs; and why that
 * is no surprise.
 */
import type { Survivor } from './mutants.test-support.ts';

const AT_ONCE = 'what comes before it is performed at once';
const NOT_YET = 'nothing has been changed by then';
const NOT_JUDGED = 'what is judged here is damage, not who leaves the mode: lazy-unlock judges that';
const TWO_PAGES = 'two pages, in either order';
const RMAP = 'the rmap has the parent first: whoever comes to an entry of the child has waited for src_ptl';
const HAS_ITS_OWN = 'fork() has taken its reference by then, or takes none';
const EXCHANGED = 'the exchange takes what is there, whatever was read';
const HARDWARE = 'it is written over: an exchange is there for bits that hardware sets, see zap-vs-writeback';
const FAULTS_AGAIN = 'the thread faults again';
const WRITTEN_OVER = 'it is written over';
const NEW_ENTRY = 'on sparc64 an entry that is new puts nothing off: hazards kasan_populate_vmalloc_pte has Xen PV';
const NATIVE = 'natively nothing waits for it';
const INNER = 'the section inside has ended the mode';
const EACH_ITS_OWN = 'every entry gets barriers of its own';
const LONGER = 'the lock is held longer';

/** Two processes that copy a page which they share. */
export const ofFolioRefcount: readonly Survivor[] = [
  { change: 'do_wp_page/folio_ref_count:always-*', because: 'the page is copied, though it could be taken over' },
  { change: '*/ptep_*:load-then-store', because: 'under the page-table lock, where nobody else changes the entry' },
  { change: 'wp_page_copy/flush_tlb_mm_range:*', because: 'no CPU has the page in its TLB' },
].map((survivor) => ({ ...survivor, variants: 'folio-refcount' }));

/** Of every lazy-* scenario. */
export const ofLazyMmu: readonly Survivor[] = [
  { change: '*/lazy_mmu_mode_enable:swap-with-next', because: AT_ONCE },
  { change: 'copy_pte_range/spin_lock:leave-out-pair', because: RMAP },
  { change: 'copy_pte_range/spin_lock:swap-with-next', because: 'nobody else takes both' },
  { change: 'try_to_unmap_one (kswapd)/spin_lock:swap-with-next', because: EXCHANGED },
  { change: '*/spin_lock*:swap-with-next', because: NOT_YET },
  { change: 'try_to_unmap/*:load-then-store', because: HAS_ITS_OWN },
  {
    change: 'try_to_unmap_one (kswapd)/flush_tlb_range:*',
    because: 'nobody accesses the page: lazy-pagemap-scan has a user',
  },
  { change: '*/set_ptes:swap-with-next', because: 'what is set when the mode has been left is set at once' },
  { change: 'lazy_mmu_mode_disable/enable_count:leave-out', because: NOT_JUDGED },
  { change: 'copy_pte_range/lazy_mmu_mode_disable:leave-out', because: NOT_JUDGED },
  { change: 'copy_pte_range/lazy_mmu_mode_pause:swap-with-next', because: 'pausing performs what is queued' },
  { change: 'copy_pte_range/lazy_mmu_mode_resume:*', because: 'the rest is performed at once' },
  {
    change: 'lazy_mmu_mode_pause/arch_leave_lazy_mmu_mode:leave-out',
    variants: 'xen-pv-pause',
    because: 'nothing is queued yet',
  },
  {
    change: '*/ptep_modify_prot_start:leave-out-recheck',
    because: 'nobody changes it under the lock; elsewhere than on Xen PV it is an exchange',
  },
  { change: '*/ptep_modify_prot_commit:swap-with-next', because: TWO_PAGES },
  { change: 'migrate_vma_collect_pmd/ptep_get_and_clear:leave-out', because: HARDWARE },
  { change: 'user/do_pte_missing:leave-out', because: FAULTS_AGAIN },
  // Nesting.
  { change: 'zap_pte_range (allocates)/ptep_get_and_clear_full:*', because: WRITTEN_OVER },
  { change: 'zap_pte_range (allocates)/set_pte*:leave-out', because: 'the other one of the two maps it' },
  { change: 'zap_pte_range (allocates)/apply_to_page_range:swap-with-next', because: TWO_PAGES },
  { change: 'zap_pte_range (allocates)/lazy_mmu_mode_enable:leave-out', because: EACH_ITS_OWN },
  { change: 'zap_pte_range (allocates)/lazy_mmu_mode_disable:leave-out', because: INNER },
  { change: 'apply_to_page_range/lazy_mmu_mode_enable:leave-out', because: 'the section around it is open' },
  { change: 'arch_enter_lazy_mmu_mode/set_thread_flag:leave-out', because: EACH_ITS_OWN },
  { change: 'lazy_mmu_mode_enable/arch_enter_lazy_mmu_mode:leave-out', because: EACH_ITS_OWN },
  { change: '*/in_interrupt:leave-out', because: 'no interrupt comes here: lazy-softirq has one' },
  { change: 'arch_leave_lazy_mmu_mode/arch_flush_lazy_mmu_mode:swap-with-next', because: 'no entry is set in between' },
  { change: '*/set_pte*:swap-with-next', because: TWO_PAGES },
  // Exchange.
  { change: 'set_pte, ptep_get_and_clear/set_pte:leave-out', because: EXCHANGED },
  { change: 'set_pte, ptep_get_and_clear/lazy_mmu_mode_disable:leave-out', because: NATIVE },
  // vmap() that fails.
  { change: 'vmap (fails first)/vmap_pages_pte_range:*', because: 'the first call is there to fail' },
  { change: 'vmap (fails first)/vunmap_pte_range:leave-out', because: 'the page that is there is used' },
  { change: 'vunmap_pte_range/ptep_get_and_clear:leave-out', because: 'the page that is there is used' },
  // KASAN.
  { change: 'kasan_populate_vmalloc_pte/lazy_mmu_mode_pause:swap-with-next', because: LONGER },
  { change: 'kasan_populate_vmalloc_pte/spin_unlock:swap-with-next', because: LONGER },
  { change: 'lazy_mmu_mode_pause/arch_leave_lazy_mmu_mode:leave-out', because: NEW_ENTRY },
  { change: 'arch_leave_lazy_mmu_mode/arch_flush_lazy_mmu_mode:leave-out', because: NEW_ENTRY },
  { change: 'arch_flush_lazy_mmu_mode/__flush_tlb_pending:leave-out', because: NEW_ENTRY },
];

const ORDER = 'sc reorders nothing: the tables of arm say what it is for';

/** Of lazy-vmalloc, on `sc`. */
export const ofLazyVmallocOnSc: readonly Survivor[] = [
  { change: 'kthread/*', because: ORDER },
  { change: 'vmap/lazy_mmu_mode_disable:*', because: ORDER },
  { change: '*/arch_*', because: ORDER },
  { change: '*/emit_pte_barriers:*', because: ORDER },
  ...ofLazyMmu,
];

const ETS2 = 'FEAT_ETS2: a walk that faults is after everything that precedes it';
const SECOND_LOOK = 'the exception has synchronised the context, and the second look is after the flag';
const RELEASE = ['vmap/smp_store_release:relaxed-instead'];
const DSB = ['arch_flush_lazy_mmu_mode/emit_pte_barriers:leave-out'];

/** Of lazy-vmalloc, on `arm`. */
export const ofLazyVmalloc: readonly Survivor[] = [
  { change: 'vmap/lazy_mmu_mode_enable:*', because: AT_ONCE },
  { change: 'vmap/set_pte_at:*', because: TWO_PAGES },
  { change: 'kthread/*', variants: '*-ets2', because: ETS2 },
  { change: 'kthread/*', variants: '*-spurious-fault', because: SECOND_LOOK },
  { change: 'vmap/smp_store_release:*', coveredBy: DSB },
  { change: 'vmap/lazy_mmu_mode_disable:*', variants: 'by-flag*', coveredBy: RELEASE },
  { change: '*/arch_leave_lazy_mmu_mode:leave-out', variants: 'by-flag*', coveredBy: RELEASE },
  { change: '*/arch_flush_lazy_mmu_mode:leave-out', variants: 'by-flag*', coveredBy: RELEASE },
  {
    change: '*/emit_pte_barriers:*',
    variants: 'by-flag-no-dsb*',
    because: 'it has no DSB to begin with: smp_store_release() orders the entry, and this CPU does not access the page',
  },
  {
    change: '*/emit_pte_barriers:dsb-ishst-alone-instead',
    variants: 'by-flag*',
    because: 'the ISB is for the CPU that maps, and this one does not access the page',
  },
  { change: '*/emit_pte_barriers:*', variants: 'by-flag*', coveredBy: RELEASE },
  { change: '*', variants: 'no-isb-ets2', because: ETS2 },
  ...ofLazyMmu,
];

/** Of same-word, besides those of x86. */
export const ofSameWord: readonly Survivor[] = [
  { change: 'smp_call_function_single/*', because: 'who does not call waits for nobody' },
  { change: 'smp_call_function_many/csd*:*', variants: 'call-queue', because: 'the function does nothing' },
  { change: 'mprotect, madvise/flush_tlb_mm_range:swap-with-next', because: 'two flushes, in either order' },
  { change: 'mprotect, madvise/flush_tlb_mm_range:leave-out', because: 'the flush of madvise() trims the mask, too' },
  { change: 'flush_tlb_mm_range/next_trim_cpumask*:*', because: 'the mask is trimmed more often' },
];
