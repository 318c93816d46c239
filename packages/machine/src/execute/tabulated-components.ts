/** Components as tables: XState is asked once per state and message. */
import { EXECUTES_TAG, outputOf, type ComponentKeeper, type Kept, type Output } from './keepers.ts';
import { ModelError } from '../state/errors.ts';
import { canonicalJson, hashString } from '../state/hash.ts';
import { isData } from '../routine/cursor.ts';
import type { Message } from '../routine/operation.ts';
import type { Component } from '../system/specs.ts';
import { ContentHashes } from '../state/words.ts';
import { accepts, contentOf, PureStepper, type AnyMachineSnapshot, type PureStep } from './xstate-adapter.ts';

/**
 * A state of all components that run one machine with one input, as CPUs and their MMUs do. What each of them would
 * remember for itself of what XState has answered would be most of the memory of a run. Components with another input
 * share nothing: the content of a state need not show what a machine has made of it.
 */
interface SharedState {
  /** The state in which they all begin. */
  readonly first: AnyMachineSnapshot;
  readonly snapshot: AnyMachineSnapshot;
  /** True if the state has the `executes` tag. */
  readonly executes: boolean;
  /** What XState has answered, by message. */
  readonly answers: (Answer | undefined)[];
  /** The number of the state for each component that has been in it; 0, or nothing: it has not. */
  readonly numbers: number[];
}

interface Answer {
  /** Null: it does not accept the message. */
  readonly next: SharedState | null;
  readonly outputs: readonly Output[];
}

const REFUSED: Answer = { next: null, outputs: [] };

/**
 * What is so of a machine in every executor: its first snapshots by input, the content of a snapshot, and what XState
 * has answered by content of the message. A search makes several executors, and each scenario many.
 */
const firsts = new WeakMap<Component['machine'], Map<string, AnyMachineSnapshot>>();
const contents = new WeakMap<AnyMachineSnapshot, string>();
const answers = new WeakMap<AnyMachineSnapshot, Map<string, PureStep | null>>();
const stepper = new PureStepper();

/** States of all components by number; 0 is unused. */
class ComponentStates {
  readonly shared: (SharedState | null)[] = [null];
  readonly hashes = new ContentHashes();
  /** 1 if the state has the `executes` tag. */
  readonly executes: number[] = [0];
  /** Component, state before and message that first led to each state; for an initial state the latter two are 0. */
  readonly origins: (readonly [component: number, before: number, message: number])[] = [[0, 0, 0]];
  readonly #known = new Map<AnyMachineSnapshot, Map<string, SharedState>>();

  /** @param first one object for one machine with one input */
  sharedOf(first: AnyMachineSnapshot, snapshot: AnyMachineSnapshot): SharedState {
    let known = this.#known.get(first);
    if (!known) this.#known.set(first, (known = new Map()));
    const content = textOf(snapshot);
    let state = known.get(content);
    if (!state)
      known.set(
        content,
        (state = { first, snapshot, executes: snapshot.hasTag(EXECUTES_TAG), answers: [], numbers: [] }),
      );
    return state;
  }

  /** The number of a component's state. */
  numberOf(component: number, state: SharedState, before = 0, message = 0): number {
    return state.numbers[component] || this.#number(component, state, before, message);
  }

  #number(component: number, state: SharedState, before: number, message: number): number {
    const { numbers } = state;
    while (numbers.length <= component) numbers.push(0);
    const id = this.shared.push(state) - 1;
    this.origins.push([component, before, message]);
    this.executes.push(state.executes ? 1 : 0);
    this.hashes.set(id, hashString(`${component}:${textOf(state.snapshot)}`));
    numbers[component] = id;
    return id;
  }
}

function textOf(snapshot: AnyMachineSnapshot): string {
  let content = contents.get(snapshot);
  if (content === undefined) contents.set(snapshot, (content = contentOf(snapshot)));
  return content;
}

/** A component's state is the number in its word. */
export class TabulatedComponents implements ComponentKeeper {
  /** Questions for XState so far, whether or not it has answered them in another executor. */
  xstateCalls = 0;
  readonly #kept: Kept;
  /** Looked at in every step: the words, and where in them each component's state is. */
  readonly #words: Int32Array;
  readonly #addresses: Int32Array;
  readonly #states = new ComponentStates();
  /** First state of each component. */
  readonly #initial: number[] = [];

  constructor(kept: Kept) {
    this.#kept = kept;
    this.#words = kept.store.words;
    this.#addresses = Int32Array.from(kept.system.components, ({ address }) => address);
  }

  begin(): void {
    const { system, store } = this.#kept;
    for (const component of system.components)
      store.writeInterned(component.address, this.#initialOf(component), this.#states.hashes);
  }

  accepts(component: Component, message: number): boolean {
    return this.#answer(component, this.#stateOf(component.address), message).next !== null;
  }

  step(component: Component, message: number): readonly Output[] | null {
    const { address } = component;
    const state = this.#stateOf(address);
    const { next, outputs } = this.#answer(component, state, message);
    if (next === null) return null;
    if (next !== state) {
      const { store } = this.#kept;
      const number = this.#states.numberOf(component.index, next, this.#words[address], message);
      store.writeInterned(address, number, this.#states.hashes);
    }
    return outputs;
  }

  hasTag(component: number, tag: string): boolean {
    return this.#snapshotOf(component).hasTag(tag);
  }

  executes(component: number): boolean {
    return this.#states.executes[this.#words[this.#addresses[component] as number] as number] === 1;
  }

  describe(component: number): string {
    return contentOf(this.#snapshotOf(component));
  }

  /** States discovered so far. */
  get stateCount(): number {
    return this.#states.shared.length;
  }

  /** Of the states discovered since then: component, state before and message that led there, and the state. */
  statesSince(first: number): number[] {
    const states: number[] = [];
    for (let state = first; state < this.stateCount; state++) {
      const [component, before, message] = this.#states.origins[state] ?? [0, 0, 0];
      states.push(component, before, message, state);
    }
    return states;
  }

  /** The state to which a message leads from another one (0: the first). */
  adopt(index: number, before: number, message: number): number {
    const component = this.#kept.system.components[index] as Component;
    if (before === 0) return this.#initialOf(component);
    const { next } = this.#answer(component, this.#states.shared[before] as SharedState, message);
    return next === null ? -1 : this.#states.numberOf(index, next, before, message);
  }

  #initialOf({ index, machine, input }: Component): number {
    const known = this.#initial[index];
    if (known !== undefined) return known;
    const first = this.#firstOf(machine, input);
    return (this.#initial[index] = this.#states.numberOf(index, this.#states.sharedOf(first, first)));
  }

  #firstOf(machine: Component['machine'], input: unknown): AnyMachineSnapshot {
    // Two functions look alike in a key.
    if (!isData(input)) return stepper.initial(machine, input);
    let known = firsts.get(machine);
    if (!known) firsts.set(machine, (known = new Map()));
    const key = canonicalJson(input ?? null);
    let snapshot = known.get(key);
    if (!snapshot) known.set(key, (snapshot = stepper.initial(machine, input)));
    return snapshot;
  }

  #snapshotOf(component: number): AnyMachineSnapshot {
    return this.#stateOf(this.#addresses[component] as number).snapshot;
  }

  #stateOf(address: number): SharedState {
    return this.#states.shared[this.#words[address] as number] as SharedState;
  }

  #answer(component: Component, state: SharedState, message: number): Answer {
    return state.answers[message] ?? this.#askXState(component, state, message);
  }

  #askXState(component: Component, state: SharedState, message: number): Answer {
    this.xstateCalls++;
    const said = this.#asked(component, state.snapshot, message);
    return (state.answers[message] =
      said === null
        ? REFUSED
        : {
            next: this.#states.sharedOf(state.first, said.snapshot),
            outputs: said.emitted.map((event) => outputOf(event as unknown as Message)),
          });
  }

  #asked(component: Component, snapshot: AnyMachineSnapshot, messageId: number): PureStep | null {
    const { messages } = this.#kept;
    let known = answers.get(snapshot);
    if (!known) answers.set(snapshot, (known = new Map()));
    const content = messages.contentOf(messageId);
    let answer = known.get(content);
    if (answer === undefined) known.set(content, (answer = askXState(component, snapshot, messages.at(messageId))));
    return answer;
  }
}

/** A machine that throws (in an action, for instance) is a mistake in the model like any other. */
function askXState({ name, machine }: Component, snapshot: AnyMachineSnapshot, message: Message): PureStep | null {
  if (!accepts(snapshot, message)) return null;
  const what = `component: ${name}: ${message.type} in ${contentOf(snapshot)}`;
  let step: PureStep;
  try {
    step = stepper.step(machine, snapshot, message);
  } catch (error) {
    throw new ModelError(`${what}: ${String(error)}`);
  }
  if (step.snapshot.status === 'error') throw new ModelError(`${what}: ${String(step.snapshot.error)}`);
  return step;
}
