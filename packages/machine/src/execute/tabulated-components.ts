/** Components as tables: XState is asked once per state and message. */
import { EXECUTES_TAG, outputOf, type ComponentKeeper, type Kept, type Output } from './keepers.ts';
import { ModelError } from '../state/errors.ts';
import { canonicalJson, hashString } from '../state/hash.ts';
import type { Message } from '../routine/operation.ts';
import type { Component } from '../system/specs.ts';
import { ContentHashes } from '../state/words.ts';
import { accepts, contentOf, PureStepper, type AnyMachineSnapshot, type PureStep } from './xstate-adapter.ts';

interface Cell {
  readonly next: number;
  readonly outputs: readonly Output[];
}

/** What a component does with a message it does not accept. */
const REFUSED: Cell = { next: -1, outputs: [] };

/**
 * What is so of a machine in every executor: its first snapshots by input, the content of a snapshot, and what XState
 * has answered by content of the message. A search makes several executors, and each scenario many.
 */
const firsts = new WeakMap<Component['machine'], Map<string, AnyMachineSnapshot>>();
const contents = new WeakMap<AnyMachineSnapshot, string>();
const answers = new WeakMap<AnyMachineSnapshot, Map<string, PureStep | null>>();
const stepper = new PureStepper();

/** Interned states of all components; id 0 is unused. */
class ComponentStates {
  readonly snapshots: (AnyMachineSnapshot | null)[] = [null];
  readonly hashes = new ContentHashes();
  readonly cells: (Cell | undefined)[][] = [[]];
  /** 1 if the state has the `executes` tag. */
  readonly executes: number[] = [0];
  /** Component, state before and message that first led to each state; for an initial state the latter two are 0. */
  readonly origins: (readonly [component: number, before: number, message: number])[] = [[0, 0, 0]];
  readonly #ids = new Map<string, number>();

  intern(component: number, snapshot: AnyMachineSnapshot, before = 0, message = 0): number {
    let content = contents.get(snapshot);
    if (content === undefined) contents.set(snapshot, (content = contentOf(snapshot)));
    const key = `${component}:${content}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.snapshots.push(snapshot) - 1;
    this.cells.push([]);
    this.origins.push([component, before, message]);
    this.executes.push(snapshot.hasTag(EXECUTES_TAG) ? 1 : 0);
    this.hashes.set(id, hashString(key));
    this.#ids.set(key, id);
    return id;
  }
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
  /** What XState has said: of CPUs alike, one is asked for all. */
  readonly #answers = new WeakMap<AnyMachineSnapshot, Map<number, PureStep | null>>();

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
    return this.#cell(component, message) !== REFUSED;
  }

  step(component: Component, message: number): readonly Output[] | null {
    const cell = this.#cell(component, message);
    if (cell === REFUSED) return null;
    this.#kept.store.writeInterned(component.address, cell.next, this.#states.hashes);
    return cell.outputs;
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
    return this.#states.snapshots.length;
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
    const row = this.#states.cells[before] as (Cell | undefined)[];
    return (row[message] ?? (row[message] = this.#askXState(component, before, message))).next;
  }

  #initialOf({ index, machine, input }: Component): number {
    return (this.#initial[index] ??= this.#states.intern(index, this.#firstOf(machine, input)));
  }

  #firstOf(machine: Component['machine'], input: unknown): AnyMachineSnapshot {
    let known = firsts.get(machine);
    if (!known) firsts.set(machine, (known = new Map()));
    const key = canonicalJson(input ?? null);
    let snapshot = known.get(key);
    if (!snapshot) known.set(key, (snapshot = stepper.initial(machine, input)));
    return snapshot;
  }

  #snapshotOf(component: number): AnyMachineSnapshot {
    const { system, store } = this.#kept;
    const { address } = system.components[component] as Component;
    return this.#states.snapshots[store.read(address)] as AnyMachineSnapshot;
  }

  #cell(component: Component, message: number): Cell {
    const state = this.#words[component.address] as number;
    const row = this.#states.cells[state] as (Cell | undefined)[];
    return row[message] ?? (row[message] = this.#askXState(component, state, message));
  }

  #askXState(component: Component, state: number, messageId: number): Cell {
    const snapshot = this.#states.snapshots[state] as AnyMachineSnapshot;
    const answer = this.#answer(component, snapshot, messageId);
    if (answer === null) return REFUSED;
    return {
      next: this.#states.intern(component.index, answer.snapshot, state, messageId),
      outputs: answer.emitted.map((event) => outputOf(component, event as unknown as Message)),
    };
  }

  #answer(component: Component, snapshot: AnyMachineSnapshot, messageId: number): PureStep | null {
    let known = this.#answers.get(snapshot);
    if (!known) this.#answers.set(snapshot, (known = new Map()));
    let answer = known.get(messageId);
    if (answer === undefined) {
      this.xstateCalls++;
      known.set(messageId, (answer = this.#asked(component, snapshot, messageId)));
    }
    return answer;
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
