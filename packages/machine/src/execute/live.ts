/**
 * The live executor: every component and every routine is a real XState actor.
 *
 * It is the reference for the tabulated executor, and what other XState code sees: actors can be inspected, subscribed
 * to and composed. It cannot undo.
 */
import { ActorRoutines } from './actor-routines.ts';
import { Executor } from './executor.ts';
import type { Inspector } from './live-actors.ts';
import { LiveComponents } from './live-components.ts';
import type { Processor, System } from '../system/specs.ts';
import type { AnyActorRef } from './xstate-adapter.ts';

export type { Inspector };

/** Runs a system with real actors. */
export class LiveExecutor extends Executor<ActorRoutines, LiveComponents> {
  constructor(system: System, inspector?: Inspector) {
    super(system, (kept) => ({
      routines: new ActorRoutines(kept, inspector),
      components: new LiveComponents(kept, inspector),
    }));
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
    this.components.stop();
    this.routines.stop();
  }

  /** The actor of a component, for inspection and subscription. */
  actorOf(component: number): AnyActorRef {
    return this.components.actorOf(component);
  }

  /** The actor of the routine a processor runs as its task in that slot. */
  routineActor(processor: number, slot = 0): AnyActorRef {
    const { taskBase } = this.system.processors[processor] as Processor;
    return this.routines.actorAt(taskBase + slot) as AnyActorRef;
  }
}
