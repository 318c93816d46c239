export { ptdumpMachine, type PtdumpContext, type PtdumpEmitted, type PtdumpEvent } from './ptdump.machine.ts';
export {
  CLEARED_ENTRY,
  DumpState,
  Ptdump,
  type EntryReader,
  type Fetch,
  type PtdumpMm,
  type PtdumpOptions,
  type WalkLevel,
} from './walk.ts';
