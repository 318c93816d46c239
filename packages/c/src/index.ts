/**
 * Kernel C as routines of the machine: a function in place of a scenario's own, a patch, a whole program.
 * @packageDocumentation
 */
export { CError } from './diagnostics.ts';
export { printedHeader } from './link.ts';
export { linuxC, readProgram } from './program/litmus.ts';
export { sidesOf, type ReadTree, type Sides } from './patch/sides.ts';
export { replacements, type CFile, type ReplaceRequest } from './replace.ts';
export { type Memory } from './run/memory.ts';
export {
  type AnyOffer,
  type Call,
  type OffersC,
  type CArgument,
  type CFunction,
  type FilledWords,
  type KernelOffer,
  type ReplaceableRoutine,
} from './run/offer.ts';
