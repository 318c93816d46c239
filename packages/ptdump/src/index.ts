export type { WalkLevel } from './place.ts';
export {
  ptdumpMachine,
  type EntryKind,
  type Fetch,
  type PtdumpContext,
  type PtdumpEmitted,
  type PtdumpEvent,
  type PtdumpInput,
  type ReadName,
} from './ptdump.machine.ts';
export { CLEARED_ENTRY, DumpState, Ptdump, type EntryReader, type PtdumpMm, type PtdumpOptions } from './walk.ts';
