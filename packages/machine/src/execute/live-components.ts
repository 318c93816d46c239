/** Components as XState actors. */
import { ContentIds } from './content-ids.ts';
import { EXECUTES_TAG, outputOf, type ComponentKeeper, type Kept, type Output } from './keepers.ts';
import { inspection, startActor, throwIfFailed, type Inspector } from './live-actors.ts';
import type { Message } from '../routine/operation.ts';
import { hashString } from '../state/hash.ts';
import type { Component } from '../system/specs.ts';
import { accepts, contentOf, createActor, type AnyActorRef, type AnyMachineSnapshot } from './xstate-adapter.ts';

/** A component's state is the snapshot of its actor. */
export class LiveComponents implements ComponentKeeper {
  readonly #kept: Kept;
  readonly #inspector: Inspector | undefined;
  readonly #contents = new ContentIds();
  #actors: AnyActorRef[] = [];
  /** What the actor that takes a message now has emitted. */
  #emitted: Message[] = [];

  constructor(kept: Kept, inspector: Inspector | undefined) {
    this.#kept = kept;
    this.#inspector = inspector;
  }

  begin(): void {
    this.stop();
    const { components } = this.#kept.system;
    this.#actors = components.map((component) => this.#start(component));
    for (const component of components) this.#remember(component);
  }

  /** Stops all actors. */
  stop(): void {
    for (const actor of this.#actors) actor.stop();
    this.#actors = [];
  }

  accepts({ index }: Component, message: number): boolean {
    return accepts(this.#snapshotOf(index), this.#kept.messages.at(message));
  }

  step(component: Component, message: number): readonly Output[] | null {
    if (!this.accepts(component, message)) return null;
    const actor = this.actorOf(component.index);
    const before = this.#snapshotOf(component.index);
    const event = this.#kept.messages.at(message);
    this.#emitted = [];
    actor.send(event);
    const outputs = this.#emitted.map(outputOf);
    throwIfFailed(actor, `component: ${component.name}: ${event.type} in ${contentOf(before)}`);
    this.#remember(component);
    return outputs;
  }

  hasTag(component: number, tag: string): boolean {
    return this.#snapshotOf(component).hasTag(tag);
  }

  executes(component: number): boolean {
    return this.hasTag(component, EXECUTES_TAG);
  }

  describe(component: number): string {
    return contentOf(this.#snapshotOf(component));
  }

  /** The actor of a component, for inspection and subscription. */
  actorOf(component: number): AnyActorRef {
    return this.#actors[component] as AnyActorRef;
  }

  #start(component: Component): AnyActorRef {
    const actor = createActor(component.machine, {
      id: component.name,
      input: component.input,
      ...inspection(this.#inspector),
    });
    actor.on('*', (event: unknown) => this.#emitted.push(event as Message));
    startActor(actor, `component: ${component.name}: start`);
    return actor;
  }

  #snapshotOf(component: number): AnyMachineSnapshot {
    return this.actorOf(component).getSnapshot() as AnyMachineSnapshot;
  }

  #remember({ index, address }: Component): void {
    this.#contents.write(this.#kept.store, address, hashString(`${index}:${contentOf(this.#snapshotOf(index))}`));
  }
}
