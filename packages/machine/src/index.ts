export { type CacheCosts } from './schedule/cache-lines.ts';
export {
  checkName,
  checkNearMisses,
  checkOptions,
  fromThread,
  inOtherWords,
  isLimit,
  keysOf,
  LimitError,
  ModelError,
  nearest,
  printable,
  shownText,
  thrown,
  ThrownError,
  unknownName,
  withoutControls,
} from './state/errors.ts';
export {
  checkedOnce,
  checkFlag,
  checkValues,
  checkWhole,
  checkWord,
  is,
  wordsOf,
  type OptionValues,
  type ValueCheck,
} from './state/option-values.ts';
export { canonicalJson, hashString, mix32, type Hash64 } from './state/hash.ts';
export {
  ContentHashes,
  Layout,
  WordClass,
  WordStore,
  type Address,
  type Region,
  type RegionOptions,
} from './state/words.ts';
export {
  type Explanation,
  BLOCKED,
  defineOperation,
  withDefinition,
  messageFor,
  operation,
  perform,
  type Footprint,
  type Mark,
  type Message,
  type Operation,
  type OperationContext,
  type OperationOrder,
  type WeakContext,
  type OperationDefinition,
  type Halves,
  type PairEnd,
  type Role,
  type Ordering,
  type Saying,
  type SourceLine,
  type Weaker,
  type Steps,
} from './routine/operation.ts';
export * from './routine/operations.ts';
export * from './routine/ordered.ts';
export { isSteps, noted, noteEverything, notedMethods, noteMethods, resumed } from './routine/noted.ts';
export { noteLater, refuseStrays, stepOf, voidStepOf } from './routine/unbegun.ts';
export {
  assertThat,
  count,
  each,
  inlined,
  isRoutine,
  Local,
  local,
  point,
  program,
  refuseReplacedUnknown,
  retry,
  routine,
  routinesNamed,
  tell,
  type Program,
  type Routine,
} from './routine/routine.ts';
export { RoutineCursor } from './routine/cursor.ts';
export { performInOneStep } from './routine/one-step.ts';
export {
  noteStandIns,
  replaceRoutines,
  routinesCalled,
  watchedReplacements,
  type Replacement,
  type Replacements,
} from './routine/replacing.ts';
export { fromRoutine, type PersistedRoutine, type ResultEvent, type RoutineSnapshot } from './routine/from-routine.ts';
export { Numbering, NOTHING_DISCOVERED, type Discovered, type Discoveries } from './routine/discoveries.ts';
export { sitesWithin, type Site } from './routine/sites.ts';
export { NodeTable } from './routine/nodes.ts';
export { sameOperation } from './routine/unsteady.ts';
export { verifyAlone, verifyEvery, verifyTogether, waysOf, type Way } from './routine/replays.ts';
export {
  describeMismatch,
  verifyPoints,
  type PointMismatch,
  type VerifyPointsOptions,
} from './routine/verify-points.ts';
export * from './system/specs.ts';
export * from './system/system.ts';
export { ScopedBuilder } from './system/scoped-builder.ts';
export { Executor, IRET } from './execute/executor.ts';
export { Wire, type Emitted } from './execute/wire.ts';
export { Reports, type SentMessage, type Violation } from './execute/reports.ts';
export { EXECUTES_TAG, type Output } from './execute/keepers.ts';
export {
  CHOICES_MAX,
  entryBranch,
  entryChoice,
  formatSchedule,
  parseSchedule,
  parseScheduleUpTo,
  scheduleEntry,
  type ParsedSchedule,
} from './schedule/schedule.ts';
export { DirectExecutor } from './execute/direct.ts';
export { TabulatedExecutor } from './execute/tabulated.ts';
export { LiveExecutor, type Inspector } from './execute/live.ts';
export { Random } from './state/random.ts';
export { arm64Costs, costModels, cyclesOf, withCosts, x86Costs, type Cost, type CostModel } from './schedule/cost.ts';
export {
  columnsOf,
  describeStep,
  recordTrace,
  type Trace,
  type TraceEnd,
  type TraceAside,
  type TraceMessage,
  type TraceStep,
} from './trace/trace.ts';
export {
  PctScheduler,
  RandomScheduler,
  replay,
  runScheduler,
  type ScheduledRun,
  type Scheduler,
} from './schedule/schedulers.ts';
export type { Arrival, TimedStep, VirtualTimeOptions, VirtualTimeRun } from './schedule/timed-run.ts';
export { runVirtualTime, VirtualTimeScheduler } from './schedule/virtual-time.ts';
export {
  Change,
  formatMutation,
  parseMutation,
  valueAlwaysRead,
  type Mutation,
  type MutationName,
} from './mutate/mutation.ts';
export { mutated, type Mutated } from './mutate/mutated.ts';
export { LineWatcher, type CodeLine } from './mutate/code-lines.ts';
export { serveMachine, type ServedComponent, type ServedStep } from './execute/serve.ts';
export { createActor, type AnyActorRef, type AnyStateMachine } from './execute/xstate-adapter.ts';
export { Frames, TOO_MANY_REFERENCES, type EntryPointer } from './state/frames.ts';
export { type FrameOptions } from './state/frame-options.ts';
export { FrameKind, FREED_FRAME, NO_FRAME } from './state/frame-kind.ts';
export {
  isMemoryFault,
  MemoryFault,
  NO_SLOT,
  type Access,
  type Acquire,
  type BarrierKind,
  type Dependencies,
  type Descriptor,
  type Modify,
  type Request,
  type StoreToCome,
  type Tlbi,
  type Translation,
} from './memory/requests.ts';
export { ORDERING_RULES, type OrderingRule } from './memory/rules.ts';
export { addTo, addUnless, clearIn, setIn, swapIf, swapTo, toggleIn } from './memory/modify.ts';
export {
  accessOf,
  barrier,
  contextSynchronisation,
  invalidate,
  performAccess,
  setSomeAccessFlag,
} from './memory/instructions.ts';
export { after, dereferenced } from './memory/dependencies.ts';
export { DATA_RACE } from './execute/weak-port.ts';
export type { Asking, Prospect } from './memory/prospect.ts';
export { WeakMemory, type WeakMemoryOptions, type WeakStep } from './memory/weak-memory.ts';
export { statechart } from './trace/statechart.ts';
export {
  enabledChoices,
  recordStates,
  type EnabledChoice,
  type StateStep,
  type StateTrace,
  type StateWord,
  type WordChange,
} from './trace/states.ts';
