export {
  arm64BeforeB81c688426a9,
  arm64V6_16,
  lazyArchs,
  lazyGenerations,
  powerpcBeforeB9ef323ea168,
  sparc64BeforeA1d416bf9faf,
  type Deferred,
  type LazyArch,
  type LazyArchName,
} from './arch.ts';
export { HAZARDS, HAZARD_SOURCES, hazardClasses, hazardOf, type HazardClass } from './hazards.ts';
export { LazyMmu, type Current, type LazyMmuOptions, type PteBarriers } from './lazy-mmu.ts';
export {
  arch_flush_lazy_mmu_mode,
  lazy_mmu_mode_disable,
  lazy_mmu_mode_enable,
  lazy_mmu_mode_pause,
  lazy_mmu_mode_resume,
  might_sleep,
  returns,
  SECTIONS,
} from './mode.ts';
export {
  dereference,
  flush_tlb_range,
  KERNEL_FAULT,
  kernel_access,
  needs_immediate_effect,
  ptep_get,
  ptep_get_and_clear,
  ptep_modify_prot_start,
  ptep_set_wrprotect,
  ptep_test_and_clear_young,
  pte_unmap_unlock,
  set_pte,
} from './pte.ts';
export * from './kernel-sections.ts';
export * from './sections.ts';
export * from './swap-entries.ts';
export * from './young-sections.ts';
