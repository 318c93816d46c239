/** The contpte scenarios: what each operation on contiguous entries does to whoever works with them at the same time. */
export { contpteFault } from './contpte-fault.ts';
export { contpteFold } from './contpte-fold.ts';
export { contpteUnfold } from './contpte-unfold.ts';
export { contpteZap } from './contpte-zap.ts';
