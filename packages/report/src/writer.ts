/** Formats that are written step by step, so that a run of any length takes no more memory than a short one. */
import type { Trace, TraceEnd, TraceStep } from '@shootdown/machine';

/** What is known of a trace before its first step. */
export interface TraceHead extends Pick<Trace, 'columns' | 'rounds'> {
  /** How many steps will come. */
  readonly steps: number;
  /** Every step will have virtual time. */
  readonly timed: boolean;
}

/** Writes a trace piece by piece: what all calls return, in this order, is the document. */
export interface TraceWriter {
  /** What stands before the first step. */
  begin(): string;
  step(step: TraceStep): string;
  /** What stands behind the last one. */
  end(end: TraceEnd | null, fingerprint: string): string;
}

/** What can be said of a whole trace before its first step. */
export function headOf({ columns, rounds, steps }: Trace): TraceHead {
  const timed = steps.length > 0 && steps.every((step) => step.startCycles !== null);
  return { columns, ...(rounds && { rounds }), steps: steps.length, timed };
}

/** A whole trace in one piece. */
export function written(writer: TraceWriter, { steps, end, fingerprint }: Trace): string {
  const pieces = [writer.begin()];
  for (const step of steps) pieces.push(writer.step(step));
  pieces.push(writer.end(end, fingerprint));
  return pieces.join('');
}
