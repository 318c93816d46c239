export { inOrder, readCondition, readFilter, readLocations, sameObservable } from './condition.ts';
export type { Condition, ConditionDialect, Filter, FinalState, Formula, Observable } from './condition.ts';
export { Unsupported, unsupported } from './errors.ts';
export type { Dialect, FrontEnd, Hardware, LitmusTest, Memory, Registers, Thread, Variable } from './litmus-test.ts';
export { frontEndOf, frontEnds, readLitmus } from './registry.ts';
export { agreesWith, CONDITION, machineOf, runLitmus, STATES_MAX_DEFAULT } from './run.ts';
export type { LitmusMachine, LitmusResult, Observation, Outcome, RunOptions } from './run.ts';
export { columnsOf, cutLitmus, statementsOf, type Column, type LitmusSource } from './source.ts';
