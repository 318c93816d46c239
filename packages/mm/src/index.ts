export { HeldTranslations } from './arch/held-translations.ts';
export { CALL_FUNCTION_VECTOR, Smp, type SmpFunction } from './smp.ts';
export { architectures, type Architecture, type ArchitectureName, type TlbParts } from './arch/architecture.ts';
export { atomicTlb } from './arch/atomic-tlb.ts';
export { arm64Tlb, Arm64Counter, MAX_DVM_OPS } from './arch/arm64-tlb.ts';
export {
  HypercallCounter,
  hypercallTlbFlush,
  type HypercallMutant,
  type HypercallTlbOptions,
} from './arch/hypercall-tlb.ts';
export {
  globalAsidOf,
  InvlpgbCounter,
  use_global_asid,
  type InvlpgbMutant,
  type InvlpgbOptions,
} from './arch/invlpgb.ts';
export { AnonRmap, type ReuseEra } from './anon-rmap.ts';
export { ipiTlb, type IpiTlbOptions } from './arch/ipi-tlb.ts';
export {
  arm64FlushKernelRange,
  invlpgbFlushKernelRange,
  x86FlushKernelRange,
  type FlushTlbKernelRange,
  type KernelRangeMutant,
} from './arch/kernel-range.ts';
export { kvmTlbFlush, KvmCounter, type KvmTlbOptions } from './arch/kvm-tlb.ts';
export {
  INIT_MM,
  LOADED_MM_SWITCHING,
  mmuOf,
  TLB_NR_DYN_ASIDS,
  TLB_SINGLE_PAGE_FLUSH_CEILING,
  X86Counter,
  type FlushTlbMulti,
  type X86TlbMutant,
  type X86TlbOptions,
  type X86TlbState,
} from './arch/x86-state.ts';
export { riscvVmap, type RiscvVmap, type VmapFence, type VmapMutant } from './arch/riscv-vmap.ts';
export type { CpuMask } from './cpumask.ts';
export { native_flush_tlb_multi, x86Tlb, type X86Tlb } from './arch/x86-tlb.ts';
export { folio_try_get, type ReferenceGuards } from './folio.ts';
export { exc_page_fault, handle_mm_fault, user_access } from './fault.ts';
export {
  copy_pte_range_lazy,
  fork,
  fork_section,
  fork_section_dereferencing,
  type LazyCopy,
  type ReadsAgain,
} from './fork.ts';
export {
  Mm,
  pte_lock,
  pte_unlock,
  use_mm,
  type Kernel,
  type KernelBase,
  type MmInitial,
  type TlbArch,
} from './kernel.ts';
export {
  each_table,
  exit_mmap,
  madvise_dontneed,
  mmap,
  mmdrop,
  munmap,
  unmap_page_range,
  zap_page_range_single,
} from './mmap.ts';
export { mprotect } from './mprotect.ts';
export { flush_begins as lazy_flush_begins, returns as lazy_returns } from './lazy-ptes.ts';
export { Arm64Contpte, CONT_PTES_4K } from './arch/arm64-contpte.ts';
export { monitoredArch } from './monitored.ts';
export {
  GATHER_PAGES_MAX,
  MmuGather,
  rcuTableFree,
  tlb_finish_mmu,
  tlb_flush_mmu,
  tlb_flush_mmu_tlbonly,
  tlb_gather_mmu,
} from './mmu-gather.ts';
export { alignDown, free_pgd_range, pgd_alloc, pgd_free, pte_alloc, pte_offset } from './pgtable.ts';
export { do_wp_page, type FaultResult } from './wp-page.ts';
export { PAGES_MAX, VM_DATA_DEFAULT_FLAGS, VM_READ, VM_SPECIAL, VM_WRITE, VmaList } from './vma.ts';
export { walkerLoad } from './gup/invariants.ts';
export * from './kvm/index.ts';
export * as daemons from './daemons/index.ts';
export * as contpte from './arch/contpte/index.ts';
export * as filemap from './filemap/index.ts';
export * as gup from './gup/index.ts';
export * as lazy from './lazy/index.ts';
export * as secondary from './secondary/index.ts';
export * as vmalloc from './vmalloc/index.ts';
export { zap_pte_range_without_ptl } from './zap.ts';
export { LocklessWalkers } from './lockless-walkers.ts';
