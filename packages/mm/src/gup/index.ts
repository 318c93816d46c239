export { khugepaged, type CollapseSync, type Deposit } from './collapse.ts';
export { hypercall, invlpgb, kvmPv, nativeIpi, tlbi, type FlushBackEnd } from '../arch/interrupts-only.ts';
export {
  GUP_GUARDS,
  gup_fast_fallback,
  gupFastRoutines,
  NONE as NO_PAGE,
  type GupGuards,
  type ReadSection,
  type Recheck,
} from './gup-fast.ts';
export { folio_try_get } from '../folio.ts';
export { Invariant, walkerLoad, WalkMonitor, type Counting, type Mapping } from './invariants.ts';
export { GUP_VECTORS, GupKernel, PMD_TABLE, PTE_TABLE, WALKER, type RcuKind } from './kernel.ts';
export { type RemoveOne, type TableFreeing } from '../mmu-gather.ts';
export { unmap_region, unmap_region_with_tables, type Unmap, type UnmapDesign } from './unmap.ts';
export {
  gup_fast_pte,
  handle_mm_fault,
  madvise_dontneed,
  PaeKernel,
  type FlushPosition,
  type PaeDesign,
  type PaeReader,
} from './pae.ts';
export { VALUE_WAS_IN_TABLE } from './pae-entry.ts';
export { ksmd } from './ksm.ts';
