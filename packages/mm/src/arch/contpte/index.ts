export { FPB_RESPECT_DIRTY, FPB_RESPECT_WRITE } from './batch.ts';
export {
  contpte_align_down,
  contpte_is_consistent,
  ContpteCounter,
  contpte_try_fold,
  contpte_try_unfold,
} from './contpte.ts';
export { access_until_done, VM_FAULT } from './fault.ts';
export { ContpteInvariants, DISAGREE, LOST_DIRTY, MISPROGRAMMED, UNLOCKED } from './invariants.ts';
export {
  ContpteGather,
  contpteCpu,
  ContpteKernel,
  PAGE_SHIFT,
  PAGE_SIZE,
  PAST_TABLE,
  pte_offset_map_lock,
  pte_unmap_unlock,
  ptep_plus,
  type ContpteCpu,
  type ContpteLayer,
  type ContpteLayerCpu,
  type ContpteKernelOptions,
  type ContpteMm,
  type ContpteVma,
  type Folio,
  type Ptep,
} from './kernel.ts';
export { INCONSISTENT, LocklessMonitor } from './lockless-monitor.ts';
export { page_anon_exclusive_sub_batch, PageAnonExclusive } from './mprotect.ts';
export {
  __ptep_get,
  __ptep_get_and_clear,
  __set_pte,
  cmpxchg_loop,
  CYDP_CLEAR_DIRTY,
  CYDP_CLEAR_YOUNG,
} from './primitives.ts';
export { pte_batch_hint } from './pgtable.ts';
export * from './pte.ts';
export { routines, type ContpteRoutines } from './routines.ts';
export { LOST_UPDATE, storeOver } from './store-over.ts';
export {
  monitoredFlush,
  TLBF_NOBROADCAST,
  TLBF_NONE,
  TLBF_NONOTIFY,
  TLBF_NOSYNC,
  TLBF_NOWALKCACHE,
} from './tlbflush.ts';
export { folio_mark_accessed, folio_mark_dirty } from './zap.ts';
/* Versions of these functions that other kernels had, or that were proposed. */
export {
  contpte_ptep_set_access_flags_gathered,
  contpte_ptep_set_access_flags_without_unfold,
  __contpte_try_fold_across_folios,
  contpte_convert_on_any_cpu,
  contpte_clear_young_dirty_ptes_by_bytes,
  contpte_ptep_get_lockless_scanning,
} from './contpte.ts';
export { dup_mmap_without_flush } from './fork.ts';
export { gup_fast_pte_range } from './lockless-monitor.ts';
export { commit_anon_folio_batch_from_the_first, mprotect_folio_pte_batch_one } from './mprotect.ts';
export {
  move_ptes_flush_after_unlock,
  mremap_folio_pte_batch_ignoring_write,
  mremap_folio_pte_batch_one,
} from './mremap.ts';
export {
  clear_full_ptes_without_unfold,
  clear_full_ptes_unfolded_after,
  set_ptes_raw,
  wrprotect_ptes_each_page,
  clear_full_ptes_each_page,
  modify_prot_start_ptes_to_the_end,
  modify_prot_start_ptes_without_flush,
} from './pgtable.ts';
export { __clear_young_dirty_ptes_atomic } from './primitives.ts';
export { folio_unmap_pte_batch_as_long_as_the_folio, folio_unmap_pte_batch_one } from './reclaim.ts';
export { flushes_nothing } from './tlbflush.ts';
export { tlb_finish_mmu_put_once } from './zap.ts';
export { fork, mprotect } from './syscalls.ts';
