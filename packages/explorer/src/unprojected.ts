/**
 * Schedules of a search whose states leave out what nobody will look at (see `prospects.ts`), as schedules of the
 * system itself.
 *
 * A branch of a step says which message a load is given or where a store stands, by number. Where less is left out
 * there may be more to choose from, so the numbers are others: of the branches of the same choice, one that leads to
 * the same words.
 */
import { entryBranch, entryChoice, ModelError, scheduleEntry, type TabulatedExecutor } from '@shootdown/machine';
import type { Reduction } from './reduction.ts';

/** Steps tried before it is given up; as a rule one per step of the schedule is enough. */
const TRIES_MAX = 1_000_000;

interface State {
  readonly row: Int32Array;
  readonly lo: number;
  readonly hi: number;
  /** The weak memory that stands for this state's. */
  readonly projected: number;
  readonly property: string | null;
}

/** Finds the schedule of the system that a schedule of the search stands for. Throws ModelError if there is none. */
export function unprojected(
  executor: TabulatedExecutor,
  reduction: Reduction | null,
  schedule: readonly number[],
): readonly number[] {
  if (reduction === null || !reduction.projects) return schedule;
  return new Following(executor, reduction, schedule).found();
}

class Following {
  readonly #executor: TabulatedExecutor;
  readonly #reduction: Reduction;
  readonly #schedule: readonly number[];
  readonly #weak: number;
  readonly #wanted: State[] = [];
  #tries = 0;

  constructor(executor: TabulatedExecutor, reduction: Reduction, schedule: readonly number[]) {
    this.#executor = executor;
    this.#reduction = reduction;
    this.#schedule = schedule;
    this.#weak = executor.system.weakAddress;
  }

  found(): readonly number[] {
    const { store } = this.#executor;
    this.#executor.reset();
    const start = this.#state();
    for (const entry of this.#schedule) {
      this.#reduction.project();
      if (!this.#executor.step(entryChoice(entry), entryBranch(entry))) throw this.#lost();
      this.#wanted.push(this.#state());
      store.commit();
    }
    const entries = this.#follow(start);
    if (entries === null) throw this.#lost();
    return entries;
  }

  #lost(): ModelError {
    return new ModelError('explore: schedule: no run of the system is the one that the search has found');
  }

  /** Depth first, with the likelier branches tried first. */
  #follow(start: State): number[] | null {
    const open = [{ entry: -1, ways: this.#ways(start, 0) }];
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const way = top.ways.shift();
      if (open.length > this.#wanted.length) return open.slice(1).map(({ entry }) => entry);
      if (way === undefined) open.pop();
      else open.push({ entry: way.entry, ways: this.#ways(way.state, open.length) });
      if (this.#tries > TRIES_MAX) return null;
    }
    return null;
  }

  /** The ways that step `i` may go from a state to the words that are wanted. */
  #ways(from: State, i: number): { readonly entry: number; readonly state: State }[] {
    const wanted = this.#wanted[i];
    if (wanted === undefined) return [];
    const { store } = this.#executor;
    const choice = entryChoice(this.#schedule[i] as number);
    const likely: { entry: number; state: State }[] = [];
    const other: { entry: number; state: State }[] = [];
    for (let branch = 0, branches = 1; branch < branches; branch++) {
      this.#tries++;
      store.load(from.row, 0, from.lo, from.hi);
      const happened = this.#executor.step(choice, branch);
      branches = Math.max(branches, this.#executor.branchCount);
      if (!happened) continue;
      const state = this.#state();
      if (state.property !== wanted.property || !this.#sameWords(state.row, wanted.row)) continue;
      (state.projected === wanted.projected ? likely : other).push({ entry: scheduleEntry(choice, branch), state });
    }
    return [...likely, ...other];
  }

  /** The executor's state. */
  #state(): State {
    const { store, violation } = this.#executor;
    const { lo, hi, mark } = store;
    const row = store.words.slice();
    this.#reduction.project();
    const projected = store.words[this.#weak] as number;
    store.undo(mark, lo, hi);
    return { row, lo, hi, projected, property: violation?.property ?? null };
  }

  #sameWords(a: Int32Array, b: Int32Array): boolean {
    return a.every((word, address) => address === this.#weak || word === b[address]);
  }
}
