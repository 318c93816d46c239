/**
 * The state graph a breadth-first search leaves behind: who leads where, by which choice. Counterexamples, livelocks
 * and interleavings are all computed from it, so none of them depends on the order in which states were found.
 */
import { CHOICES_MAX, entryBranch, entryChoice, scheduleEntry } from '@shootdown/machine';
import { Column16, Column32, Column8 } from './storage.ts';

/** What is known of a state, as bits of {@link StateGraph.flags}. */
export const StateFlag = {
  /**
   * Everything has come to rest: no operation, message or store buffer can move, and every task has returned or rests.
   */
  rest: 1,
  /** At rest, and a `finally` property does not hold. */
  finallyBroken: 2,
  /** Nothing is enabled and something is not at rest. */
  deadlock: 4,
} as const;

/**
 * How an edge keeps its schedule entry: branch and choice side by side below the bit that says that the transition
 * violated a property. Narrow for systems of up to 256 choices, wide for others.
 */
export class Packing {
  /** Bytes per entry. */
  readonly bytes: 2 | 4;
  readonly branchesMax: number;
  readonly violates: number;
  readonly #choices: number;

  constructor(choices: number) {
    this.bytes = choices <= NARROW_CHOICES ? 2 : 4;
    this.#choices = choices <= NARROW_CHOICES ? NARROW_CHOICES : CHOICES_MAX + 1;
    this.violates = choices <= NARROW_CHOICES ? 0x8000 : 2 ** 31;
    this.branchesMax = this.violates / this.#choices;
  }

  pack(entry: number): number {
    // A narrow edge keeps the entry of a small system as it is.
    return this.bytes === 2 ? entry : entryChoice(entry) + entryBranch(entry) * this.#choices;
  }

  /** @param packed without {@link violates} */
  unpack(packed: number): number {
    return scheduleEntry(packed % this.#choices, Math.floor(packed / this.#choices));
  }
}

const NARROW_CHOICES = 256;

/** A {@link StateGraph} in transit. `entry` has the bit that says that a transition violated a property. */
export interface GraphArrays {
  readonly firstEdge: Int32Array<ArrayBuffer>;
  readonly target: Int32Array<ArrayBuffer>;
  readonly entry: Uint16Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
  readonly flags: Uint8Array<ArrayBuffer>;
  readonly levelStart: readonly number[];
  readonly states: number;
}

/**
 * States are numbered level by level; edges are stored by source, in the order of expansion. An edge's target is a
 * state; a violating transition that was not followed has no edge.
 */
export class StateGraph {
  readonly #firstEdge = new Column32();
  readonly target = new Column32();
  readonly #packing: Packing;
  readonly #entry: Column16 | Column32;
  readonly flags = new Column8();
  /** First state of each level. */
  readonly levelStart: number[] = [];
  /** Number of states. */
  states = 0;

  /** @param choices how many the system has */
  constructor(choices: number) {
    this.#packing = new Packing(choices);
    this.#entry = this.#packing.bytes === 2 ? new Column16() : new Column32();
  }

  /** Adds an edge of the state expanded last (see {@link beginState}). */
  addEdge(target: number, entry: number, violates: boolean): void {
    this.target.push(target);
    const packed = this.#packing.pack(entry);
    this.#entry.push(violates ? packed + this.#packing.violates : packed);
  }

  /** The next state's edges follow; states are begun in order of their numbers. */
  beginState(): void {
    this.#firstEdge.push(this.target.length);
    this.flags.push(0);
  }

  /** States whose edges are known. */
  get expanded(): number {
    return this.#firstEdge.length;
  }

  get edges(): number {
    return this.target.length;
  }

  /** Index of a state's first edge; for a state that was not expanded, as {@link endOf}. */
  firstOf(state: number): number {
    return state < this.#firstEdge.length ? this.#firstEdge.get(state) : this.target.length;
  }

  /** Index after a state's last edge. */
  endOf(state: number): number {
    return this.firstOf(state + 1);
  }

  /** The length of the shortest schedule to a state. */
  levelOf(state: number): number {
    let low = 0;
    let high = this.levelStart.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.levelStart[middle] as number) <= state) low = middle;
      else high = middle;
    }
    return low;
  }

  /** How many states each level has. */
  statesByLevel(): number[] {
    const { levelStart, states } = this;
    const counts = levelStart.map((start, level) => Math.min(states, levelStart[level + 1] ?? states) - start);
    // The level that would have come next is begun, and empty.
    while (counts.at(-1) === 0) counts.pop();
    return counts;
  }

  /** Copies the edges of a state of another graph in transit; `idOf` gives the number of each target here. */
  copyState(from: GraphArrays, state: number, idOf: (target: number) => number): void {
    this.beginState();
    this.flags.set(this.expanded - 1, from.flags[state] as number);
    const end = state + 1 < from.firstEdge.length ? (from.firstEdge[state + 1] as number) : from.target.length;
    for (let edge = from.firstEdge[state] as number; edge < end; edge++) {
      this.target.push(idOf(from.target[edge] as number));
      this.#entry.push(from.entry[edge] as number);
    }
  }

  entry(edge: number): number {
    const { violates } = this.#packing;
    return this.#packing.unpack((this.#entry.get(edge) >>> 0) % violates);
  }

  violates(edge: number): boolean {
    return this.#entry.get(edge) >>> 0 >= this.#packing.violates;
  }

  /** Whether some state expanded has one of {@link StateFlag}. */
  hasFlag(flag: number): boolean {
    for (let state = 0; state < this.flags.length; state++) if ((this.flags.get(state) & flag) !== 0) return true;
    return false;
  }

  /** The whole graph as plain arrays, for another thread. */
  toArrays(): GraphArrays {
    return {
      firstEdge: this.#firstEdge.toArray(),
      target: this.target.toArray(),
      entry: this.#entry.toArray(),
      flags: this.flags.toArray(),
      levelStart: this.levelStart,
      states: this.states,
    };
  }

  get bytes(): number {
    return this.#firstEdge.bytes + this.target.bytes + this.#entry.bytes + this.flags.bytes;
  }
}
