/**
 * The tabulated executor: every local state is a small integer, every step a few table look-ups.
 *
 * Routines are nodes of a {@link NodeTable}; component states and messages are interned, and XState is asked once per
 * (state, message) pair. The shared state can be journalled, undone and loaded, which is what exploring needs.
 */
import type { Discovered, Discoveries, Numbering } from '../routine/discoveries.ts';
import { ModelError } from '../state/errors.ts';
import { EXECUTES_TAG, Executor } from './executor.ts';
import { canonicalJson, hashString } from '../state/hash.ts';
import { NodeTable } from '../routine/nodes.ts';
import type { Message, Operation } from '../routine/operation.ts';
import { Code } from '../routine/operations.ts';
import type { Component, Processor, System } from '../system/system.ts';
import { ContentHashes } from '../state/words.ts';
import { accepts, contentOf, PureStepper, type AnyMachineSnapshot, type PureStep } from './xstate-adapter.ts';

interface Cell {
  readonly next: number;
  readonly outputs: readonly Message[];
}

/** What a component does with a message it does not accept. */
const REFUSED: Cell = { next: -1, outputs: [] };

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

  /** By snapshot: components of one machine share them. */
  readonly #contents = new WeakMap<AnyMachineSnapshot, string>();

  intern(component: number, snapshot: AnyMachineSnapshot, before = 0, message = 0): number {
    let content = this.#contents.get(snapshot);
    if (content === undefined) this.#contents.set(snapshot, (content = contentOf(snapshot)));
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

/** Runs a system by table look-up. */
export class TabulatedExecutor extends Executor {
  readonly nodes: NodeTable;
  /** Calls into XState so far. */
  xstateCalls = 0;
  readonly #states = new ComponentStates();
  /** By object, because operations and outputs keep theirs: content is compared only the first time. */
  readonly #messageIds = new WeakMap<Message, number>();
  /** First state of each component. */
  readonly #initial: number[] = [];
  readonly #stepper = new PureStepper();
  /** What XState has said: of CPUs alike, one is asked for all. */
  readonly #first = new Map<unknown, Map<string, AnyMachineSnapshot>>();
  readonly #answers = new WeakMap<AnyMachineSnapshot, Map<number, PureStep | null>>();
  readonly #processors: readonly Processor[];
  /** Loads and stores are those of words, and need nothing else. */
  readonly #inlines: boolean;

  constructor(system: System) {
    super(system);
    this.nodes = new NodeTable(system.programs, system.maxHistory, system.layout.words);
    this.#processors = system.processors;
    this.#inlines = system.memoryModel === 'sc';
    this.reset();
  }

  /** Back to the initial state. */
  override reset(): void {
    this.begin();
    for (const component of this.system.components)
      this.store.writeInterned(component.address, this.#initialOf(component), this.#states.hashes);
    this.store.commit();
  }

  #initialOf({ index, machine, input }: Component): number {
    return (this.#initial[index] ??= this.#states.intern(index, this.#firstOf(machine, input)));
  }

  #firstOf(machine: Component['machine'], input: unknown): AnyMachineSnapshot {
    let known = this.#first.get(machine);
    if (!known) this.#first.set(machine, (known = new Map()));
    const key = canonicalJson(input ?? null);
    let snapshot = known.get(key);
    if (!snapshot) known.set(key, (snapshot = this.#stepper.initial(machine, input)));
    return snapshot;
  }

  override pendingOperation(processor: number): Operation | null {
    const p = this.#processors[processor] as Processor;
    return this.executes(p) ? this.operationAt(this.topAddress(p)) : null;
  }

  override stackOf(processor: number): readonly string[] {
    return this.nodes.stacks[this.store.read(this.topAddress(this.#processors[processor] as Processor))] ?? [];
  }

  override hasTag(component: number, tag: string): boolean {
    return this.#snapshotOf(component).hasTag(tag);
  }

  override executes(processor: Processor): boolean {
    return (
      (processor.component < 0 || this.#isExecuting(processor.component)) &&
      (processor.gate < 0 || this.#isExecuting(processor.gate))
    );
  }

  override gateOpen(processor: Processor): boolean {
    return processor.gate < 0 || this.#isExecuting(processor.gate);
  }

  #isExecuting(component: number): boolean {
    const { address } = this.system.components[component] as Component;
    return this.#states.executes[this.store.words[address] as number] === 1;
  }

  override describeComponent(component: number): string {
    return contentOf(this.#snapshotOf(component));
  }

  protected override internMessage(message: Message): number {
    const known = this.#messageIds.get(message);
    if (known !== undefined) return known;
    const key = canonicalJson(message);
    const id = this.internById(key, message, hashString(key));
    this.#messageIds.set(message, id);
    return id;
  }

  protected override operationAt(address: number): Operation | null {
    return this.nodes.operations[this.store.words[address] as number] ?? null;
  }

  protected override stepsAt(address: number): number | null {
    return this.nodes.historyOf(this.store.words[address] as number).length;
  }

  protected override startRoutine(address: number, program: number): void {
    this.store.writeInterned(address, this.nodes.root(program), this.nodes.hashes);
    const said = this.nodes.saidAtRoot(program);
    if (said.length > 0) this.hear(said);
  }

  protected override clearRoutine(address: number): void {
    this.store.writeInterned(address, 0, this.nodes.hashes);
  }

  protected override swapRoutines(a: number, b: number): void {
    const node = this.store.read(a);
    this.store.writeInterned(a, this.store.read(b), this.nodes.hashes);
    this.store.writeInterned(b, node, this.nodes.hashes);
  }

  protected override advanceRoutine(address: number, result: number): boolean {
    const nodes = this.nodes;
    const next = nodes.next(this.store.words[address] as number, result);
    this.store.writeInterned(address, next, nodes.hashes);
    if (nodes.said.length > 0) this.hear(nodes.said);
    return nodes.code[next] === Code.done;
  }

  /** The inner loop of every exploration: loads and stores under `sc` are performed without leaving this function. */
  protected override advance(index: number, branch: number): boolean {
    const processor = this.#processors[index] as Processor;
    if (branch !== 0 || !this.#inlines || !this.executes(processor)) return this.performPending(index, branch);
    const store = this.store;
    const address = this.topAddress(processor);
    const node = store.words[address] as number;
    const nodes = this.nodes;
    let result = 0;
    switch (nodes.code[node]) {
      case Code.load:
        result = store.words[nodes.a[node] as number] as number;
        break;
      case Code.store:
        if (this.watched === null) store.write(nodes.a[node] as number, nodes.b[node] as number);
        else this.write(nodes.a[node] as number, nodes.b[node] as number);
        break;
      case Code.done:
        return false;
      default:
        return this.performPending(index, branch);
    }
    this.processor = index;
    this.finishAdvance(processor, address, result);
    return true;
  }

  protected override canAccept(component: Component, message: number): boolean {
    return this.#cell(component, message) !== REFUSED;
  }

  protected override stepComponent(component: Component, message: number): boolean {
    const cell = this.#cell(component, message);
    if (cell === REFUSED) return false;
    this.store.writeInterned(component.address, cell.next, this.#states.hashes);
    for (const output of cell.outputs) this.applyOutput(component, output);
    return true;
  }

  /** How much has been discovered so far. */
  get discovered(): Discovered {
    return {
      nodes: this.nodes.count,
      edges: this.nodes.edgeCount,
      states: this.#states.snapshots.length,
      messages: this.messages.length,
    };
  }

  /** What has been discovered since a position, for executors of the same system in other threads. */
  discoveriesSince(since: Discovered): Discoveries {
    const roots: number[] = [];
    for (let node = since.nodes; node < this.nodes.count; node++)
      if (this.nodes.originOf(node).parent === 0) roots.push(this.nodes.programOf(node), node);
    const states: number[] = [];
    for (let state = since.states; state < this.#states.snapshots.length; state++) {
      const [component, before, message] = this.#states.origins[state] ?? [0, 0, 0];
      states.push(component, before, message, state);
    }
    return {
      roots,
      edges: this.nodes.edgesSince(since.edges),
      states,
      firstMessage: since.messages,
      messages: this.messages.slice(since.messages),
    };
  }

  /** Makes another executor's discoveries its own; `numbering` says which number each of them has here. */
  adopt(discoveries: Discoveries, numbering: Numbering): void {
    discoveries.messages.forEach((message, i) => {
      numbering.messages[discoveries.firstMessage + i] = this.internMessage(message);
    });
    for (let i = 0; i < discoveries.roots.length; i += 2)
      numbering.nodes[discoveries.roots[i + 1] as number] = this.nodes.root(discoveries.roots[i] as number);
    for (let i = 0; i < discoveries.edges.length; i += 3) {
      const node = numbering.nodes[discoveries.edges[i] as number] as number;
      numbering.nodes[discoveries.edges[i + 2] as number] = this.nodes.next(node, discoveries.edges[i + 1] as number);
    }
    for (let i = 0; i < discoveries.states.length; i += 4) {
      const [component, before, message, after] = discoveries.states.slice(i, i + 4) as [
        number,
        number,
        number,
        number,
      ];
      numbering.states[after] = this.#adoptState(
        component,
        numbering.states[before] as number,
        numbering.messages[message] as number,
      );
    }
  }

  #adoptState(index: number, before: number, message: number): number {
    const component = this.system.components[index] as Component;
    if (before === 0) return this.#initialOf(component);
    const row = this.#states.cells[before] as (Cell | undefined)[];
    return (row[message] ?? (row[message] = this.#askXState(component, before, message))).next;
  }

  #snapshotOf(component: number): AnyMachineSnapshot {
    const address = (this.system.components[component] as Component).address;
    return this.#states.snapshots[this.store.read(address)] as AnyMachineSnapshot;
  }

  #cell(component: Component, message: number): Cell {
    const state = this.store.words[component.address] as number;
    const row = this.#states.cells[state] as (Cell | undefined)[];
    return row[message] ?? (row[message] = this.#askXState(component, state, message));
  }

  #askXState(component: Component, state: number, messageId: number): Cell {
    const snapshot = this.#states.snapshots[state] as AnyMachineSnapshot;
    const answer = this.#answer(component, snapshot, messageId);
    if (answer === null) return REFUSED;
    return {
      next: this.#states.intern(component.index, answer.snapshot, state, messageId),
      outputs: answer.emitted as readonly unknown[] as readonly Message[],
    };
  }

  #answer(component: Component, snapshot: AnyMachineSnapshot, messageId: number): PureStep | null {
    let known = this.#answers.get(snapshot);
    if (!known) this.#answers.set(snapshot, (known = new Map()));
    let answer = known.get(messageId);
    if (answer === undefined) {
      const message = this.messages[messageId] as Message;
      this.xstateCalls++;
      answer = accepts(snapshot, message) ? this.#step(component, snapshot, message) : null;
      known.set(messageId, answer);
    }
    return answer;
  }

  /** A machine that throws (in an action, for instance) is a mistake in the model like any other. */
  #step(component: Component, snapshot: AnyMachineSnapshot, message: Message): PureStep {
    const what = `component: ${component.name}: ${message.type} in ${contentOf(snapshot)}`;
    let step: PureStep;
    try {
      step = this.#stepper.step(component.machine, snapshot, message);
    } catch (error) {
      throw new ModelError(`${what}: ${String(error)}`);
    }
    if (step.snapshot.status === 'error') throw new ModelError(`${what}: ${String(step.snapshot.error)}`);
    return step;
  }
}
