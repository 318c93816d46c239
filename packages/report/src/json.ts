/** A trace as a JSON document: for scripts, and to be kept beside a bug report. */
import type { Trace } from '@shootdown/machine';

/** Goes up when a reader of older documents would misread a newer one. */
export const TRACE_VERSION = 1;

/** A trace with what identifies the document. Keys are always written in the order in which they stand here. */
export interface TraceDocument extends Trace {
  readonly format: 'shootdown-trace';
  readonly version: number;
  /** The command that replays it, or null. */
  readonly replayCommand: string | null;
}

/** The trace as plain data with every key in a fixed order, to be part of a larger document. */
export function traceDocument(trace: Trace, replayCommand: string | null = null): TraceDocument {
  return {
    format: 'shootdown-trace',
    version: TRACE_VERSION,
    columns: trace.columns.map(({ name, routine }) => ({ name, routine })),
    steps: trace.steps.map((step) => ({
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
    })),
    end: trace.end && { kind: trace.end.kind, text: trace.end.text },
    ...(trace.rounds && { rounds: [...trace.rounds] }),
    fingerprint: trace.fingerprint,
    replayCommand,
  };
}

/** Writes the document with one line per step, so that two traces can be compared with `diff`. */
export function traceJson(trace: Trace, replayCommand: string | null = null): string {
  const { steps, ...rest } = traceDocument(trace, replayCommand);
  const members = Object.entries({ ...rest, steps: null }).map(([key, value]) => {
    const text =
      key === 'steps'
        ? `[${steps.map((step) => `\n    ${JSON.stringify(step)}`).join(',')}${steps.length > 0 ? '\n  ' : ''}]`
        : JSON.stringify(value);
    return `  ${JSON.stringify(key)}: ${text}`;
  });
  return `{\n${members.join(',\n')}\n}\n`;
}
