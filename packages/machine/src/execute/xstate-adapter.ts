/**
 * The one place (besides `*.machine.ts`) that knows XState.
 *
 * XState's public `transition()` builds an actor and two systems per call. `machine.transition(snapshot, event, scope)`
 * is the function behind it; given one inert scope that is reused, it only computes. `xstate-adapter.test.ts` compares
 * the two call by call, so that an XState release that changes this is noticed.
 */
import {
  createActor,
  fromTransition,
  initialTransition,
  type ActorLogic,
  type AnyActorRef,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type EventObject,
  type Snapshot,
} from 'xstate';
import { ModelError } from '../state/errors.ts';
import { canonicalJson } from '../state/hash.ts';

export { createActor };
export type { ActorLogic, AnyActorRef, AnyMachineSnapshot, AnyStateMachine, EventObject, Snapshot };

/** The snapshot after an event and what was emitted on the way. */
export interface PureStep {
  readonly snapshot: AnyMachineSnapshot;
  readonly emitted: readonly EventObject[];
}

/** Steps machines purely, through one inert scope. */
export class PureStepper {
  #emitted: EventObject[] = [];
  readonly #scope: unknown;

  constructor() {
    const inert = createActor(fromTransition((state: null) => state, null));
    this.#scope = {
      self: inert,
      id: '',
      sessionId: '',
      logger: () => undefined,
      defer: () => undefined,
      system: inert.system,
      stopChild: () => undefined,
      emit: () => undefined,
      actionExecutor: (action: { type: string; params?: unknown }) => {
        if (action.type === 'xstate.emit') this.#emitted.push((action.params as { event: EventObject }).event);
        else if (!isInert(action)) {
          throw new ModelError(
            `xstate: action ${action.type}: a component is closed, so nothing would come of it: use assign, raise without a delay, and emit`,
          );
        }
      },
    };
  }

  /** The machine's first snapshot for an input. */
  initial(machine: AnyStateMachine, input: unknown): AnyMachineSnapshot {
    return initialTransition(machine, input as never)[0] as AnyMachineSnapshot;
  }

  /**
   * One transition. Accepts any event: an event that no transition takes gives the same snapshot and nothing emitted.
   */
  step(machine: AnyStateMachine, snapshot: AnyMachineSnapshot, event: EventObject): PureStep {
    this.#emitted = [];
    const next = machine.transition(snapshot, event, this.#scope as never) as AnyMachineSnapshot;
    return { snapshot: next, emitted: this.#emitted };
  }
}

/** Actions that XState has completed by the time it reports them. */
const INERT_ACTIONS: ReadonlySet<string> = new Set(['xstate.assign', 'xstate.enqueueActions', 'xstate.log']);

function isInert(action: { type: string; params?: unknown }): boolean {
  if (action.type === 'xstate.raise') return (action.params as { delay?: unknown } | undefined)?.delay === undefined;
  return INERT_ACTIONS.has(action.type);
}

/** True if the machine has a transition for the event in this state: otherwise the event waits on its channel. */
export function accepts(snapshot: AnyMachineSnapshot, event: EventObject): boolean {
  return snapshot.can(event);
}

/**
 * The content of a local state: state value, context, and what its history states remember. Equal content means equal
 * state.
 */
export function contentOf(snapshot: AnyMachineSnapshot): string {
  const { value, context, historyValue } = snapshot;
  const remembered = Object.entries(historyValue ?? {});
  if (remembered.length === 0) return canonicalJson({ value, context });
  const history = Object.fromEntries(remembered.map(([id, nodes]) => [id, nodes.map((node) => node.id).sort()]));
  return canonicalJson({ value, context, history });
}
