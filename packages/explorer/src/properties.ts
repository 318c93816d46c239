/** Evaluates a system's properties on states, and collects what was found wrong. */
import type { Property, System, TabulatedExecutor } from '@shootdown/machine';
import type { Problem, ProblemKind } from './result.ts';

type Read = (address: number) => number;

/** What one property watches: the words it reads, or null for any. */
function watchedWords(properties: readonly Property[], words: number): Uint8Array | null {
  if (properties.some((p) => p.reads === undefined)) return null;
  const watched = new Uint8Array(words);
  for (const property of properties) for (const address of property.reads ?? []) watched[address] = 1;
  return watched;
}

/** Checks the properties of a system on the state an executor is in. */
export class PropertyChecker {
  readonly always: readonly Property[];
  readonly sometimes: readonly Property[];
  readonly finally: readonly Property[];
  readonly #executor: TabulatedExecutor;
  readonly #read: Read;
  readonly #watched: Uint8Array | null;
  readonly #idle: boolean;

  constructor(system: System, executor: TabulatedExecutor) {
    const ofKind = (kind: Property['kind']) => system.properties.filter((p) => p.kind === kind);
    this.always = ofKind('always');
    this.sometimes = ofKind('sometimes');
    this.finally = ofKind('finally');
    this.#executor = executor;
    this.#read = (address) => executor.store.words[address] as number;
    const perState = [...this.always, ...this.sometimes];
    this.#idle = perState.length === 0;
    this.#watched = watchedWords(perState, executor.store.words.length);
  }

  /**
   * False if what has been written since `mark` cannot have changed the truth of any `always` or `sometimes` property.
   */
  mayHaveChanged(mark: number): boolean {
    if (this.#idle) return false;
    if (this.#watched === null) return true;
    const { store } = this.#executor;
    for (let i = store.mark - 1; i >= mark; i--) if (this.#watched[store.journalAddress(i)] === 1) return true;
    return false;
  }

  holds(property: Property): boolean {
    return property.check(this.#read);
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
