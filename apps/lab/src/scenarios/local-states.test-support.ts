/** Finds the local states that routines reach, to have the claims of their points checked. */
import { TabulatedExecutor, type System } from '@shootdown/machine';

const VISITED_MAX = 10_000;

/** A plain depth-first search that knows no reduction; the executor's nodes are what it has come across. */
export function visited(system: System, statesMax = VISITED_MAX): TabulatedExecutor {
  const executor = new TabulatedExecutor(system);
  const { store } = executor;
  const seen = new Set<string>();
  const visit = (): void => {
    if (seen.size > statesMax || seen.has(executor.fingerprint)) return;
    seen.add(executor.fingerprint);
    for (let choice = 0; choice < system.choices.length; choice++) {
      for (let branch = 0; branch < executor.branchesOf(choice); branch++) {
        const { mark, lo, hi } = store;
        if (!executor.step(choice, branch)) continue;
        if (!executor.failed) visit();
        store.undo(mark, lo, hi);
      }
    }
  };
  visit();
  return executor;
}
