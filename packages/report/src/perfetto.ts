/**
 * A trace for https://ui.perfetto.dev and chrome://tracing: the JSON of the Trace Event Format (Google, "Trace Event
 * Format", sections "Complete Events", "Instant Events", "Metadata Events").
 */
import type { Trace, TraceStep } from '@shootdown/machine';
import { columnHeading, endLines, stepText, violationText } from './words.ts';

/** What {@link perfettoJson} can be told. */
export interface PerfettoOptions {
  /** Clock rate of the run's cost model. Without it one cycle is drawn as one nanosecond. */
  readonly hertz?: number;
  /** The command that replays the trace: kept with the verdict in the file's metadata. */
  readonly replayCommand?: string;
}

const HERTZ_DEFAULT = 1e9;
const MICROSECONDS_PER_SECOND = 1e6;
const NANOSECONDS_PER_MICROSECOND = 1e3;
/** The host, or a machine without virtual ones; virtual machines come after it. */
const HOST = 1;

interface Slice {
  readonly name: string;
  readonly category: string;
  readonly start: number;
  end: number;
  readonly depth: number;
  readonly isStep: boolean;
  readonly args: Readonly<Record<string, unknown>>;
}

interface OpenRoutine {
  readonly name: string;
  readonly slice: Slice;
}

/**
 * Writes a trace as trace events: a process per virtual machine and one for the host, in it a track per processor (and
 * one for steps of no processor), on it the routines with their steps inside, an instant event for every violation, and
 * a flow from track to track for every message between two processors. A trace without virtual time is drawn with one
 * microsecond per step. A step that takes no time is an instant.
 */
export function perfettoJson(trace: Trace, options: PerfettoOptions = {}): string {
  const clock = clockOf(trace, options.hertz ?? HERTZ_DEFAULT);
  const tracks = trace.columns.map((_, column) => ({ column, name: columnHeading(trace, column) }));
  if (trace.steps.some((step) => step.column < 0)) tracks.push({ column: -1, name: 'no processor' });
  const threadOf = (column: number): number => (column < 0 ? trace.columns.length : column) + 1;
  const machines = [...new Set(trace.columns.map(({ name }) => machineOf(name)).filter((name) => name !== ''))];
  const processOf = (column: number): number =>
    HOST + 1 + machines.indexOf(machineOf(trace.columns[column]?.name ?? ''));
  const host = machines.length > 0 ? 'host' : 'shootdown';
  const events: object[] = [host, ...machines].map((name, i) => ({
    ph: 'M',
    pid: HOST + i,
    name: 'process_name',
    args: { name },
  }));
  for (const { column, name } of tracks) {
    const [pid, tid] = [processOf(column), threadOf(column)];
    events.push({ ph: 'M', pid, tid, name: 'thread_name', args: { name } });
    events.push({ ph: 'M', pid, tid, name: 'thread_sort_index', args: { sort_index: tid } });
  }
  for (const { column } of tracks) {
    for (const slice of slicesOf(trace, column, clock)) {
      const ts = round(slice.start);
      const dur = round(round(slice.end) - ts);
      const { name, category: cat, args } = slice;
      const where = { pid: processOf(column), tid: threadOf(column), name, cat, ts };
      // What takes no time is a moment; a routine without any is told by its steps.
      if (dur > 0) events.push({ ph: 'X', ...where, dur, args });
      else if (slice.isStep) events.push({ ph: 'i', s: 't', ...where, args });
    }
  }
  trace.steps.forEach((step, i) => {
    if (!step.violation) return;
    events.push({
      ph: 'i',
      s: 't',
      pid: processOf(step.column),
      tid: threadOf(step.column),
      name: violationText(step.violation),
      cat: 'violation',
      ts: round(clock(i).start),
    });
  });
  let flow = 0;
  trace.steps.forEach((step, i) => {
    for (const { from, to, type, fromColumn, toColumn } of step.messages ?? []) {
      if (fromColumn === toColumn) continue;
      const { start, end } = clock(i);
      const common = { id: ++flow, name: type, cat: 'message', args: { from, to } };
      events.push({ ph: 's', ...common, pid: processOf(fromColumn), tid: threadOf(fromColumn), ts: round(start) });
      events.push({ ph: 'f', bp: 'e', ...common, pid: processOf(toColumn), tid: threadOf(toColumn), ts: round(end) });
    }
  });
  const last = trace.steps.reduce((end, _, i) => Math.max(end, clock(i).end), 0);
  for (const line of endLines(trace)) {
    events.push({
      ph: 'i',
      s: line.column < 0 ? 'g' : 't',
      pid: processOf(line.column),
      tid: threadOf(line.column),
      name: line.text,
      cat: trace.end?.kind ?? 'end',
      ts: round(last),
    });
  }
  const list = events.map((event) => JSON.stringify(event)).join(',\n');
  const metadata = {
    fingerprint: trace.fingerprint,
    ...(trace.end && { end: trace.end.kind, verdict: trace.end.text }),
    ...(options.replayCommand !== undefined && { replay: options.replayCommand }),
  };
  return `{"displayTimeUnit":"ns","otherData":${JSON.stringify(metadata)},"traceEvents":[\n${list}\n]}\n`;
}

/** The virtual machine of a processor, `vm0` of `vm0.CPU1`; empty: none. */
function machineOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('.')));
}

type Clock = (index: number) => { readonly start: number; readonly end: number };

/** Start and end of a step in microseconds. */
function clockOf(trace: Trace, hertz: number): Clock {
  const timed = trace.steps.every((step) => step.startCycles !== null);
  const micros = (cycles: number): number => (cycles / hertz) * MICROSECONDS_PER_SECOND;
  return (index) => {
    const step = trace.steps[index] as TraceStep;
    if (!timed || step.startCycles === null) return { start: index, end: index + 1 };
    return { start: micros(step.startCycles), end: micros(step.startCycles + (step.durationCycles ?? 0)) };
  };
}

/** To whole nanoseconds: what the viewers store. Rounding start and end alike keeps a step inside its routine. */
function round(micros: number): number {
  return Math.round(micros * NANOSECONDS_PER_MICROSECOND) / NANOSECONDS_PER_MICROSECOND;
}

/**
 * The steps of a track, inside the routines that were on the stack; an interrupt handler lies inside what it
 * interrupts.
 */
function slicesOf(trace: Trace, column: number, clock: Clock): readonly Slice[] {
  const slices: Slice[] = [];
  let task: OpenRoutine[] = [];
  let interrupt: OpenRoutine[] = [];
  trace.steps.forEach((step, i) => {
    if (step.column !== column && !(column < 0 && step.column < 0)) return;
    const { start, end } = clock(i);
    const enter = (open: readonly OpenRoutine[], depth: number): OpenRoutine[] => {
      const mismatch = open.findIndex((routine, d) => step.stack[d] !== routine.name);
      const stay = mismatch < 0 ? [...open] : open.slice(0, mismatch);
      for (let d = stay.length; d < step.stack.length; d++) {
        const name = step.stack[d] as string;
        const slice: Slice = {
          name: `${name}()`,
          category: step.inInterrupt ? 'interrupt' : 'routine',
          start,
          end,
          depth: depth + d,
          isStep: false,
          args: {},
        };
        slices.push(slice);
        stay.push({ name, slice });
      }
      for (const routine of stay) routine.slice.end = Math.max(routine.slice.end, end);
      return stay;
    };
    if (step.kind === 'advance' && step.inInterrupt) {
      interrupt = enter(interrupt, task.length);
      for (const routine of task) routine.slice.end = Math.max(routine.slice.end, end);
    } else if (step.kind === 'advance') {
      interrupt = [];
      task = enter(task, 0);
    }
    const messages = step.messages?.map(({ from, to, type }) => `${from} -> ${to}: ${type}`);
    const facts = step.facts.length > 0 && { facts: step.facts };
    const args = { step: i, entry: step.entry, ...facts, ...(messages && { messages }) };
    const depth = task.length + interrupt.length;
    slices.push({ name: stepText(step), category: step.kind, start, end, depth, isStep: true, args });
  });
  return slices.sort((a, b) => a.start - b.start || a.depth - b.depth);
}
