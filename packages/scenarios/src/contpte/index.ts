/**
 * The contpte scenarios: what each operation on contiguous entries does to whoever works with them at the same time.
 */
export { breakBeforeMake } from './break-before-make.ts';
export { contpteFault } from './contpte-fault.ts';
export { contpteFold } from './contpte-fold.ts';
export { contpteFork } from './contpte-fork.ts';
export { contpteLockless } from './contpte-lockless.ts';
export { contpteMprotect } from './contpte-mprotect.ts';
export { contpteMremap } from './contpte-mremap.ts';
export { contpteReclaim } from './contpte-reclaim.ts';
export { contpteUnfold } from './contpte-unfold.ts';
export { contpteYoung } from './contpte-young.ts';
export { contpteZap } from './contpte-zap.ts';
