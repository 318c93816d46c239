/** Judges one mutant: is the line needed? */
import { Change, ModelError, mutated, type Mutation, type System } from '@shootdown/machine';
import { explore } from '../explore.ts';
import type { Bounds, ExploreResult } from '../result.ts';
import { takeAsVerified } from '../verify.ts';
import { Watch } from '../watch.ts';
import { NOTHING_WRONG, type Judgement } from './mutant.ts';
import { sameStates, stateSetOf, type StateSet } from './same-states.ts';

/**
 * @param original the states of the system as it is; null if they are too many to compare
 * @throws ModelError if no run comes to the line
 */
export async function judge(
  system: System,
  mutation: Mutation,
  original: StateSet | null,
  bounds: Bounds,
  signal?: AbortSignal,
): Promise<Judgement> {
  const watch = new Watch({ signal, timeoutSeconds: bounds.timeoutSeconds, maxMemoryBytes: bounds.maxMemoryBytes });
  const { system: changed, reached } = mutated(system, mutation);
  takeAsVerified(changed);
  let found: ExploreResult;
  try {
    found = await explore(changed, { bounds, interleavingsStatesMax: 0, ...(signal && { signal }) });
  } catch (error) {
    if (!(error instanceof ModelError) || !reached()) throw error;
    // What no kernel could do, such as to follow a pointer to nowhere: the changed code breaks down.
    return {
      ...NOTHING_WRONG,
      result: 'needed',
      property: error.message,
      kind: 'crash',
      stoppedBy: null,
      states: 0,
      seconds: watch.seconds,
    };
  }
  if (!reached() && found.complete)
    throw new ModelError(
      `mutation: ${mutation.routine}/${mutation.word}: no run comes to a line that ${mutation.change} could change`,
    );
  const { verdict, property, kind, schedule, states, stoppedBy } = found;
  const rest = { states, stoppedBy: verdict === 'bounded' ? stoppedBy : null };
  // What the model cannot do is no fault of the code.
  if (verdict === 'bounded')
    return { ...NOTHING_WRONG, ...rest, result: 'bounded', property: found.limit, seconds: watch.seconds };
  if (verdict !== 'safe') {
    const witnessGone = kind === 'sometimes';
    return { result: 'needed', property, kind, witnessGone, schedule, ...rest, seconds: watch.seconds };
  }
  const same = await makesNoDifference(system, changed, mutation, original, watch);
  return { ...NOTHING_WRONG, ...rest, result: same ? 'no difference' : 'not needed', seconds: watch.seconds };
}

/** Only a line that is left out leaves a step in its place, so that states can be compared. */
async function makesNoDifference(
  system: System,
  changed: System,
  mutation: Mutation,
  original: StateSet | null,
  watch: Watch,
): Promise<boolean> {
  if (original === null) return false;
  if (mutation.change === Change.leaveOut) return sameStates(original, await stateSetOf(changed, watch));
  if (mutation.change !== Change.recheck) return false;
  // What is remembered is part of the local states, so the original has to remember it as well.
  const remembering = await stateSetOf(mutated(system, mutation, false).system, watch);
  return remembering !== null && sameStates(remembering, await stateSetOf(changed, watch));
}
