/** The routines that a machine has: whatever its processors call. */
import {
  DirectExecutor,
  PctScheduler,
  RandomScheduler,
  routinesCalled,
  runScheduler,
  type System,
} from '@shootdown/machine';

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
