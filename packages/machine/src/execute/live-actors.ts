/** Starting XState actors so that what goes wrong in them is thrown where it happens. */
import { ModelError } from '../state/errors.ts';
import type { AnyActorRef } from './xstate-adapter.ts';

/** Called with every XState inspection event of every actor of the system. */
export type Inspector = (event: { readonly type: string }) => void;

/** Options of an actor that somebody inspects. */
export function inspection(inspector: Inspector | undefined): { inspect?: never } {
  return inspector ? { inspect: inspector as never } : {};
}

/**
 * Starts an actor. XState reports an error nobody observes from a timer of its own; here it is thrown where it happens.
 */
export function startActor(actor: AnyActorRef, what: string): void {
  actor.subscribe({ error: () => undefined });
  actor.start();
  throwIfFailed(actor, what);
}

/** Throws what an actor has failed with. */
export function throwIfFailed(actor: AnyActorRef, what: string): void {
  const { status, error } = actor.getSnapshot() as { status: string; error: unknown };
  if (status !== 'error') return;
  throw error instanceof ModelError ? error : new ModelError(`${what}: ${String(error)}`);
}
