export { HELD_TABLE } from './break-before-make.ts';
export * as dumps from './dump.ts';
export {
  blockDescriptor,
  formatDescriptor,
  pageDescriptor,
  pxd_leaf,
  pxd_none,
  pxd_pgtable,
  pxd_table,
  tableDescriptor,
} from './descriptor.ts';
export { addPtdump, walked, type Dump } from './dump.ts';
export * as freeTables from './free-tables.ts';
export type { FreeTable, FreeTables } from './free-tables.ts';
export {
  mmap_read_lock,
  mmap_read_trylock,
  mmap_read_unlock,
  mmap_write_lock,
  mmap_write_unlock,
  MmStruct,
} from '../mmap-lock.ts';
export { VmallocKernel, type TreeShape, type VmallocKernelOptions } from './kernel.ts';
export { vmap_pages_pud_range, vunmap_pud_range } from './load.ts';
export { vmap_pte_range_lazy, vmap_range, vmapRoutines, type TryHuge, type VmapDesign } from './vmap.ts';
