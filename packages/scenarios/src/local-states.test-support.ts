/** Finds the local states that routines reach, to have the claims of their points checked. */
import { TabulatedExecutor, type System } from '@shootdown/machine';

/** A plain depth-first search that knows no reduction; the executor's nodes are what it has come across. */
export function visited(system: System, statesMax: number): TabulatedExecutor {
  const executor = new TabulatedExecutor(system);
  const { store } = executor;
  const seen = new Set<number>();
  const visit = (): void => {
    const { mark, lo, hi } = store;
    // 53 bits of the fingerprint, which a number holds, tell so few states apart.
    const state = (lo >>> 0) + (hi & 0x1f_ffff) * 2 ** 32;
    if (seen.size > statesMax || seen.has(state)) return;
    seen.add(state);
    for (let choice = 0; choice < system.choices.length; choice++) {
      for (let branch = 0, branches = 1; branch < branches; branch++) {
        const happened = executor.step(choice, branch);
        branches = executor.branchCount;
        if (!happened) continue;
        if (!executor.failed) visit();
        store.undo(mark, lo, hi);
      }
    }
  };
  visit();
  return executor;
}
