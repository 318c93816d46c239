/**
 * A component served to another thread: the object a worker entry exposes over comlink.
 *
 * comlink is the control plane (some 20,000 calls a second), so this is for composing and inspecting, not for
 * exploring.
 */
import { createActor, type AnyActorRef, type AnyStateMachine, type EventObject } from './xstate-adapter.ts';
import { ModelError } from '../state/errors.ts';
import type { Message } from '../routine/operation.ts';

/** What a call to a served component returns: its state after the event and what it emitted. */
export interface ServedStep {
  readonly value: unknown;
  readonly context: unknown;
  readonly emitted: readonly Message[];
}

/** The calls a served component answers. Everything crosses as plain data. */
export interface ServedComponent {
  /** Starts (or restarts) the actor with an input. */
  start(input?: unknown): ServedStep;
  /** Sends one event. Throws a ModelError if the component does not accept it in its present state. */
  send(event: Message): ServedStep;
  /** The present state. */
  state(): ServedStep;
  /** Stops the actor. */
  stop(): void;
}

/** Makes the object to expose for a machine. */
export function serveMachine(machine: AnyStateMachine): ServedComponent {
  let actor: AnyActorRef | null = null;
  let emitted: Message[] = [];
  const running = (): AnyActorRef => {
    if (!actor) throw new ModelError(`component: ${machine.id}: not started: call start(input) first`);
    return actor;
  };
  const state = (): ServedStep => {
    const snapshot = running().getSnapshot() as { value: unknown; context: unknown; status: string; error: unknown };
    if (snapshot.status === 'error') throw new ModelError(`component: ${machine.id}: ${String(snapshot.error)}`);
    const step = { value: snapshot.value, context: snapshot.context, emitted };
    emitted = [];
    return step;
  };
  return {
    start(input) {
      actor?.stop();
      actor = createActor(machine, { input: input });
      actor.on('*', (event: unknown) => emitted.push(event as Message));
      // Unobserved, an error would be thrown from a timer of XState's and end the worker.
      actor.subscribe({ error: () => undefined });
      actor.start();
      return state();
    },
    send(event) {
      const target = running();
      const snapshot = target.getSnapshot() as { can(event: EventObject): boolean; value: unknown };
      if (!snapshot.can(event)) {
        throw new ModelError(
          `component: ${machine.id}: ${event.type} is not accepted in ${JSON.stringify(snapshot.value)}`,
        );
      }
      target.send(event);
      return state();
    },
    state,
    stop() {
      actor?.stop();
      actor = null;
    },
  };
}
