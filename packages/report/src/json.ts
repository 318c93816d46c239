/** A trace as a JSON document: for scripts, and to be kept beside a bug report. */
import type { StateTrace, Trace, TraceStep } from '@shootdown/machine';
import { statesDocument, statesJson, type StatesDocument } from './states/document.ts';
import { headOf, written, type TraceHead, type TraceWriter } from './writer.ts';

/** Goes up when a reader of older documents would misread a newer one. */
export const TRACE_VERSION = 1;

/** A trace with what identifies the document. Keys are always written in the order in which they stand here. */
export interface TraceDocument extends Trace {
  readonly format: 'shootdown-trace';
  readonly version: number;
  /** The command that replays it, or null. */
  readonly replayCommand: string | null;
  /** Left out: the states were not asked for. */
  readonly states?: StatesDocument;
}

/** The trace as plain data with every key in a fixed order, to be part of a larger document. */
export function traceDocument(
  trace: Trace,
  replayCommand: string | null = null,
  states: StateTrace | null = null,
): TraceDocument {
  return {
    format: 'shootdown-trace',
    version: TRACE_VERSION,
    columns: columnsOf(trace),
    steps: trace.steps.map(stepDocument),
    end: trace.end && { kind: trace.end.kind, text: trace.end.text },
    ...(trace.rounds && { rounds: [...trace.rounds] }),
    fingerprint: trace.fingerprint,
    replayCommand,
    ...(states && { states: statesDocument(states, trace) }),
  };
}

function columnsOf({ columns }: Pick<Trace, 'columns'>): Trace['columns'] {
  return columns.map(({ name, routine }) => ({ name, routine }));
}

function stepDocument(step: TraceStep): TraceStep {
  return {
    entry: step.entry,
    kind: step.kind,
    column: step.column,
    stack: [...step.stack],
    text: step.text,
    facts: [...step.facts],
    inInterrupt: step.inInterrupt,
    ...(step.messages && { messages: step.messages.map((message) => ({ ...message })) }),
    ...(step.ghost && { ghost: true as const }),
    ...(step.effect && { effect: true as const }),
    ...(step.asides && { asides: step.asides.map((aside) => ({ ...aside })) }),
    violation: step.violation && { property: step.violation.property, detail: step.violation.detail },
    startCycles: step.startCycles,
    durationCycles: step.durationCycles,
  };
}

/** Writes the document with one line per step, so that two traces can be compared with `diff`. */
export function traceJson(trace: Trace, replayCommand: string | null = null, states: StateTrace | null = null): string {
  const text = written(jsonWriter(headOf(trace), replayCommand), trace);
  return states
    ? text.replace(/\n\}\n$/, () => `,\n  "states": ${statesJson(statesDocument(states, trace))}\n}\n`)
    : text;
}

/** The same, step by step. */
export function jsonWriter(head: TraceHead, replayCommand: string | null = null): TraceWriter {
  const members = (values: object): string[] =>
    Object.entries(values).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  const first = { format: 'shootdown-trace', version: TRACE_VERSION, columns: columnsOf(head) };
  let steps = 0;
  return {
    begin: () => `{\n${[...members(first), '  "steps": ['].join(',\n')}`,
    step: (step) => `${steps++ > 0 ? ',' : ''}\n    ${JSON.stringify(stepDocument(step))}`,
    end(end, fingerprint) {
      const last = members({
        end: end && { kind: end.kind, text: end.text },
        ...(head.rounds && { rounds: [...head.rounds] }),
        fingerprint,
        replayCommand,
      });
      return `${steps > 0 ? '\n  ' : ''}],\n${last.join(',\n')}\n}\n`;
    },
  };
}
