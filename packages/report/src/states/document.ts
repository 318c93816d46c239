/** The states of a run as a part of its JSON document: plain data with every key in a fixed order. */
import type { EnabledChoice, StateTrace, Trace } from '@shootdown/machine';
import { historiesOf, lastAt } from './histories.ts';
import { deliveriesOf, type Delivery } from './messages.ts';
import { stateViews, type StateViews } from './views.ts';
import { waitsOf, type Wait } from './waits.ts';

/** A word that a step has changed, with what its region prints. */
export interface ChangeDocument {
  readonly address: number;
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly textBefore: string;
  readonly text: string;
}

/** State of an XState actor: its `value`, and its context. */
export type ActorDocument = unknown;

/** What is true before a step, and what the step changes. */
export interface StateStepDocument {
  readonly enabled: readonly EnabledChoice[];
  readonly changes: readonly ChangeDocument[];
  /** What the routine received: the value of a read. Null for steps of no routine. */
  readonly result: number | null;
  readonly actors: Readonly<Record<string, ActorDocument>>;
  readonly sent: readonly string[];
  readonly delivered: string | null;
  readonly stacks: readonly (readonly string[])[];
  /** Numbers of the calls on them. */
  readonly calls: readonly (readonly number[])[];
}

/** The states of a run. */
export interface StatesDocument {
  /** Shared words with what they hold in the beginning. */
  readonly initial: readonly {
    readonly address: number;
    readonly name: string;
    readonly region: string;
    readonly value: number;
    readonly text: string;
  }[];
  readonly actors: Readonly<Record<string, ActorDocument>>;
  readonly steps: readonly StateStepDocument[];
  readonly enabledAtEnd: readonly EnabledChoice[];
  readonly views: StateViews & { readonly messages: readonly Delivery[]; readonly waits: readonly Wait[] };
}

/** The document of a run's states. */
export function statesDocument(states: StateTrace, trace: Pick<Trace, 'columns' | 'steps'>): StatesDocument {
  const histories = historiesOf(states);
  return {
    initial: states.words.map(({ address, name, region }, i) => ({
      address,
      name,
      region,
      value: states.initial[i]?.value ?? 0,
      text: states.initial[i]?.text ?? '',
    })),
    actors: actorsDocument(states.actors),
    steps: states.steps.map(({ enabled, changes, result, actors, sent, delivered, stacks, calls }, i) => ({
      enabled: enabled.map(choiceDocument),
      changes: changes.map(({ address, before, after, text }) => {
        const history = histories.get(address);
        const textBefore = lastAt(history?.values ?? [], i)?.text ?? '';
        return { address, name: history?.name ?? '', before, after, textBefore, text };
      }),
      result,
      actors: actorsDocument(actors),
      sent,
      delivered,
      stacks,
      calls,
    })),
    enabledAtEnd: states.enabledAtEnd.map(choiceDocument),
    views: { ...stateViews(states, trace), messages: deliveriesOf(states, trace), waits: waitsOf(states, trace) },
  };
}

function choiceDocument({ entry, column, text, violates }: EnabledChoice): EnabledChoice {
  return { entry, column, text, violates };
}

function actorsDocument(actors: Readonly<Record<string, string>>): Record<string, ActorDocument> {
  return Object.fromEntries(Object.entries(actors).map(([name, text]) => [name, JSON.parse(text) as unknown]));
}

/** The document, a step a line. */
export function statesJson(document: StatesDocument): string {
  const members = Object.entries(document).map(([key, value]: [string, unknown]) => {
    const lines = Array.isArray(value) ? value.map((one) => `\n      ${JSON.stringify(one)}`).join(',') : null;
    return `    ${JSON.stringify(key)}: ${lines === null ? JSON.stringify(value) : `[${lines}${lines === '' ? '' : '\n    '}]`}`;
  });
  return `{\n${members.join(',\n')}\n  }`;
}
