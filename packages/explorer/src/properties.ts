/** Evaluates a system's properties on states, and collects what was found wrong. */
import type { Property, System, TabulatedExecutor } from '@shootdown/machine';
import type { Problem, ProblemKind } from './result.ts';

type Read = (address: number) => number;

/** Properties with a bit of their own; the others share one more. */
const OWN_BITS = 31;

/** Per word: the bits of the properties that read it. A property that does not say what it reads may read any. */
function watchers(properties: readonly Property[], words: number): Int32Array {
  const watching = new Int32Array(words);
  properties.forEach(({ reads }, i) => {
    const bit = bitAt(i);
    if (reads === undefined)
      for (let address = 0; address < words; address++) watching[address] = (watching[address] as number) | bit;
    else for (const address of reads) watching[address] = (watching[address] as number) | bit;
  });
  return watching;
}

/** The check on these words, those it reads as a piece of them if it takes them so. */
function evaluation(property: Property, words: Int32Array, read: Read): () => boolean {
  const { reads } = property;
  const checkWords = property.checkWords?.bind(property);
  if (!checkWords || !reads) return () => property.check(read);
  const own = words.subarray(reads[0], (reads[0] as number) + reads.length);
  return () => checkWords(own);
}

function bitAt(index: number): number {
  return 1 << Math.min(index, OWN_BITS);
}

/** Checks the properties of a system on the state an executor is in. */
export class PropertyChecker {
  readonly always: readonly Property[];
  readonly sometimes: readonly Property[];
  readonly finally: readonly Property[];
  readonly #executor: TabulatedExecutor;
  readonly #read: Read;
  readonly #evaluations: ReadonlyMap<Property, () => boolean>;
  readonly #watching: Int32Array;
  readonly #bits: ReadonlyMap<Property, number>;
  readonly #idle: boolean;

  constructor(system: System, executor: TabulatedExecutor) {
    const ofKind = (kind: Property['kind']) => system.properties.filter((p) => p.kind === kind);
    this.always = ofKind('always');
    this.sometimes = ofKind('sometimes');
    this.finally = ofKind('finally');
    this.#executor = executor;
    const { words } = executor.store;
    this.#read = (address) => words[address] as number;
    this.#evaluations = new Map(
      system.properties.map((property) => [property, evaluation(property, words, this.#read)]),
    );
    const perState = [...this.always, ...this.sometimes];
    this.#idle = perState.length === 0;
    this.#watching = watchers(perState, words.length);
    this.#bits = new Map(perState.map((property, i) => [property, bitAt(i)]));
  }

  /**
   * False if what has been written since `mark` cannot have changed the truth of any `always` or `sometimes` property.
   */
  mayHaveChanged(mark: number): boolean {
    if (this.#idle) return false;
    const { store } = this.#executor;
    for (let i = store.mark - 1; i >= mark; i--) if (this.#watching[store.journalAddress(i)] !== 0) return true;
    return false;
  }

  /** The same, one bit for each of them: see {@link mayDependOn}. */
  changedSince(mark: number): number {
    if (this.#idle) return 0;
    const { store } = this.#executor;
    let changed = 0;
    for (let i = store.mark - 1; i >= mark; i--) changed |= this.#watching[store.journalAddress(i)] as number;
    return changed;
  }

  /** False if the truth of an `always` or `sometimes` property cannot be another one after these changes. */
  mayDependOn(property: Property, changed: number): boolean {
    return ((this.#bits.get(property) as number) & changed) !== 0;
  }

  holds(property: Property): boolean {
    return (this.#evaluations.get(property) as () => boolean)();
  }

  /** True if some `finally` property does not hold; `report` gets each of them. */
  finallyBroken(report?: (property: Property) => void): boolean {
    let broken = false;
    for (const property of this.finally) {
      if (property.check(this.#read)) continue;
      broken = true;
      report?.(property);
    }
    return broken;
  }
}

/** A way to violate a property: a state, or a transition (entry >= 0) out of it. */
export interface Goal {
  readonly state: number;
  readonly entry: number;
  /** A transition into the state, for when the state itself has no room. */
  readonly via?: { readonly state: number; readonly entry: number };
}

/** A violated property with the shortest ways to violate it. */
export interface Finding extends Problem {
  readonly goals: Goal[];
}

const KIND_ORDER: readonly ProblemKind[] = ['step', 'always', 'finally', 'deadlock', 'livelock', 'sometimes'];

/** Collects violations; keeps, per property, all ways of the shortest length. */
export class Findings {
  readonly #byProperty = new Map<string, Finding>();

  /** All ways of one property end in states, or all end in transitions: states that have room are preferred. */
  add(kind: ProblemKind, property: string, length: number, goal: Goal): void {
    const key = `${kind} ${property}`;
    const known = this.#byProperty.get(key);
    const inState = goal.entry < 0;
    const knownInState = (known?.goals[0]?.entry ?? -1) < 0;
    if (known === undefined || length < known.length || (length === known.length && inState && !knownInState))
      this.#byProperty.set(key, { kind, property, length, goals: [goal] });
    else if (length === known.length && inState === knownInState) known.goals.push(goal);
  }

  get empty(): boolean {
    return this.#byProperty.size === 0;
  }

  /** All violated properties: shortest first, then by kind, then by name. */
  get all(): readonly Finding[] {
    return [...this.#byProperty.values()].sort(compareProblems);
  }
}

/** The order in which problems are reported; it does not depend on the order in which they were found. */
export function compareProblems(a: Problem, b: Problem): number {
  return (
    Number(a.kind === 'sometimes') - Number(b.kind === 'sometimes') ||
    a.length - b.length ||
    KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind) ||
    (a.property < b.property ? -1 : 1)
  );
}
