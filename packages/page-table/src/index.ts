/**
 * Entry formats and geometry of the page tables of x86-64, x86-32 PAE and arm64: pure functions, no state.
 * `x86` and `arm64` hold the kernel's bit names and its pte_*() functions; everything else works on any {@link
 * Geometry}.
 * @packageDocumentation
 */
export { joinWords, splitWords } from './bits.ts';
export { decode, encode, hardwareSetAccessed, hardwareSetDirty, pte_advance_pfn, reservedBits } from './codec.ts';
export { ALL_PERMITTED, intersectPermissions, isDirty } from './entry.ts';
export type {
  Entry,
  InvalidEntry,
  LeafEntry,
  MemoryAttribute,
  Permissions,
  Shareability,
  TableEntry,
} from './entry.ts';
export { arm64Geometry, geometries, geometryNamed } from './geometries.ts';
export type { Arm64Shape } from './geometries.ts';
export {
  alignDown,
  contiguousEntries,
  contiguousSpanBytes,
  halfOf,
  indexAt,
  indexAtPageNumber,
  isCanonical,
  join,
  levelBelow,
  levelNamed,
  levelSpanBytes,
  pageNumber,
  split,
} from './geometry.ts';
export type {
  AddressLayout,
  AddressRule,
  EntryFormat,
  Geometry,
  Half,
  Level,
  LevelName,
  SplitAddress,
} from './geometry.ts';
export { linuxLeaf, linuxTable, linuxView } from './linux.ts';
export type { LeafRequest } from './linux.ts';
export { LINUX_PAT, mairMemoryType, patMemoryType, stage2MemoryType } from './memory-types.ts';
export type { MemoryType } from './memory-types.ts';
export * as arm64 from './arm64-names.ts';
export * as x86 from './x86-names.ts';
