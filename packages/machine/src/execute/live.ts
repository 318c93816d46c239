/**
 * The live executor: every component and every routine is a real XState actor.
 *
 * It is the reference for the tabulated executor, and what other XState code sees: actors can be inspected, subscribed
 * to and composed. It cannot undo.
 */
import { ModelError } from '../state/errors.ts';
import { Executor } from './executor.ts';
import { fromRoutine, type RoutineSnapshot } from '../routine/from-routine.ts';
import { canonicalJson, hashString, type Hash64 } from '../state/hash.ts';
import type { Message, Operation } from '../routine/operation.ts';
import type { Component, Processor, System } from '../system/system.ts';
import { ContentHashes } from '../state/words.ts';
import {
  accepts,
  contentOf,
  createActor,
  type AnyActorRef,
  type AnyMachineSnapshot,
  type EventObject,
} from './xstate-adapter.ts';

/** Called with every XState inspection event of every actor of the system. */
export type Inspector = (event: { readonly type: string }) => void;

/** Runs a system with real actors. */
export class LiveExecutor extends Executor {
  readonly #inspector: Inspector | undefined;
  readonly #contents = new ContentHashes();
  readonly #contentIds = new Map<string, number>();
  readonly #routines = new Map<number, AnyActorRef>();
  #actors: AnyActorRef[] = [];
  #emitted: Message[] = [];

  constructor(system: System, inspector?: Inspector) {
    super(system);
    this.#inspector = inspector;
    this.reset();
  }

  /** Stops all actors and starts new ones in the initial state. */
  override reset(): void {
    this.stop();
    this.begin();
    this.#actors = this.system.components.map((component) => this.#startComponent(component));
    for (const component of this.system.components) this.#rememberComponent(component);
    this.store.commit();
  }

  override get commitsEachStep(): boolean {
    return true;
  }

  /** Actors cannot go back, so the journal holds the last step only. */
  override step(choiceIndex: number, branch = 0): boolean {
    this.store.commit();
    return super.step(choiceIndex, branch);
  }

  /** Stops all actors. */
  stop(): void {
    for (const actor of [...this.#actors, ...this.#routines.values()]) actor.stop();
    this.#actors = [];
    this.#routines.clear();
  }

  /** The actor of a component, for inspection and subscription. */
  actorOf(component: number): AnyActorRef {
    return this.#actors[component] as AnyActorRef;
  }

  /** The actor of the routine a processor runs as its task in that slot. */
  routineActor(processor: number, slot = 0): AnyActorRef {
    return this.#routines.get((this.system.processors[processor] as Processor).taskBase + slot) as AnyActorRef;
  }

  override pendingOperation(processor: number): Operation | null {
    const p = this.system.processors[processor] as Processor;
    return this.executes(p) ? this.operationAt(this.topAddress(p)) : null;
  }

  override stackOf(processor: number): readonly string[] {
    return this.#routineAt(this.topAddress(this.system.processors[processor] as Processor))?.stack ?? [];
  }

  override hasTag(component: number, tag: string): boolean {
    return this.#snapshotOf(component).hasTag(tag);
  }

  override describeComponent(component: number): string {
    return contentOf(this.#snapshotOf(component));
  }

  protected override internMessage(message: Message): number {
    const key = canonicalJson(message);
    return this.internById(key, message, hashString(key));
  }

  protected override operationAt(address: number): Operation | null {
    return this.#routineAt(address)?.pending ?? null;
  }

  protected override startRoutine(address: number, programIndex: number): void {
    this.#routines.get(address)?.stop();
    const body = this.system.programs[programIndex];
    if (!body) throw new RangeError(`live: startRoutine: no program ${programIndex}`);
    const actor = createActor(fromRoutine(body, programIndex, this.store.words.length), {
      id: body.name,
      input: undefined,
      ...this.#inspection(),
    });
    start(actor, 'routine');
    this.#routines.set(address, actor);
    this.#rememberRoutine(address);
  }

  protected override clearRoutine(address: number): void {
    this.store.writeInterned(address, 0, this.#contents);
    this.#routines.get(address)?.stop();
    this.#routines.delete(address);
  }

  protected override swapRoutines(a: number, b: number): void {
    const [first, second] = [this.#routines.get(a), this.#routines.get(b)];
    if (!first || !second) throw new RangeError(`live: swapRoutines: no routine at ${a} or ${b}`);
    this.#routines.set(a, second);
    this.#routines.set(b, first);
    for (const address of [a, b]) {
      const snapshot = this.#routineAt(address);
      if (snapshot) this.store.writeInterned(address, this.#contentId(snapshot.hash), this.#contents);
    }
  }

  protected override advanceRoutine(address: number, result: number): boolean {
    const actor = this.#routines.get(address);
    if (!actor) throw new RangeError(`live: advanceRoutine: no routine at ${this.system.layout.nameOf(address)}`);
    actor.send({ type: 'result', value: result });
    throwIfFailed(actor, 'routine');
    this.#rememberRoutine(address);
    return this.operationAt(address) === null;
  }

  protected override canAccept(component: Component, message: number): boolean {
    return accepts(this.#snapshotOf(component.index), this.messages[message] as EventObject);
  }

  protected override stepComponent(component: Component, message: number): boolean {
    if (!this.canAccept(component, message)) return false;
    const outer = this.#emitted;
    this.#emitted = [];
    const event = this.messages[message] as Message;
    const before = this.#snapshotOf(component.index);
    this.actorOf(component.index).send(event);
    const outputs = this.#emitted;
    this.#emitted = outer;
    throwIfFailed(this.actorOf(component.index), `component: ${component.name}: ${event.type} in ${contentOf(before)}`);
    this.#rememberComponent(component);
    for (const output of outputs) this.applyOutput(component, output);
    return true;
  }

  #startComponent(component: Component): AnyActorRef {
    const actor = createActor(component.machine, { id: component.name, input: component.input, ...this.#inspection() });
    actor.on('*', (event: unknown) => this.#emitted.push(event as Message));
    start(actor, `component: ${component.name}: start`);
    return actor;
  }

  #inspection(): { inspect?: never } {
    return this.#inspector ? { inspect: this.#inspector as never } : {};
  }

  #routineAt(address: number): RoutineSnapshot | undefined {
    return this.#routines.get(address)?.getSnapshot() as RoutineSnapshot | undefined;
  }

  #snapshotOf(component: number): AnyMachineSnapshot {
    return this.actorOf(component).getSnapshot() as AnyMachineSnapshot;
  }

  #rememberRoutine(address: number): void {
    const snapshot = this.#routineAt(address);
    if (!snapshot) return;
    this.store.writeInterned(address, this.#contentId(snapshot.hash), this.#contents);
    if (snapshot.said.length > 0) this.hear(snapshot.said);
  }

  #rememberComponent(component: Component): void {
    const hash = hashString(`${component.index}:${contentOf(this.#snapshotOf(component.index))}`);
    this.store.writeInterned(component.address, this.#contentId(hash), this.#contents);
  }

  #contentId(hash: Hash64): number {
    const key = `${hash.lo},${hash.hi}`;
    const known = this.#contentIds.get(key);
    if (known !== undefined) return known;
    const id = this.#contentIds.size + 1;
    this.#contentIds.set(key, id);
    this.#contents.set(id, hash);
    return id;
  }
}

/**
 * Starts an actor. XState reports an error nobody observes from a timer of its own; here it is thrown where it happens.
 */
function start(actor: AnyActorRef, what: string): void {
  actor.subscribe({ error: () => undefined });
  actor.start();
  throwIfFailed(actor, what);
}

function throwIfFailed(actor: AnyActorRef, what: string): void {
  const { status, error } = actor.getSnapshot() as { status: string; error: unknown };
  if (status !== 'error') return;
  throw error instanceof ModelError ? error : new ModelError(`${what}: ${String(error)}`);
}
