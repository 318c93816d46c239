export { ksm_do_scan, KsmCounter, StableTree } from './ksmd.ts';
export { ScanHand } from './scan.ts';
