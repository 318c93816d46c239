/**
 * What it takes to write a model: one import. A small machine in one call ({@link smallMachine}), and with it the parts
 * of the other packages that a routine, a property or a test needs.
 * @packageDocumentation
 */
export { OLD_TRANSLATION, SmallMachine, smallMachine, type CpuCode, type Promised } from './small-machine.ts';
export { FLUSHES, type FlushName, type SmallMachineOptions, type VcpuChoice } from './options.ts';
export type { Access, AccessRule } from './watching.ts';
export { explore, resolveScenario, type Scenario, type Variant } from '@shootdown/explorer';
export {
  assertThat,
  atomicAdd,
  choose,
  clearBits,
  cmpxchg,
  each,
  load,
  Local,
  local,
  point,
  program,
  retry,
  routine,
  setBits,
  smp_mb,
  smp_rmb,
  smp_wmb,
  store,
  SystemBuilder,
  waitFor,
  xchg,
  NO_FRAME,
  type EntryPointer,
  type Property,
  type Region,
  type Routine,
  type Steps,
  type System,
} from '@shootdown/machine';
export {
  do_idle,
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  preempt_disable,
  preempt_enable,
  user_mode,
  type Cpu,
} from '@shootdown/cpu';
export {
  folio_try_get,
  madvise_dontneed,
  Mm,
  pte_lock,
  pte_unlock,
  tlb_finish_mmu,
  tlb_flush_mmu,
  tlb_flush_mmu_tlbonly,
  tlb_gather_mmu,
  walkerLoad,
  zap_page_range_single,
  type Kernel,
  type TlbArch,
} from '@shootdown/mm';
export {
  _PAGE_ACCESSED,
  _PAGE_DIRTY,
  _PAGE_PRESENT,
  _PAGE_RW,
  _PAGE_TABLE,
  _PAGE_USER,
  Fault,
  formatEntry,
  mk_pte,
  pte_dirty,
  pte_pfn,
  pte_present,
  pte_write,
  pte_young,
} from '@shootdown/mmu';
