/** XState's inspection events as lines of JSON, for tools that read them: what `run --inspect` prints. */
import type { Inspector } from '@shootdown/machine';

/** What an event of XState's inspection has, as far as a line shows it. */
interface InspectionEvent {
  readonly type: string;
  readonly rootId?: string;
  readonly actorRef?: Actor;
  readonly sourceRef?: Actor;
  readonly event?: unknown;
  readonly snapshot?: { readonly status?: unknown; readonly value?: unknown; readonly context?: unknown };
}

interface Actor {
  readonly id: string;
  readonly sessionId: string;
}

const named = (actor: Actor): Actor => ({ id: actor.id, sessionId: actor.sessionId });

/**
 * Writes a line per event: its type (`@xstate.actor`, `@xstate.event`, `@xstate.snapshot`), the actor and who sent it,
 * the event, and of a snapshot status, value and context.
 */
export function inspectionLines(write: (line: string) => void): Inspector {
  return (given) => {
    const { type, rootId, actorRef, sourceRef, event, snapshot } = given as InspectionEvent;
    const { status, value, context } = snapshot ?? {};
    const line = {
      type,
      ...(rootId !== undefined && { rootId }),
      ...(actorRef && { actor: named(actorRef) }),
      ...(sourceRef && { source: named(sourceRef) }),
      ...(event !== undefined && { event }),
      ...(snapshot && { snapshot: { status, value, context } }),
    };
    write(`${JSON.stringify(line)}\n`);
  };
}
