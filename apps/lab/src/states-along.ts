/** The states along a schedule, for documents: what the words of a trace stand for. */
import { recordStates, TabulatedExecutor, type StateTrace, type System } from '@shootdown/machine';
import type { RequestedScenario } from './scenario-request.ts';

/** Longer runs are told without their states: every choice at every step is looked at. */
const STEPS_MAX = 5000;

/** Null: the run is too long. */
export function statesOf(system: System, schedule: readonly number[]): StateTrace | null {
  return schedule.length > STEPS_MAX ? null : recordStates(new TabulatedExecutor(system), schedule);
}

/** Of a scenario's counterexample, if there is one. */
export function statesAlong(resolved: RequestedScenario, schedule: readonly number[] | null): StateTrace | null {
  return schedule && statesOf(resolved.build(), schedule);
}
