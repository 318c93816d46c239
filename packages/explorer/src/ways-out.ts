/**
 * What lies beyond each step of a schedule: a second, complete and unreduced search of the space, and from it the
 * number of steps to the nearest problem from every state. A search that stops at the bug cannot know which other
 * choices avoid it.
 *
 * A problem is a step that violates a property, a state that breaks an `always` property, a deadlock, or a state at
 * rest in which a `finally` property does not hold. Livelocks are not looked for.
 */
import {
  entryBranch,
  entryChoice,
  ModelError,
  scheduleEntry,
  TabulatedExecutor,
  type System,
  checkOptions,
  keysOf,
} from '@shootdown/machine';
import { modelOf } from './plan.ts';
import { PropertyChecker } from './properties.ts';

/** Limits of the search; what lies beyond them is unknown. */
export interface WaysOutOptions {
  /** Default 500,000. */
  readonly maxStates?: number;
  /** Default 5. */
  readonly timeoutSeconds?: number;
  readonly signal?: AbortSignal;
  /** Called about twice a second. */
  readonly onProgress?: (states: number) => void;
}

const WAYS_OUT_KEYS = keysOf<WaysOutOptions>()('maxStates', 'timeoutSeconds', 'signal', 'onProgress');

/** One choice at one step. */
export interface WayOut {
  readonly entry: number;
  /** Steps to the nearest problem, the choice included; null: none can be reached any more; undefined: not known. */
  readonly distance: number | null | undefined;
}

/** The space around a schedule. */
export interface WaysOut {
  /** The whole space was seen: every distance is known. */
  readonly complete: boolean;
  readonly states: number;
  /** States by the length of the shortest schedule to them, and how many of these can still reach a problem. */
  readonly byDepth: readonly { readonly states: number; readonly failing: number }[];
  /** Per step of the schedule, every choice that was enabled there; one more for the state after the last step. */
  readonly steps: readonly (readonly WayOut[])[];
}

const STATES_MAX_DEFAULT = 500_000;
const TIMEOUT_SECONDS_DEFAULT = 5;
/** States between two looks at the clock. */
const SLICE = 256;
const PROGRESS_MS = 500;
/** Two states share 53 bits of their fingerprints with a probability of 1.4e-5 among 500,000 states. */
const KEY_HIGH_BITS = 0x1f_ffff;
const KEY_LOW_RANGE = 2 ** 32;

const UNREACHED = -1;
/** Target of a step that violates a property. */
const PROBLEM = -1;

interface Row {
  readonly words: Int32Array;
  readonly lo: number;
  readonly hi: number;
}

class Space {
  readonly executor: TabulatedExecutor;
  readonly from: number[] = [];
  readonly to: number[] = [];
  readonly failing: boolean[] = [];
  readonly levelStart: number[] = [0];
  complete = false;
  readonly #system: System;
  readonly #ids = new Map<number, number>();
  readonly #checker: PropertyChecker;
  #frontier: Row[] = [];
  #next: Row[] = [];

  constructor(system: System) {
    this.#system = system;
    this.executor = new TabulatedExecutor(system);
    this.#checker = new PropertyChecker(system, this.executor);
    this.#arrive();
    this.#frontier = this.#next;
  }

  get states(): number {
    return this.failing.length;
  }

  /** The number of the state the executor is in; -1 if it was not met. */
  get current(): number {
    return this.#ids.get(this.#key()) ?? UNREACHED;
  }

  #key(): number {
    const { lo, hi } = this.executor.store;
    return (hi & KEY_HIGH_BITS) * KEY_LOW_RANGE + (lo >>> 0);
  }

  #arrive(): number {
    const key = this.#key();
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.failing.length;
    this.#ids.set(key, id);
    this.failing.push(this.#checker.always.some((property) => !this.#checker.holds(property)));
    const { words, lo, hi } = this.executor.store;
    this.#next.push({ words: words.slice(), lo, hi });
    return id;
  }

  /** Expands the space level by level; yields now and then so that the caller can look at the clock. */
  *expand(statesMax: number): Generator<number> {
    let id = 0;
    while (this.#frontier.length > 0) {
      this.levelStart.push(this.failing.length);
      this.#next = [];
      for (const row of this.#frontier) {
        this.#expandOne(id, row);
        if (++id % SLICE === 0) yield id;
        if (this.failing.length > statesMax) return;
      }
      this.#frontier = this.#next;
    }
    this.complete = true;
  }

  #expandOne(id: number, row: Row): void {
    const { executor } = this;
    const { store } = executor;
    let onlySpontaneous = true;
    let any = false;
    for (const [choice, { kind }] of this.#system.choices.entries()) {
      for (let branch = 0, branches = 1; branch < branches; branch++) {
        store.load(row.words, 0, row.lo, row.hi);
        const happened = executor.step(choice, branch);
        branches = Math.max(branches, executor.branchCount);
        if (!happened) continue;
        any = true;
        if (kind !== 'spontaneous') onlySpontaneous = false;
        this.from.push(id);
        this.to.push(executor.failed ? PROBLEM : this.#arrive());
      }
    }
    store.load(row.words, 0, row.lo, row.hi);
    const rests = onlySpontaneous && executor.atRest();
    if ((rests && this.#checker.finallyBroken()) || (!any && !executor.atRest())) this.failing[id] = true;
  }

  /** Steps from each state to the nearest problem; {@link UNREACHED} if there is none. */
  distances(): Int32Array {
    const distance = new Int32Array(this.states).fill(UNREACHED);
    const { firstIn, source } = this.#reversed();
    let wave: number[] = [];
    const reach = (state: number, steps: number): void => {
      if (distance[state] !== UNREACHED) return;
      distance[state] = steps;
      wave.push(state);
    };
    this.failing.forEach((failing, state) => {
      if (failing) reach(state, 0);
    });
    for (let steps = 0; ; steps++) {
      const last = wave;
      wave = [];
      if (steps === 0) this.to.forEach((target, edge) => target === PROBLEM && reach(this.from[edge] as number, 1));
      for (const state of last)
        for (let i = firstIn[state] as number; i < (firstIn[state + 1] as number); i++)
          reach(source[i] as number, steps + 1);
      if (wave.length === 0 && last.length === 0) return distance;
    }
  }

  #reversed(): { readonly firstIn: Int32Array; readonly source: Int32Array } {
    const firstIn = new Int32Array(this.states + 1);
    for (const target of this.to) if (target >= 0) firstIn[target + 1] = (firstIn[target + 1] as number) + 1;
    for (let i = 0; i < this.states; i++) firstIn[i + 1] = (firstIn[i + 1] as number) + (firstIn[i] as number);
    const at = firstIn.slice();
    const source = new Int32Array(firstIn[this.states] as number);
    this.to.forEach((target, edge) => {
      if (target < 0) return;
      source[at[target] as number] = this.from[edge] as number;
      at[target] = (at[target] as number) + 1;
    });
    return { firstIn, source };
  }
}

/** The space of a system, searched once and asked as often as one likes. */
export interface Survey extends Omit<WaysOut, 'steps'> {
  /** Per step of a schedule, and after its last, every choice with the distance of the nearest problem. */
  along(schedule: readonly number[]): readonly (readonly WayOut[])[];
  /** A shortest way from the end of a schedule to a problem; null if none is known. */
  onwards(schedule: readonly number[]): readonly number[] | null;
}

/** Searches the whole space, within bounds. Throws ModelError on bounds out of range. */
export async function survey(system: System, options: WaysOutOptions = {}): Promise<Survey> {
  checkOptions('explore: survey', options, WAYS_OUT_KEYS);
  const { maxStates = STATES_MAX_DEFAULT, timeoutSeconds = TIMEOUT_SECONDS_DEFAULT, signal, onProgress } = options;
  if (!(maxStates >= 1)) throw new ModelError(`explore: ways out: maxStates must be at least 1 (${maxStates})`);
  const space = new Space(modelOf(system).plain);
  const began = performance.now();
  let reported = began;
  for (const states of space.expand(maxStates)) {
    const now = performance.now();
    if (signal?.aborted === true || now - began > timeoutSeconds * 1000) break;
    if (now - reported < PROGRESS_MS) continue;
    reported = now;
    onProgress?.(states);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
  const distances = space.distances();
  return {
    complete: space.complete,
    states: space.states,
    byDepth: space.levelStart
      .map((start, level) => {
        const members = distances.subarray(start, space.levelStart[level + 1] ?? space.states);
        return { states: members.length, failing: members.filter((distance) => distance >= 0).length };
      })
      .filter(({ states }) => states > 0),
    along: (schedule) => along(space, distances, schedule),
    onwards: (schedule) => onwards(space, distances, schedule),
  };
}

/** Searches the whole space and says, for every choice along a schedule, how far the nearest problem is. */
export async function waysOut(
  system: System,
  schedule: readonly number[],
  options: WaysOutOptions = {},
): Promise<WaysOut> {
  const { complete, states, byDepth, ...space } = await survey(system, options);
  return { complete, states, byDepth, steps: space.along(schedule) };
}

/** Makes a step of a schedule. Throws ModelError where it is not enabled. */
function stepAlong({ executor }: Space, entry: number, position: number): void {
  executor.store.commit();
  if (!executor.step(entryChoice(entry), entryBranch(entry)))
    throw new ModelError(`schedule: step ${position}: choice ${entryChoice(entry)} is not enabled there`);
}

/** Every choice in the state the executor is in. */
function waysFrom(space: Space, distances: Int32Array): WayOut[] {
  const { executor, complete } = space;
  const { store, system } = executor;
  const { mark, lo, hi } = store;
  return system.choices.flatMap((_, choice) => {
    const ways: WayOut[] = [];
    for (let branch = 0, branches = 1; branch < branches; branch++) {
      const happened = executor.step(choice, branch);
      branches = Math.max(branches, executor.branchCount);
      const distance = executor.failed ? 0 : (distances[space.current] ?? UNREACHED);
      store.undo(mark, lo, hi);
      if (!happened) continue;
      const none = complete ? null : undefined;
      ways.push({ entry: scheduleEntry(choice, branch), distance: distance < 0 ? none : distance + 1 });
    }
    return ways;
  });
}

function along(space: Space, distances: Int32Array, schedule: readonly number[]): WayOut[][] {
  space.executor.reset();
  const here = (): WayOut[] => waysFrom(space, distances);
  const steps = schedule.map((entry, position) => {
    const ways = here();
    stepAlong(space, entry, position);
    return ways;
  });
  return [...steps, here()];
}

function onwards(space: Space, distances: Int32Array, schedule: readonly number[]): number[] | null {
  space.executor.reset();
  schedule.forEach((entry, position) => stepAlong(space, entry, position));
  const way: number[] = [];
  for (;;) {
    if (distances[space.current] === 0) return way;
    const ways = waysFrom(space, distances).filter(({ distance }) => typeof distance === 'number');
    const [best] = ways.sort((a, b) => (a.distance ?? 0) - (b.distance ?? 0));
    if (!best) return null;
    way.push(best.entry);
    stepAlong(space, best.entry, schedule.length + way.length);
    if (space.executor.failed) return way;
  }
}
