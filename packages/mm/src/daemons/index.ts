export { ksm_do_scan, KsmCounter, StableTree } from './ksmd.ts';
export { ReclaimCounter, kswapd_shrink_node } from './kswapd.ts';
export { BatchedUnmaps, type ReclaimMutant } from '../tlb-batched.ts';
export { ScanHand } from './scan.ts';
