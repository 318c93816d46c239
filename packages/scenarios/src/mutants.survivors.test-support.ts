/**
 * Lines that are not needed in a scenario, each with the step that covers for it or the reason why nothing here can
 * need it.
 */
import type { Survivor } from './mutants.test-support.ts';

const NO_WALK_CACHES = 'the variant leaves the barrier out to see what it is to software: walk caches are not followed';
const OWNED = 'the caller owns the range: nobody else changes the entry';
const ISOLATED =
  'the table is out of reach already: the entry above has been cleared, and walkers have been waited for';
const ISB = ['pud_free_pmd_page/isb:leave-out'];
const PMD_ISB = ['__pmd_free_pte_page/isb:leave-out'];
const ONE_DUMP = 'one dump: nobody else toggles the key';
const TURNED_OFF_LATE = 'the branch stays patched: a free takes a lock for nothing, and nothing else goes wrong';

const LOOKS_AGAIN = 'the writer looks again and again instead of sleeping';
const ONCE_MORE =
  'pud_free_pmd_page() takes the semaphore afterwards, finds the writer, and wakes it: it is there that this is needed';
const SLOW_PATH = 'a reader that goes the slow way for nothing';
const ofPercpuRwsem: readonly Survivor[] = [
  { change: 'ptdump_show/prepare_to_rcuwait:leave-out', because: LOOKS_AGAIN },
  { change: 'ptdump_show/schedule:leave-out', because: LOOKS_AGAIN },
  { change: 'ptdump_show/finish_rcuwait:leave-out', because: 'one dump: who is woken for nothing is not asleep' },
  { change: 'pmd_free_pte_page/rcu_read_lock.2:*', because: ONCE_MORE },
  { change: 'pmd_free_pte_page/rcuwait_wake_up.2:leave-out', because: ONCE_MORE },
  {
    change: 'ptdump_show/synchronize_rcu:swap-with-next',
    because: 'the state is not GP_IDLE on either side: readers go the slow way',
  },
  { change: 'ptdump_show/rcu_sync:*', because: 'one dump: a second writer would wait for GP_PASSED' },
  { change: 'ptdump_show/rcu_sync_exit:*', because: SLOW_PATH },
  { change: 'ptdump_show/call_rcu:*', because: SLOW_PATH },
  { change: 'rcuc/rcu_sync_func:*', because: SLOW_PATH },
  { change: 'ptdump_show/percpu_up_write:swap-with-next', because: SLOW_PATH },
  { change: 'ptdump_show/ptdump_walk_pgd:leave-out', because: 'who does not walk harms nobody' },
  ...['pmd_free_pte_page', 'pud_free_pmd_page'].map((reader): Survivor => ({
    change: `${reader}/smp_mb:*`,
    neededIn: ['ptdump-vmalloc', 'percpu-rwsem', { memoryModel: 'tso' }],
  })),
  {
    change: '*/smp_mb.2:*',
    variants: 'percpu-rwsem*',
    because: 'the stores around it stay in order on x86, and rcuwait_wake_up() begins with a barrier of its own',
    alsoOn: 'tso',
  },
  { change: '*/ptdump_sem.block:always-1', because: 'the reader queues behind nobody, and is woken' },
  { change: '*/this_cpu_dec*:swap-with-next', because: 'the reader is in the RCU section until both are done' },
  { change: '*/rcu_read_unlock:swap-with-next', variants: 'percpu-rwsem*', because: 'the section is longer' },
];

/** v6 when it maps pmd blocks: it is pmd_free_pte_page() that looks at the key. */
const ofPmdBlocks: readonly Survivor[] = [
  { change: '__pmd_free_pte_page/isb:*', coveredBy: ['static_branch_inc/kick_all_cpus_sync:leave-out'] },
  ...[
    'static_branch_inc/kick_all_cpus_sync:leave-out',
    'static_branch_inc/caches_clean_inval_pou:swap-with-next',
    'kick_all_cpus_sync/smp_call_function_many:leave-out',
    'sysvec_call_function/exception:leave-out',
    'smp_call_function_many/csd:leave-out',
    'smp_call_function_many/csd_lock_wait:leave-out',
  ].map((change) => ({ change, coveredBy: PMD_ISB })),
].map((survivor) => ({ ...survivor, variants: 'v6-pmd' }));

export const ofPtdumpVmalloc: readonly Survivor[] = [
  ...ofPmdBlocks,
  { change: 'ptdump_show/ptdump_walk_pgd:leave-out', variants: 'rcu-walk*', because: 'who does not walk harms nobody' },
  {
    change: 'ptdump_walk_pgd/mmap_write_lock:leave-out-pair',
    variants: 'rcu-walk*',
    because: 'vmalloc takes no lock: tables are freed after a grace period, and the walk is an RCU section',
  },
  { change: 'ptdump_walk_pgd/rcu_read_unlock:swap-with-next', because: 'the section is longer' },
  {
    change: 'ptdump_walk_pgd/mmap_write_lock:leave-out-pair',
    variants: 'other-mm-fixed',
    because: "it is efi_mm's: vmalloc asks for init_mm's alone, and that is held too",
  },
  { change: 'ptdump_walk_pgd/mmap_write_unlock:swap-with-next', because: 'both are released, in either order' },
  { change: '*/__flush_tlb_kernel_pgtable*', variants: 'v6-no-barrier*', because: NO_WALK_CACHES },
  ...['v3', 'v6-one-dumper', 'v6-no-kick', 'v6-no-isb'].map((variants) => ({
    change: 'pud_free_pmd_page/__flush_tlb_kernel_pgtable:leave-out',
    variants,
    coveredBy: ['__pmd_free_pte_page/__flush_tlb_kernel_pgtable:leave-out'],
  })),
  {
    change: 'pud_free_pmd_page/__flush_tlb_kernel_pgtable:leave-out',
    because: 'the tables below are freed next, and their invalidation comes before the table is freed',
  },
  {
    change: '*/pud_clear:swap-with-next',
    because: 'the tables below are freed next, and their invalidation comes before the table is freed',
  },
  { change: '*/__flush_tlb_kernel_pgtable*:swap-with-next', because: 'the table is freed after both' },
  { change: '*/pudp_get:leave-out-recheck', because: OWNED },
  { change: '*/pmdp_get:leave-out-recheck', because: OWNED },
  { change: '*/mmap_read_unlock:swap-with-next', because: 'the lock is held longer' },
  // The key of v3 to v6.
  { change: '__pmd_free_pte_page/isb:*', because: 'what the key says is not used: acquire_mmap_lock is false' },
  { change: '__pmd_free_pte_page/static_branch_unlikely:*', because: 'acquire_mmap_lock is false' },
  {
    change: 'pud_free_pmd_page/isb:*',
    variants: 'v6*',
    coveredBy: ['static_branch_inc/kick_all_cpus_sync:leave-out'],
  },
  {
    change: 'pud_free_pmd_page/isb:*',
    variants: 'v3',
    coveredBy: ['static_branch_enable/kick_all_cpus_sync:leave-out'],
  },
  { change: '*/isb*', because: 'no code is patched' },
  ...ofPercpuRwsem,
  { change: 'static_branch_inc/kick_all_cpus_sync:leave-out', coveredBy: ISB },
  { change: 'static_branch_enable/kick_all_cpus_sync:leave-out', coveredBy: ISB },
  { change: 'kick_all_cpus_sync/smp_call_function_many:leave-out', coveredBy: ISB },
  { change: 'sysvec_call_function/exception:leave-out', coveredBy: ISB },
  { change: 'smp_call_function_many/csd:leave-out', coveredBy: ISB },
  { change: 'smp_call_function_many/csd_lock_wait:leave-out', coveredBy: ISB },
  {
    change: 'sysvec_call_function/exception:swap-with-next',
    because: 'the handler does not return before its context is synchronized',
  },
  { change: 'static_branch_inc/caches_clean_inval_pou:swap-with-next', coveredBy: ISB },
  { change: 'static_branch_enable/caches_clean_inval_pou:swap-with-next', coveredBy: ISB },
  {
    change: 'static_branch_inc/kick_all_cpus_sync:swap-with-next',
    variants: 'v6',
    coveredBy: ISB,
  },
  {
    change: 'static_branch_*/kick_all_cpus_sync:swap-with-next',
    because: 'one dump: it begins to walk when both are done',
  },
  { change: 'static_branch_dec/*', because: TURNED_OFF_LATE },
  { change: 'static_branch_disable/B:*', because: TURNED_OFF_LATE },
  { change: 'static_branch_disable/caches_clean_inval_pou:*', because: TURNED_OFF_LATE },
  { change: 'static_branch_disable/kick_all_cpus_sync:*', because: TURNED_OFF_LATE },
  { change: 'static_branch_*', variants: 'v3', because: ONE_DUMP },
  { change: 'static_branch_inc/*:swap-with-next', variants: 'mutant-*', because: ONE_DUMP },
  {
    change: 'ptdump_walk_pgd/static_branch_dec:swap-with-next',
    variants: 'mutant-dec-before-unlock',
    because: 'the walk is over: the key may be turned off before or after the unlock',
  },
  { change: 'static_branch_inc/*', variants: 'v6-*', because: ONE_DUMP },
  { change: 'vmap_p*_range/set_*:swap-with-next', because: 'nothing is reached through either before both are set' },
  {
    change: 'vmap_try_huge_p*d/set_p*d:swap-with-next',
    because: 'the entry is clear by then: a walker finds it or the block',
  },
  { change: '*/pmd_clear:*', because: ISOLATED },
  { change: '*/pte_free_kernel:swap-with-next', because: ISOLATED },
];

const ONE_TASK = 'one task of the mm takes it';
const OWN_SLOT = 'only this CPU looks at its ctxs[asid].tlb_gen, with interrupts off';

const EMULATED =
  'vCPU 0 accesses the page through the emulator, which walks the tables itself: nothing uses what the TLB holds. xchg needs it';

export const ofKvmPvFlush: readonly Survivor[] = [
  { change: 'sysvec_call_function/flush_tlb_func:leave-out', variants: 'instruction-boundary', because: EMULATED },
  { change: 'flush_tlb_func/invlpg:leave-out', variants: 'instruction-boundary', because: EMULATED },
  { change: 'flush_tlb_mm_range/inc_mm_tlb_gen:leave-out', variants: 'instruction-boundary', because: EMULATED },
  { change: 'kvm_flush_tlb_multi/try_cmpxchg:load-then-store', variants: 'instruction-boundary', because: EMULATED },
  { change: 'madvise_dontneed/mmap_read_lock:*', because: ONE_TASK },
  { change: 'madvise_dontneed/zap_page_range_single:swap-with-next', because: ONE_TASK },
  { change: 'zap_pte_range/spin_lock:*', because: ONE_TASK },
  {
    change: 'zap_pte_range/ptep_get_and_clear_full:load-then-store',
    because: 'only hardware that sets accessed and dirty bits could come in between: see zap-vs-writeback',
  },
  { change: '*/inc_tlb_flush_pending:*', because: 'nobody here asks mm_tlb_flush_pending()' },
  { change: '*/dec_tlb_flush_pending:*', because: 'nobody here asks mm_tlb_flush_pending()' },
  { change: 'tlb_finish_mmu/tlb_flush_mmu:swap-with-next', because: 'nobody here asks mm_tlb_flush_pending()' },
  { change: 'flush_tlb_mm_range/inc_mm_tlb_gen:load-then-store', because: 'one flush at a time' },
  { change: 'flush_tlb_mm_range/get_flush_tlb_info:swap-with-next', because: 'the info is read by handlers, later' },
  { change: 'flush_tlb_func/ctxs*:leave-out', because: 'the next flush invalidates more than it need' },
  { change: 'flush_tlb_func/invlpg:swap-with-next', because: OWN_SLOT },
  {
    change: 'kvm_flush_tlb_multi/steal_time:always-1',
    because: 'the cmpxchg compares with what is there now: where the vCPU runs, it fails, and an IPI is sent',
  },
  {
    change: 'tlb_flush_mmu/put_page:leave-out',
    because: 'the page leaks, and nothing here counts references: gup-fast-vs-unmap does',
  },
  { change: 'should_flush_tlb/smp_rmb:*', because: 'x86 keeps loads in order: it is for the compiler', alsoOn: 'tso' },
  { change: 'sysvec_call_function/llist_del_all:leave-out', because: 'one call: a second one would send no IPI' },
  { change: 'sysvec_call_function/flush_tlb_func:swap-with-next', because: 'the handler runs with interrupts off' },
  { change: 'smp_call_function_many/local_irq_save:*', because: 'nobody calls the flushing CPU' },
  {
    change: 'smp_call_function_many/flush_tlb_func:*',
    because: 'the flushing CPU does not access the page afterwards: remote-flush has one that does',
  },
];

const RECHECKS = [
  'gup_fast_pte_range/pmdp_get_lockless:leave-out-recheck',
  'gup_fast_pte_range/ptep_get:leave-out-recheck',
];
const WAITS = 'the flush waits for the walk, and pages are put after it: native-ipi/page-batch/no-recheck is safe';
const SYNC = 'the table is freed before the page is put, and that waits for every walk that has seen the pmd';
/** Where others are told by what does not wait for older stores. */
const HYPERCALL_ON_TSO = ['gup-fast-vs-unmap', 'hypercall/call-rcu', { memoryModel: 'tso' }] as const;

export const ofGupFastVsUnmap: readonly Survivor[] = [
  {
    change: 'gup_fast_fallback/local_irq_save:leave-out-pair',
    variants: '*dontneed',
    because: 'no table is freed: reference and second look are enough for pages',
  },
  {
    change: 'gup_fast_pte_range/ptep_get_lockless:always-*',
    variants: '*dontneed',
    coveredBy: ['gup_fast_pte_range/ptep_get:leave-out-recheck'],
  },
  { change: 'gup_fast_pte_range/ptep_get_lockless:always-*', coveredBy: RECHECKS },
  { change: 'gup_fast_pte_range/*:leave-out-recheck', variants: 'native-ipi*', because: WAITS },
  { change: 'gup_fast_pte_range/*:leave-out-recheck', variants: 'kvm-pv/sync-*', because: SYNC },
  { change: 'gup_fast_pte_range/folio_try_get:load-then-store', variants: 'native-ipi*', because: WAITS },
  {
    change: 'gup_fast_pte_range/pmdp_get_lockless:leave-out-recheck',
    variants: '*dontneed',
    because: 'no table is removed: the pmd stays as it is',
  },
  {
    change: 'gup_fast_pte_range/pmdp_get_lockless:leave-out-recheck',
    coveredBy: ['gup_fast_pte_range/ptep_get:leave-out-recheck'],
  },
  {
    change: 'gup_fast_pte_range/ptep_get:leave-out-recheck',
    coveredBy: ['gup_fast_pte_range/pmdp_get_lockless:leave-out-recheck'],
  },
  {
    change: 'zap_pte_range/ptep_get_and_clear_full:leave-out',
    variants: 'native-ipi*',
    because: 'the pmd is cleared before the flush, which waits for every walk that has seen it',
  },
  { change: 'zap_pte_range/ptep_get_and_clear_full:leave-out', variants: 'kvm-pv/sync-*', because: SYNC },
  {
    change: 'zap_pte_range/ptep_get_and_clear_full:leave-out',
    coveredBy: ['gup_fast_pte_range/pmdp_get_lockless:leave-out-recheck'],
  },
  {
    change: 'zap_pte_range/ptep_get_and_clear_full:load-then-store',
    because: 'only hardware that sets accessed and dirty bits could come in between: see zap-vs-writeback',
  },
  {
    change: 'free_pte_range/pmd_clear:swap-with-next',
    because: 'tlb_remove_table() only queues the table: it is freed after the flush',
  },
  {
    change: 'tlb_flush_mmu/call_rcu:swap-with-next',
    because: 'the table waits for a grace period, the page for nothing: neither waits for the other',
  },
  { change: 'gup_fast_pte_range/folio_try_get:load-then-store', variants: 'kvm-pv/sync-*', because: SYNC },
  { change: '*/inc_mm_tlb_gen:*', neededIn: HYPERCALL_ON_TSO },
  {
    change: 'kvm_flush_tlb_multi/steal_time:always-1',
    because: 'the cmpxchg compares with what is there now: where the vCPU runs, it fails, and an IPI is sent',
  },
  { change: 'rcuc/send_IPI:swap-with-next', because: 'both CPUs are asked, in either order' },
  {
    change: 'sysvec_call_function/llist_del_all:leave-out',
    because: 'one call: a second one would find the queue not empty and send no IPI',
  },
  { change: 'unmap_region/zap_pte_range:swap-with-next', because: 'two tables, in either order' },
  { change: 'rcuc/__tlb_remove_table:swap-with-next', because: 'two tables, in either order' },
  { change: 'synchronize_rcu/send_IPI:swap-with-next', because: 'both CPUs are asked, in either order' },
];

export const ofReferencePtdump: readonly Survivor[] = [
  {
    change: 'walker/static_key_slow_inc:load-then-store',
    because: 'one walker: with --set n=2 two of them lose a count',
  },
  { change: 'walker/read:leave-out-recheck', because: 'the lock is held: the entry stays as it is' },
  { change: 'walker/static_key_slow_dec:*', because: TURNED_OFF_LATE },
  { change: '*/mmap_*_unlock:load-then-store', because: 'nobody else changes the lock while it is held' },
  { change: 'unmapper/free:leave-out', because: 'the leaf leaks: what is asked is who reads it afterwards' },
];

/** Where walks may find older entries. */
const ON_ARM = ['sme-dvmsync-erratum', 'dmb', { memoryModel: 'arm' }] as const;
const DSB_ON_ARM = ['sme-dvmsync-erratum', 'dsb', { memoryModel: 'arm' }] as const;

export const ofSme: readonly Survivor[] = [
  { change: 'zap_page/dsb*:*', neededIn: ON_ARM },
  { change: 'zap_page/pte_clear:swap-with-next', neededIn: ON_ARM },
  { change: 'sme_set_active/smp_mb:leave-out', neededIn: ON_ARM },
  { change: 'sme_set_active/dsb:leave-out', neededIn: DSB_ON_ARM },
  { change: 'sme_set_active/cpumask_set_cpu:swap-with-next', variants: 'dsb', neededIn: DSB_ON_ARM },
  { change: 'sme_set_active/cpumask_set_cpu:swap-with-next', neededIn: ON_ARM },
  { change: 'zap_page/cpumask_test_cpu:always-2', because: 'a CPU that is not in the mask is interrupted for nothing' },
  { change: 'zap_page/free_page:leave-out', because: 'the page leaks: what is asked is who accesses it afterwards' },
];
