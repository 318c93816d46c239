/** Lines that are not needed where khugepaged, ksmd or PAE meet GUP-fast, and why that is no surprise. */
import type { Survivor } from './mutants.test-support.ts';

const PTL = 'nobody else takes the page-table lock: GUP-fast takes none';
/** Where others are told by what does not wait for older stores. */
const HYPERCALL_ON_TSO = ['gup-fast-vs-unmap', 'hypercall/call-rcu', { memoryModel: 'tso' }] as const;
const UNDER_PTL = 'both are under the page-table lock, or the flush looks at neither';

const ofBoth: readonly Survivor[] = [
  { change: '*/inc_mm_tlb_gen:*', neededIn: HYPERCALL_ON_TSO },
  { change: 'rcuc/send_IPI:swap-with-next', because: 'both CPUs are asked, in either order' },
  { change: 'synchronize_rcu/send_IPI:swap-with-next', because: 'both CPUs are asked, in either order' },
  {
    change: 'kvm_flush_tlb_multi/steal_time:always-1',
    because: 'the cmpxchg compares with what is there now: where the vCPU runs, it fails, and an IPI is sent',
  },
  { change: '*/*_lockless:always-*', because: 'the page is looked at again when it is pinned' },
  {
    change: 'gup_fast_*/*:leave-out-recheck',
    because: 'the flush waits for the walk, or who counts finds its reference',
  },
  {
    change: 'gup_fast_*/folio_try_get:load-then-store',
    because: 'the flush waits for the walk, and pages are put after it',
  },
];

export const ofCollapse: readonly Survivor[] = [
  ...ofBoth,
  {
    change: 'collapse_huge_page/*flush_tlb*:swap-with-next',
    because: 'the table is isolated when both are done, in either order',
  },
  { change: 'collapse_huge_page/pmdp_collapse_flush:load-then-store', because: 'nobody else changes the pmd' },
  { change: 'collapse_huge_page/ptep_clear:*', because: 'the table is isolated, and is freed with what it holds' },
  {
    change: 'collapse_huge_page/free_page_and_swap_cache:swap-with-next',
    because: 'the pmd maps the huge page: nobody finds the small one any more',
  },
  { change: 'collapse_huge_page/pmd_populate:swap-with-next', because: 'nobody has seen the huge page' },
  {
    change: 'zap_huge_pmd/pmdp_huge_get_and_clear_full:load-then-store',
    because: 'only hardware that sets accessed and dirty bits could come in between',
  },
  {
    change: 'zap_huge_pmd/zap_deposited_table:swap-with-next',
    because: 'the deposited table has been waited for when the pmd was collapsed',
  },
  { change: 'zap_huge_pmd/call_rcu:swap-with-next', because: 'the table waits for a grace period either way' },
  { change: 'tlb_remove_table_sync_one/*', because: 'the flush is an IPI already' },
  { change: 'collapse_huge_page/tlb_remove_table_sync_one:*', because: 'the flush is an IPI already' },
];

export const ofKsmGup: readonly Survivor[] = [
  ...ofBoth,
  { change: '*/spin_lock:*', because: PTL },
  { change: '*/spin_unlock:swap-with-next', because: PTL },
  { change: '*/ptep_get:leave-out-recheck', because: PTL },
  { change: '*/ptep_clear_flush:*', because: PTL },
  { change: '*flush*:swap-with-next', because: 'the entry is clear or read-only: nothing is written through it' },
  { change: 'replace_page/*flush*:leave-out', because: 'the entry was read-only: what is read there is the same page' },
  { change: 'replace_page/*:swap-with-next', because: PTL },
  { change: 'replace_page/get_page:load-then-store', because: 'nobody else has the stable page' },
  { change: 'replace_page/folio_remove_rmap_pte:leave-out', because: 'nothing here asks whether the folio is mapped' },
  { change: 'write_protect_page/set_pte_at:*', because: PTL },
  { change: 'try_to_merge_one_page/write_protect_page:*', because: 'the entry is read-only, or is not merged' },
];

export const ofPae: readonly Survivor[] = [
  ...ofBoth,
  { change: 'ptep_get_lockless/*:leave-out-recheck', because: 'the value is believed only after a second look' },
  { change: 'gup_fast/*:leave-out', because: 'the walk returns nothing, or what no monitor is asked about' },
  { change: 'user/*', because: 'the entry changes less often, or in another order' },
  { change: 'handle_pte_fault/ptep.*:leave-out', because: 'the entry is not mapped again, or to a page below 4 GiB' },
  { change: 'handle_pte_fault/*:swap-with-next', because: 'sc: a reader that has the new low word reads both again' },
  { change: 'handle_pte_fault/smp_wmb:*', because: 'x86 keeps stores in order: it is for the compiler', alsoOn: 'tso' },
  { change: 'handle_pte_fault/spin_lock:*', because: 'one fault or zap at a time' },
  {
    change: 'madvise_dontneed_single_vma/clear_count:load-then-store',
    because: 'it is counted under the page-table lock',
  },
  { change: 'madvise_dontneed_single_vma/flush_tlb_mm_range:*', because: 'the reader believes no page, only a value' },
  { change: 'madvise_dontneed_single_vma/free_page:leave-out', because: 'another page is mapped next' },
  { change: 'madvise_dontneed_single_vma/ptep.pte_high*:*', because: 'the counter moves when both words are clear' },
  { change: 'madvise_dontneed_single_vma/*:swap-with-next', because: UNDER_PTL },
  { change: 'madvise_dontneed_single_vma/xchg:load-then-store', because: 'the page-table lock is held' },
  { change: 'madvise_dontneed_single_vma/spin_lock:*', because: 'one fault or zap at a time' },
  { change: 'native_flush_tlb_multi/*', because: 'the value is read again, with the counter' },
  { change: 'kvm_flush_tlb_multi/*', because: 'the reader is right whether or not the flush waits for it' },
  { change: 'flush_tlb_mm_range/*', because: 'the reader is right whether or not the flush waits for it' },
  { change: 'smp_call_function_many/*', because: 'the reader is right whether or not the flush waits for it' },
  { change: 'sysvec_call_function/*', because: 'the reader is right whether or not the flush waits for it' },
  { change: 'gup_fast/local_irq_save:*', because: 'the reader is right whether or not the flush waits for it' },
  { change: '__get_spte_lockless/*', because: 'the counter is looked at before and after: one of the looks is enough' },
];
