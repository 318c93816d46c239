export { CALL_FUNCTION_VECTOR, Smp, type SmpFunction } from './smp.ts';
