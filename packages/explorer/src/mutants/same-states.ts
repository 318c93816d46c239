/** Whether two systems reach the same states: all of them, without reduction, by a sum over their fingerprints. */
import { TabulatedExecutor, type System } from '@shootdown/machine';
import { DepthFirst } from '../depth-first.ts';
import { modelOf } from '../plan.ts';
import type { Watch } from '../watch.ts';

/** A summary of all reachable states. Plain data. */
export interface StateSet {
  readonly states: number;
  readonly transitions: number;
  readonly sums: readonly [number, number];
}

const STATES_MAX = 2_000_000;
const SLICE = 256;

/** The reachable states of a system; null if they are too many, or the watch ran out. */
export async function stateSetOf(system: System, watch: Watch): Promise<StateSet | null> {
  const { plain } = modelOf(system);
  const search = new DepthFirst(plain, new TabulatedExecutor(plain), { all: true, reduction: null });
  const count = () => ({ states: search.states, transitions: search.transitions, depth: search.depth, queue: 0 });
  while (search.advance(SLICE)) {
    if (search.states > STATES_MAX) return null;
    if (watch.due && (await watch.pause(count)) !== null) return null;
  }
  return { states: search.states, transitions: search.transitions, sums: sumsOf(search.fingerprints) };
}

/** Of mixed fingerprints, so that no two sets have the same sums by arithmetic; their order does not matter. */
function sumsOf(fingerprints: Int32Array): [number, number] {
  let [first, second] = [0, 0];
  for (let i = 0; i < fingerprints.length; i += 2) {
    const [lo, hi] = [fingerprints[i] as number, fingerprints[i + 1] as number];
    first = (first + Math.imul(lo ^ (hi >>> 15), 0x85eb_ca6b)) | 0;
    second = (second + Math.imul(hi ^ (lo >>> 13), 0xc2b2_ae35)) | 0;
  }
  return [first, second];
}

export function sameStates(a: StateSet | null, b: StateSet | null): boolean {
  return (
    a !== null &&
    b !== null &&
    a.states === b.states &&
    a.transitions === b.transitions &&
    a.sums[0] === b.sums[0] &&
    a.sums[1] === b.sums[1]
  );
}
