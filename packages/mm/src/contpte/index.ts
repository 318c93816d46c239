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
export { TLBF_NOBROADCAST, TLBF_NONE, TLBF_NONOTIFY, TLBF_NOSYNC, TLBF_NOWALKCACHE } from './tlbflush.ts';
export { folio_mark_accessed, folio_mark_dirty } from './zap.ts';
