export { ksm_do_scan, KsmCounter, StableTree } from './ksmd.ts';
export { BatchedUnmaps, ReclaimCounter, kswapd_shrink_node, type ReclaimMutant } from './kswapd.ts';
export { ScanHand } from './scan.ts';
