export { ksm_do_scan, KsmCounter, StableTree } from './ksmd.ts';
export { BatchedUnmaps, ReclaimCounter, shrink_inactive_list, type ReclaimMutant } from './kswapd.ts';
export { ScanHand } from './scan.ts';
