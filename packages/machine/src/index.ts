export { ModelError } from './errors.ts';
export { canonicalJson, hashString, mix32, type Hash64 } from './hash.ts';
export { ContentHashes, Layout, WordStore, type Address, type Region, type RegionOptions } from './words.ts';
export {
  BLOCKED,
  defineOperation,
  messageFor,
  operation,
  perform,
  type Footprint,
  type Mark,
  type Message,
  type Operation,
  type OperationContext,
  type OperationDefinition,
  type Saying,
  type Steps,
} from './operation.ts';
export * from './operations.ts';
export {
  assertThat,
  count,
  each,
  inlined,
  Local,
  local,
  point,
  program,
  retry,
  routine,
  RoutineCursor,
  type Program,
  type Routine,
} from './routine.ts';
export { fromRoutine, type PersistedRoutine, type ResultEvent, type RoutineSnapshot } from './from-routine.ts';
export { Numbering, NOTHING_DISCOVERED, type Discovered, type Discoveries } from './discoveries.ts';
export { NodeTable } from './nodes.ts';
export { verifyPoints, type PointMismatch, type VerifyPointsOptions } from './verify-points.ts';
export * from './system.ts';
export { ScopedBuilder } from './scoped-builder.ts';
export { Executor, EXECUTES_TAG, IRET, type Emitted, type Violation } from './executor.ts';
export { entryBranch, entryChoice, scheduleEntry } from './schedule.ts';
export { DirectExecutor } from './direct.ts';
export { TabulatedExecutor } from './tabulated.ts';
export { LiveExecutor, type Inspector } from './live.ts';
export { Random } from './random.ts';
export { arm64Costs, costModels, cyclesOf, withCosts, x86Costs, type Cost, type CostModel } from './cost.ts';
export { columnsOf, describeStep, recordTrace, type Trace, type TraceEnd, type TraceStep } from './trace.ts';
export {
  PctScheduler,
  RandomScheduler,
  replay,
  runScheduler,
  type ScheduledRun,
  type Scheduler,
} from './schedulers.ts';
export {
  runVirtualTime,
  VirtualTimeScheduler,
  type TimedStep,
  type VirtualTimeOptions,
  type VirtualTimeRun,
} from './virtual-time.ts';
export { serveMachine, type ServedComponent, type ServedStep } from './serve.ts';
export { createActor, type AnyActorRef, type AnyStateMachine } from './xstate-adapter.ts';
export { FrameKind, Frames, FREED_FRAME, NO_FRAME, type EntryPointer, type FrameOptions } from './frames.ts';
