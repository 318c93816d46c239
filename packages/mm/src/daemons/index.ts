export { ksm_do_scan, KsmCounter, StableTree } from './ksmd.ts';
export { ReclaimCounter, kswapd_shrink_node } from './kswapd.ts';
export { BatchedUnmaps, type ReclaimMutant } from '../tlb-batched.ts';
export { khugepaged_scan_mm_slot } from './khugepaged.ts';
export { HugePages, ThpCounter, type HugePagesMutant } from '../huge-pages.ts';
export { NumaBalancing, NumaCounter, type NumaMutant } from '../numa-fault.ts';
export { task_numa_work } from './numa-scan.ts';
export { ScanHand } from './scan.ts';
