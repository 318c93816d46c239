/** What the words of a run stand for: page tables, TLBs, locks. */
import type { StateTrace, Trace } from '@shootdown/machine';
import { locksOf, type LockView } from './locks.ts';
import { framesOf, type FrameView } from './tables.ts';
import { tlbsOf, type TlbPlace } from './tlbs.ts';

/** Every stretch begins after `from` steps and is over after `to`. */
export interface StateViews {
  readonly frames: readonly FrameView[];
  readonly tlbs: readonly TlbPlace[];
  readonly locks: readonly LockView[];
}

/** The typed views of a run's states. */
export function stateViews(states: StateTrace, trace: Pick<Trace, 'columns' | 'steps'>): StateViews {
  return { frames: framesOf(states), tlbs: [...tlbsOf(states).values()], locks: locksOf(states, trace) };
}
