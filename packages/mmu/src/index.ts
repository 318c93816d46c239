export * from './entry.ts';
export { mmuMachine, type Flush, type MmuContext, type MmuEmitted, type MmuEvent, type Root } from './mmu.machine.ts';
export {
  connectMmus,
  MmuInstructions,
  type InvalidationLatency,
  type RemoteRequest,
  type TlbiRequest,
} from './instructions.ts';
export { Mmu, siblingCaches, type SharedTlb } from './mmu.ts';
export { NestedMmu, PhysicalTlb, VPID_MAX, type NestedMmuOptions } from './nested-mmu.ts';
export {
  defaultNestedCacheSizes,
  NestedCaches,
  NestedWalker,
  type NestedCacheSizes,
  type NestedWalked,
  type WalkStart,
} from './nested-walk.ts';
export { SecondStage, type SecondStageOptions } from './second-stage.ts';
export { defaultMmuGeometry, TlbCaches, type MmuGeometry } from './tlb-caches.ts';
export { NO_TRANSLATION, offered } from './offered.ts';
export { FlushMonitor, STALE_TRANSLATION, type AccessObserver, type FlushMonitorOptions } from './flush-monitor.ts';
export {
  BBML0,
  BBML2_NOABORT,
  BREAK_BEFORE_MAKE,
  changeThatNeedsBreak,
  reportChangesInPlace,
  TLB_CONFLICT,
  type BreakBeforeMakeRule,
} from './break-before-make.ts';
export { ContiguousMmu } from './contiguous-mmu.ts';
export { ContiguousTlb, type ContiguousTlbOptions, type Translator } from './contiguous-tlb.ts';
export { Smmu } from './smmu.ts';
export { SaturatedMmu } from './saturated-mmu.ts';
export { SaturatedTlb, type SaturatedTlbOptions } from './saturated.ts';
export { ASID_LIMIT, TlbWords, type PageSize } from './tlb-words.ts';
export {
  Fault,
  indexOf,
  rootPointer,
  SECOND_STAGE,
  tinyShape,
  Walker,
  walkShape,
  type Walked,
  type WalkLevel,
  type WalkShape,
} from './walk.ts';
export {
  formatTlbGeometry,
  parseTlbGeometry,
  TlbGeometryError,
  tlbEntriesMax,
  tlbGeometry,
  type TlbGeometry,
} from './trace/geometry.ts';
export {
  referenceBytesMax,
  kindBits,
  referenceKinds,
  referencesMax,
  ReferenceTrace,
  TraceError,
  type Reference,
  type ReferenceKind,
} from './trace/reference-trace.ts';
export { packReferences } from './trace/packed.ts';
export type { SkippedLines } from './trace/lines.ts';
export { readReferenceTrace, type ReadReferenceTraceOptions } from './trace/references.ts';
export {
  countTlb,
  pageShiftMax,
  pageShiftMin,
  TlbHierarchy,
  type TlbCounts,
  type TlbHierarchyConfig,
  type TlbLevelCounts,
} from './trace/tlb-hierarchy.ts';
