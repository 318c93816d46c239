/**
 * The two axes along which executors differ: how routines keep where they stand, and how components keep their state.
 *
 * Routines are actors, numbered nodes, or generators that only go on; components are actors, or tables of what XState
 * has answered. An executor is one of each, and says itself what a step means.
 */
import type { Mark, Message, Operation } from '../routine/operation.ts';
import type { Component, Effect, System } from '../system/specs.ts';
import type { WordStore } from '../state/words.ts';
import type { MessageTable } from './message-table.ts';

/** The tag of component states in which the processor executes instructions. */
export const EXECUTES_TAG = 'executes';

/** What keepers keep their states for. */
export interface Kept {
  readonly system: System;
  readonly store: WordStore;
  readonly messages: MessageTable;
}

/** How routines keep where they stand. A routine is known by the address of its word, which says that there is one. */
export interface RoutineKeeper {
  /** What the routine said that was started or advanced last. */
  readonly said: readonly Mark[];
  /** Forgets all routines: the words are initial. */
  begin(): void;
  /** Starts a program, by its number. */
  start(address: number, program: number): void;
  /** Takes the routine that has returned off its word. */
  clear(address: number): void;
  /** Exchanges the routines of two words. */
  swap(a: number, b: number): void;
  /** Gives a routine the result of its operation; true when it has returned. */
  advance(address: number, result: number): boolean;
  /** The operation that a routine would perform next; null: it has returned, or there is none. */
  operationAt(address: number): Operation | null;
  /** Names of the routines being executed, outermost first. */
  stackAt(address: number): readonly string[];
  /** Operations performed since it began; null if that is not kept. */
  stepsAt(address: number): number | null;
  /** Makes the words say where the routines stand, if they do not already. */
  settle(): void;
}

/** What a component emits, and the number of its type: what that does is looked up by it. */
export interface Output {
  readonly event: Message;
  readonly type: number;
}

/** What the executor understands of what components emit. */
export const EMITTED_TYPES: readonly string[] = ['send', 'interrupt', 'switch', 'migrate', 'give'];

/** Numbers of types of events. Components alike share what they emit, and each has effects of its own. */
const typeNumbers = new Map<string, number>();

/** An emitted event, with the number of its type. */
export function outputOf(event: Message): Output {
  let type = typeNumbers.get(event.type);
  if (type === undefined) typeNumbers.set(event.type, (type = typeNumbers.size));
  return { event, type };
}

/** What a component's event does to the shared state; null: the executor itself understands it, or nobody does. */
export function effectOf({ effects = {} }: Component, { type }: Message): Effect | null {
  return !EMITTED_TYPES.includes(type) && Object.hasOwn(effects, type) ? (effects[type] ?? null) : null;
}

/** How components keep their states. */
export interface ComponentKeeper {
  /** Puts all of them into their first state. */
  begin(): void;
  /** Whether a component would take a message now. */
  accepts(component: Component, message: number): boolean;
  /** Gives it a message: what it emits, or null if it does not accept it. */
  step(component: Component, message: number): readonly Output[] | null;
  /** The tag test on its present state. */
  hasTag(component: number, tag: string): boolean;
  /** Whether the processor behind it, or of which it is the gate, may execute. */
  executes(component: number): boolean;
  /** Its present state, as `{value, context}` JSON. */
  describe(component: number): string;
}
