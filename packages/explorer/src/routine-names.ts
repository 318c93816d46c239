/** The routines that a machine has: whatever its processors call. */
import {
  DirectExecutor,
  isRoutine,
  ModelError,
  noteStandIns,
  PctScheduler,
  RandomScheduler,
  routinesCalled,
  routinesNamed,
  runScheduler,
  type Replacements,
  type System,
} from '@shootdown/machine';
import { unknownName } from './unknown-name.ts';

/** Random schedules that are looked at, and how long each of them may be. */
const RUNS = 48;
const STEPS_MAX = 2_000;
/** Changes of priority in a run of few switches. */
const PCT_DEPTH = 3;

/** Kernel identifiers of the routines that are called under random schedules, in alphabetical order. */
export function routineNames(system: System): readonly string[] {
  const names = routinesCalled(() => {
    const executor = new DirectExecutor(system);
    for (let seed = 1; seed <= RUNS; seed++) {
      const scheduler = seed % 2 === 0 ? new RandomScheduler(seed) : new PctScheduler(seed, PCT_DEPTH, STEPS_MAX);
      runScheduler(executor, scheduler, STEPS_MAX);
    }
  });
  return [...names].sort();
}

/** Scenarios whose `routineNames` are names of routines. */
const named = new WeakSet<object>();

/**
 * Throws ModelError if what a scenario says may be replaced is no routine: nobody would call what stands in for it.
 * @param replace what stands in for others: that it has a name says nothing
 */
export function checkRoutineNames(
  where: string,
  scenario: { readonly routineNames?: readonly string[] },
  replace: Replacements,
  build: () => System,
): void {
  const { routineNames: names } = scenario;
  if (names === undefined || named.has(scenario)) return;
  noteStandIns(replace);
  if (names.some((name) => !isRoutine(name))) {
    // It may be made, or its module loaded, when the machine is built or runs.
    const called = routineNames(build());
    const unknown = names.find((name) => !isRoutine(name) && !called.includes(name));
    if (unknown !== undefined)
      throw new ModelError(`${where}: routineNames: no routine ${unknownName(unknown, routinesNamed())}`);
  }
  named.add(scenario);
}
