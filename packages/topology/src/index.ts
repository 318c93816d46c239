export { assemble, type AssembledMachine } from './assemble.ts';
export type { AssembledVm } from './host.ts';
export { ownThreadKey, type OwnThreads } from './kernel.ts';
export { machine, MachineBuilder, type MachineOptions, type ProcessOptions } from './builder.ts';
export { MachineRunner, runMachine, type Counters, type MachineRun, type Runnable, type RunOptions } from './run.ts';
export {
  forkedIn,
  lazyModeOf,
  parseTopology,
  parseTopologyText,
  PHASE_PREFIX,
  type Action,
  type Topology,
  type TopologyInput,
} from './schema.ts';
export { topologySchema } from './description.ts';
export {
  MMAP_BASE_PAGE,
  runActions,
  VDSO_PAGES,
  type ProcessState,
  type RunContext,
  type ThreadContext,
} from './script.ts';
export type { SecondaryBody, SecondaryUse } from './secondary.ts';
export { replayOf } from './replay.ts';
export type { KernelRange } from './kernel-tables.ts';
export { waitOf, type OnRoutine } from './routine-times.ts';
export { partsOf, type Part } from './parts.ts';
