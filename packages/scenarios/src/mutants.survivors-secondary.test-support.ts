/** Lines that are not needed beside secondary MMUs, and why that is no surprise. */
import type { Survivor } from './mutants.test-support.ts';

const KVM = 'kvm-fault-vs-invalidate';
const UNDER_PTL = 'under the page-table lock, where nobody else changes the entry';
const UNDER_MMU_LOCK = 'under mmu_lock, where nobody else changes the entry';
const NO_FAULT =
  'the page is mapped to begin with, so no fault is under way: in E1-change-then-set/no-sequence and /no-lock one is';
const SAME_RANGE = 'the invalidation is over when the lock is dropped, and covers the page until then';
/** Where loads and stores may change places. */
const RMAP_LOCK_ON_ARM = [KVM, 'rmap-lock', { memoryModel: 'arm' }] as const;
const ORDERED_NEXT =
  'looking the page up has an order of its own: folio_try_get() and a second look, or the page-table lock';
const TOLD = 'a note to the subscriber: what it does is the next line';
const OLD = 'what may still be used was read-only before, and what replaces it is equal until it is written to';
const NOBODY_THERE = 'nobody to be told: no device walks the primary table here';
const NO_CPU = 'no CPU of the process accesses the page, so none is in mm_cpumask';
const NO_COUNTER =
  'a device with nothing but a TLB does not count invalidations, and a guest that finds nothing gives up';
const GIVES_UP = 'the guest finds nothing where the page was and gives up, so that its fault has nothing to install';
const AGAIN = 'the fault is taken again, or not needed';
const EITHER = 'either order: both are done before anybody can tell';

/** A fault is under way when the page is replaced. */
const NOT_MAPPED = { parameters: { established: 0 } };

/** The protocol of KVM, and of devices. */
const ofProtocol: readonly Survivor[] = [
  { change: '*/kvm.*:leave-out', because: TOLD },
  { change: '*/sva.*:leave-out', because: TOLD },
  { change: 'kvm_flush_remote_tlbs/secondary_tlb_sync:*', because: OLD },
  { change: 'arm_smmu_mm_arch_invalidate_secondary_tlbs/CMDQ_OP_*:*', because: OLD },
  {
    change: 'kvm_mmu_notifier_invalidate_range_start/mmu_invalidate_in_progress:swap-with-next',
    because: 'both are under mmu_lock, and faults take it: rmap-lock has faults that do not',
  },
  { change: 'iommu_sva_handle_mm/page*:leave-out', because: 'the device waits, whether or not its actor is told so' },
  {
    change: 'kvm_mmu_notifier_invalidate_range_start/kvm_flush_remote_tlbs:swap-with-next',
    neededIn: [KVM, 'two-invalidators'],
  },
  { change: 'kvm_mmu_notifier_change_pte/kvm_flush_remote_tlbs:swap-with-next', because: 'one invalidation at a time' },
  ...['mmu_notifier_seq:leave-out', 'spin_lock:leave-out-pair'].flatMap((line): Survivor[] => [
    {
      change: `kvm_mmu_notifier_change_pte/${line}`,
      neededIn: ['cow-vs-secondary', 'E1-change-then-set', NOT_MAPPED],
    },
    { change: `kvm_mmu_notifier_invalidate_page/${line}`, neededIn: ['cow-vs-secondary', 'E0', NOT_MAPPED] },
  ]),
  { change: 'kvm_mmu_notifier_change_pte/*', because: NO_FAULT },
  { change: 'kvm_mmu_notifier_invalidate_range_end/smp_wmb:*', neededIn: RMAP_LOCK_ON_ARM },
  { change: 'mmu_invalidate_retry/smp_rmb:*', neededIn: RMAP_LOCK_ON_ARM },
  { change: 'kvm_tdp_page_fault/smp_rmb:*', variants: 'rmap-lock', because: ORDERED_NEXT, alsoOn: 'arm' },
  { change: '*/smp_rmb:*', because: ORDERED_NEXT },
  {
    change: 'kvm_mmu_notifier_invalidate_range_end/mmu_invalidate_*:swap-with-next',
    variants: '*swapped',
    because: 'that is the order of the kernel',
  },
  { change: 'kvm_mmu_notifier_invalidate_range_end/mmu_invalidate_*:swap-with-next', neededIn: RMAP_LOCK_ON_ARM },
  {
    change: '*/mn_active_invalidate_count:load-then-store',
    because: 'one invalidation, and mn_invalidate_lock around it',
  },
  { change: 'kvm_mmu_notifier_invalidate_range_end/spin_unlock:swap-with-next', because: EITHER },
  { change: 'kvm_mmu_notifier_invalidate_range_*/*', variants: 'notifier-on-collapse', because: GIVES_UP },
  { change: 'mmu_notifier_invalidate_range_end/*', variants: 'notifier-on-collapse', because: GIVES_UP },
  { change: 'kvm_mmu_notifier_invalidate_range_*/spin_lock:swap-with-next', because: SAME_RANGE },
  { change: '*/spte*:load-then-store', because: UNDER_MMU_LOCK },
  { change: 'kvm_unmap_gfn_range/spte:always-*', because: 'what is not there is removed as well' },
  { change: 'direct_map/spin_lock:*', because: NO_FAULT },
  { change: 'mmu_invalidate_retry_gfn/*', because: NO_FAULT },
  { change: '*/mmu_notifier_invalidate_range_end:leave-out', variants: '*device-tlb*', because: NO_COUNTER },
  { change: '*/mmu_notifier_invalidate_range_end:leave-out', variants: 'notify-*', because: NO_COUNTER },
  { change: '*/mmu_notifier_invalidate_range_end:leave-out', variants: 'ksm/*', because: NO_COUNTER },
  { change: '*/mmu_notifier_invalidate_range_end:*', because: EITHER },
  {
    change: 'tlb_flush_mmu/mmu_notifier_arch_invalidate_secondary_tlbs:leave-out',
    variants: '*device-tlb-zap',
    coveredBy: ['zap_page_range_single/mmu_notifier_arch_invalidate_secondary_tlbs:leave-out'],
  },
  {
    change: 'zap_page_range_single/mmu_notifier_arch_invalidate_secondary_tlbs:leave-out',
    variants: '*device-tlb-zap',
    coveredBy: ['tlb_flush_mmu/mmu_notifier_arch_invalidate_secondary_tlbs:leave-out'],
  },
  { change: '*/mmu_notifier_arch_invalidate_secondary_tlbs:leave-out', because: NOBODY_THERE },
  { change: '*/mmu_notifier_arch_invalidate_secondary_tlbs:swap-with-next', because: EITHER },
  { change: 'set_pte_at_notify/mmu_notifier_change_pte:*', because: 'a device without change_pte()' },
];

/** How pages are looked up, and faulted in. */
const ofFaults: readonly Survivor[] = [
  {
    change: 'get_user_page_fast_only/*',
    because: 'what has been given back meanwhile is not installed: the sequence has changed',
    shownBy: ['ksm-vs-gup', 'pin-recheck', 'gup_fast_pte_range/ptep_get:leave-out-recheck'],
  },
  { change: 'hva_to_pfn_slow/spin_lock:*', because: 'nobody gives the page back here' },
  { change: 'hva_to_pfn_slow/ptep_get:leave-out-recheck', because: 'nobody gives the page back here' },
  { change: '*/pgd_offset:leave-out-recheck', because: 'the table stays where it is' },
  {
    change: '*/*grab_folio:load-then-store',
    because: 'who drops the last reference has cleared the entry first, under the lock',
  },
  {
    change: 'do_wp_page/folio_get:load-then-store',
    because: 'nobody counts here without the lock: same-word folio-refcount has who does',
  },
  { change: 'handle_mm_fault/ptep_get_lockless:*', because: AGAIN },
  { change: 'do_anonymous_page/spin_lock:*', because: 'one fault of the page at a time' },
  { change: 'do_anonymous_page/ptep_get:leave-out-recheck', because: 'one fault of the page at a time' },
  { change: 'do_anonymous_page/*:swap-with-next', because: EITHER },
  { change: 'do_wp_page/spin_lock:*', because: 'one fault of the page at a time' },
  { change: 'do_wp_page/ptep_get:leave-out-recheck', because: 'one fault of the page at a time' },
  { change: 'do_wp_page/ptep_set_access_flags:load-then-store', because: UNDER_PTL },
  { change: 'do_wp_page/flush_tlb_mm_range:*', because: NO_CPU },
  { change: 'do_wp_page/*:swap-with-next', because: EITHER },
  {
    change: 'wp_page_copy/copy_user_highpage:swap-with-next',
    because: 'the old page is read-only from before the copy',
  },
  {
    change: 'wp_page_copy/copy_user_highpage:leave-out',
    because: 'nobody has written to the old page: both hold version 0',
  },
  { change: 'wp_page_copy/spin_lock:*', because: 'one fault of the page at a time' },
  { change: 'wp_page_copy/ptep_get:leave-out-recheck', because: 'one fault of the page at a time' },
  { change: 'wp_page_copy/ptep_clear:*', because: UNDER_PTL },
  { change: 'wp_page_copy/flush_tlb_mm_range:*', because: NO_CPU },
  { change: 'wp_page_copy/set_pte_at_notify:*', because: UNDER_PTL },
  { change: 'wp_page_copy/spin_unlock:swap-with-next', because: EITHER },
  { change: 'flush_tlb_mm_range/invlpg:*', because: 'this CPU does not use the page again, or faults once more' },
  { change: 'flush_tlb_mm_range/smp_call_function_many:*', because: NO_CPU },
  { change: 'flush_tlb_mm_range/mm_cpumask:*', because: NO_CPU },
  { change: 'sysvec_call_function/invlpg:swap-with-next', because: 'the handler runs with interrupts off' },
  { change: 'other thread/*', because: 'the thread reads nothing' },
  { change: 'zap_*/mmu_notifier_*', because: NOBODY_THERE },
];

const UMEM_MUTEX_AGAIN =
  'mlx5_ib_invalidate_range() takes umem_mutex next, and removes what a fault has installed meanwhile';

/** Memory regions of RDMA adapters that fault. */
const ofOdp: readonly Survivor[] = [
  {
    change: 'ib_umem_odp_map_dma_single_page/mutex_lock:leave-out-pair',
    neededIn: ['cow-vs-secondary', 'E2/device', NOT_MAPPED],
  },
  {
    change: 'ib_umem_notifier_invalidate_page/notifiers_seq:leave-out',
    neededIn: ['cow-vs-secondary', 'E2-rapoport-ro-until-notified', NOT_MAPPED],
  },
  {
    change: 'ib_umem_notifier_invalidate_page/mlx5_ib_invalidate_range:swap-with-next',
    because: 'what comes next only checks',
  },
  { change: '*/might_sleep*:*', because: 'it only checks, and nobody calls it under a spinlock here' },
  {
    change: 'ib_umem_notifier_invalidate_range_end/mutex_lock:leave-out-pair',
    because: 'the sequence is raised before the count is lowered, and faults look at the count first: sc keeps that',
  },
  { change: 'ib_umem_notifier_*/mutex_lock:leave-out-pair', because: UMEM_MUTEX_AGAIN },
  { change: '*/mutex_lock*:swap-with-next', because: EITHER },
  {
    change: 'ib_umem_notifier_invalidate_page/mutex_lock.2:leave-out-pair',
    because: 'the sequence is raised before the count is lowered, and faults look at the count first: sc keeps that',
  },
  {
    change: 'mlx5_ib_invalidate_range/mutex_lock:leave-out-pair',
    because: 'notifiers_count is raised by then, under umem_mutex: no fault installs anything',
  },
  { change: 'mmu_notifier_invalidate_range_end/*_invalidate_range_end:swap-with-next', because: EITHER },
  {
    change: 'ib_umem_notifier_*/notifiers_*:swap-with-next',
    because: 'both are under umem_mutex, and faults take it',
  },
  { change: '*/mtt*:load-then-store', because: 'under umem_mutex, where nobody else changes the entry' },
  { change: '*/mtt*:always-*', because: 'what is not there is removed as well' },
  { change: 'mlx5_ib_invalidate_range/secondary_tlb_sync:swap-with-next', because: 'the lock is released earlier' },
  { change: '*/odp.*:leave-out', because: TOLD },
  { change: 'pagefault_mr/page*:leave-out', because: 'the device waits, whether or not its actor is told so' },
];

/** wp_page_copy() that keeps the entry read-only until everybody has been told. */
const ofReadOnlyUntilNotified: readonly Survivor[] = [
  {
    change: 'wp_page_copy/ptep_set_access_flags:leave-out',
    because:
      'the next write fault takes the page over, or copies once more: sequence numbers grow, so that no search ends',
  },
  { change: 'wp_page_copy/ptep_set_access_flags:load-then-store', because: UNDER_PTL },
  { change: 'wp_page_copy/ptep_get.2:always-*', because: 'the entry is read-only, and nobody else changes it' },
  { change: 'wp_page_copy/folio_get:load-then-store', because: 'nobody else has the new page' },
  { change: 'wp_page_copy/spin_lock.2:*', because: 'one fault of the page at a time' },
  { change: 'wp_page_copy/spin_unlock.2:swap-with-next', because: EITHER },
  {
    change: 'wp_page_copy/flush_tlb_mm_range.2:*',
    because: 'the entry gives more than before: at worst one more fault',
  },
];

export const ofSecondary: readonly Survivor[] = [
  ...ofReadOnlyUntilNotified,
  ...ofProtocol,
  ...ofOdp,
  { change: 'kvm_mmu_notifier_invalidate_page/*', variants: 'E0', because: NO_FAULT },
  {
    change: '*/mmu_notifier_invalidate_page_if_missing_change_pte:*',
    because: 'change_pte() has told KVM, and nobody else subscribes',
  },
  ...ofFaults,
  {
    change: 'collapse_pte_mapped_thp/spin_lock:*',
    because: 'mmap_lock is held for writing, and nobody walks the rmap here',
  },
  { change: 'collapse_pte_mapped_thp/pmdp_collapse_flush:load-then-store', because: 'nobody else changes the pmd' },
  { change: 'collapse_pte_mapped_thp/flush_tlb_mm_range:*', because: NO_CPU },
  { change: 'collapse_pte_mapped_thp/*:swap-with-next', because: EITHER },
];

const TAKES_WHAT_IS_THERE = 'ptep_clear_flush() takes what is there, and replace_page() looks at it once more';

/** ksmd beside secondary MMUs. */
export const ofKsmSecondary: readonly Survivor[] = [
  { change: 'write_protect_page/mmu_notifier_invalidate_range_end:leave-out', neededIn: ['ksm-vs-secondary', 'E5'] },
  { change: 'replace_page/mmu_notifier_invalidate_range_end:leave-out', neededIn: ['ksm-vs-secondary', 'E5'] },
  { change: 'wp_page_copy/mmu_notifier_invalidate_range_end:leave-out', neededIn: ['cow-vs-secondary', 'E5'] },
  { change: 'write_protect_page/spin_lock:swap-with-next', because: TAKES_WHAT_IS_THERE },
  { change: 'write_protect_page/ptep_get:leave-out-recheck', because: TAKES_WHAT_IS_THERE },
  { change: '*/spin_lock:swap-with-next', because: UNDER_PTL },
  { change: '*/spin_unlock:swap-with-next', because: EITHER },
  { change: '*/ptep_get:leave-out-recheck', because: 'nobody else changes the entry meanwhile: E5/zap has who does' },
  { change: '*/ptep_clear_flush:*', because: UNDER_PTL },
  { change: 'try_to_merge_one_page/spin_lock:*', because: 'nobody gives the page back here: E5/zap has who does' },
  { change: 'replace_page/get_page:load-then-store', because: 'nobody else has the stable page' },
  { change: 'replace_page/*:swap-with-next', because: UNDER_PTL },
  { change: 'write_protect_page/*:swap-with-next', because: UNDER_PTL },
];
