/**
 * A trace for https://ui.perfetto.dev, speedscope and chrome://tracing: the JSON of the Trace Event Format (Google,
 * "Trace Event Format", sections "Duration Events", "Instant Events", "Flow Events", "Metadata
 * Events").
 */
import type { Trace, TraceEnd, TraceStep } from '@shootdown/machine';
import { nanosecondsOf } from './numbers.ts';
import { PhysicalCpus } from './physical-cpus.ts';
import { RoutineSlices } from './routine-slices.ts';
import { endOf, type Event } from './trace-event.ts';
import { columnHeading, columnName, endLinesAfter, stepText, violationText } from './words.ts';
import { headOf, written, type TraceHead, type TraceWriter } from './writer.ts';

/** What {@link perfettoJson} can be told. */
export interface PerfettoOptions {
  /** Clock rate of the run's cost model. Without it one cycle is drawn as one nanosecond. */
  readonly hertz?: number;
  /** The command that replays the trace: kept with the verdict in the file's metadata. */
  readonly replayCommand?: string;
}

const HERTZ_DEFAULT = 1e9;
const NANOSECONDS_PER_STEP = 1e3;
const NANOSECONDS_PER_MICROSECOND = 1e3;
/** The host, or a machine without virtual ones; virtual machines come after it. */
const HOST = 1;
const NOBODY = -1;

/**
 * Writes a trace as trace events: a process per virtual machine and one for the host, in it a track per processor (and
 * one for steps of no processor), on it the routines with their steps inside; of a host also a track per physical CPU
 * that says which virtual one it runs. A violation is an instant event, and so is a step that takes no time. A message
 * from one processor to another is a flow from the step that sends it to the one that delivers it. A trace without
 * virtual time is drawn with one microsecond per step.
 */
export function perfettoJson(trace: Trace, options: PerfettoOptions = {}): string {
  return written(perfettoWriter(headOf(trace), options), trace);
}

/** The same, step by step. */
export function perfettoWriter(head: TraceHead, options: PerfettoOptions = {}): TraceWriter {
  return new PerfettoWriter(head, options);
}

class PerfettoWriter implements TraceWriter {
  readonly #head: TraceHead;
  readonly #options: PerfettoOptions;
  /** Names of virtual machines. */
  readonly #machines: readonly string[];
  readonly #slices: readonly RoutineSlices[];
  readonly #physical: PhysicalCpus;
  /** Messages on their way, by channel. */
  readonly #sent = new Map<string, { readonly name: string; readonly start: Event; readonly args: object }[]>();
  /** Channels that are level triggered. */
  readonly #merges = new Set<string>();
  /** Tracks that are not of a processor, by name. */
  readonly #others = new Map<string, number>();
  /** What stands behind an event on the track of a column. */
  readonly #tracks: string[] = [];
  #lines: string[] = [];
  #written = 0;
  #index = 0;
  #flows = 0;
  #calls = 0;
  #last: TraceStep | undefined;
  #lastEnd = 0;
  /** When the last step of no processor ended. */
  #nobodyEnd = 0;

  constructor(head: TraceHead, options: PerfettoOptions) {
    this.#head = head;
    this.#options = options;
    this.#machines = [...new Set(head.columns.map(({ name }) => machineOf(name)).filter((name) => name !== ''))];
    this.#slices = head.columns.map(
      (_, column) =>
        new RoutineSlices(
          (event) => this.#emit(column, event),
          () => this.#calls++,
        ),
    );
    this.#physical = new PhysicalCpus((cpu, event) => this.#emitOther(cpu, event));
  }

  begin(): string {
    const host = this.#machines.length > 0 ? 'host' : 'shootdown';
    [host, ...this.#machines].forEach((name, i) =>
      this.#write({ ph: 'M', pid: HOST + i, name: 'process_name', args: { name } }),
    );
    this.#head.columns.forEach((_, column) => {
      this.#nameTrack(this.#placeOf(column), columnHeading(this.#head, column));
    });
    return `{"displayTimeUnit":"ns","traceEvents":[${this.#taken()}`;
  }

  step(step: TraceStep): string {
    const index = this.#index++;
    const { start, end } = this.#timeOf(step, index);
    const { column } = step;
    const name = stepText(step);
    const messages = step.messages?.map(({ from, to, type }) => `${from} -> ${to}: ${type}`);
    const facts = step.facts.length > 0 && { facts: step.facts };
    const args = { step: index, entry: step.entry, ...facts, ...(messages && { messages }) };
    const slices = this.#slices[column];
    if (slices) slices.step(step, { name, cat: step.kind, args }, start, end);
    else this.#nobodys({ name, cat: step.kind, args }, start, end);
    for (const { column: at, text } of step.asides ?? [])
      this.#emit(at, { ph: 'i', s: 't', ts: end, name: text, cat: 'hardware' });
    if (step.violation)
      this.#emit(column, { ph: 'i', s: 't', ts: start, name: violationText(step.violation), cat: 'violation' });
    this.#flow(step, start, end);
    this.#physical.step(step, start, end, (at) => columnName(this.#head, at));
    this.#last = step;
    this.#lastEnd = Math.max(this.#lastEnd, end);
    return this.#taken();
  }

  end(end: TraceEnd | null, fingerprint: string): string {
    for (const slices of this.#slices) slices.end();
    this.#physical.end(this.#lastEnd);
    for (const line of endLinesAfter(this.#head, this.#last, end)) {
      const event = { ph: 'i', ts: this.#lastEnd, name: line.text, cat: end?.kind ?? 'end' };
      // What is said of the whole stands across all tracks, whichever it is on.
      this.#emit(Math.max(0, line.column), { ...event, s: line.column < 0 ? 'g' : 't' });
    }
    const { replayCommand } = this.#options;
    const metadata = {
      fingerprint,
      ...(end && { end: end.kind, verdict: end.text }),
      ...(replayCommand !== undefined && { replay: replayCommand }),
    };
    return `${this.#taken()}\n],"otherData":${JSON.stringify(metadata)}}\n`;
  }

  /** Whole nanoseconds: what the viewers store. Rounding both ends alike keeps a step inside its routine. */
  #timeOf({ startCycles, durationCycles }: TraceStep, index: number): { readonly start: number; readonly end: number } {
    if (!this.#head.timed || startCycles === null)
      return { start: index * NANOSECONDS_PER_STEP, end: (index + 1) * NANOSECONDS_PER_STEP };
    const hertz = this.#options.hertz ?? HERTZ_DEFAULT;
    return {
      start: nanosecondsOf(startCycles, hertz),
      end: nanosecondsOf(startCycles + (durationCycles ?? 0), hertz),
    };
  }

  /** Steps of no processor need not come one after another: what would overlap is told as an instant. */
  #nobodys(event: { readonly name: string; readonly cat: string; readonly args: object }, start: number, end: number) {
    if (end > start && start >= this.#nobodyEnd) {
      const slice = { ph: 'B', ts: start, ...event };
      this.#emit(NOBODY, slice);
      this.#emit(NOBODY, endOf(slice, end));
    } else this.#emit(NOBODY, { ph: 'i', s: 't', ts: start, ...event });
    this.#nobodyEnd = Math.max(this.#nobodyEnd, end);
  }

  /**
   * What goes over a channel arrives in the step that delivers it; of a channel that is level triggered whatever was
   * sent until then. Synchronous messages arrive in the step that sends them.
   */
  #flow(step: TraceStep, start: number, end: number): void {
    if (step.kind === 'deliver') {
      const channel = /^<(.*): [^:]*>$/.exec(step.text)?.[1] ?? '';
      const waiting = this.#sent.get(channel) ?? [];
      for (const { name, start: from, args } of waiting.splice(0, this.#merges.has(channel) ? waiting.length : 1))
        this.#arrow(name, args, from, { ph: 'f', bp: 'e', ts: start, ...this.#placeOf(step.column) });
    }
    for (const { from, to, type, channel, synchronous, level, fromColumn, toColumn } of step.messages ?? []) {
      const sent: Event = { ph: 's', ts: start, ...this.#placeOf(fromColumn) };
      const args = { from, to };
      if (channel !== null && synchronous !== true) {
        if (level === true) this.#merges.add(channel);
        const waiting = this.#sent.get(channel) ?? [];
        this.#sent.set(channel, waiting);
        if (fromColumn !== toColumn && fromColumn >= 0) waiting.push({ name: type, start: sent, args });
      } else if (fromColumn >= 0 && toColumn >= 0 && fromColumn !== toColumn)
        this.#arrow(type, args, sent, { ph: 'f', bp: 'e', ts: end, ...this.#placeOf(toColumn) });
    }
  }

  #arrow(name: string, args: object, from: Event, to: Event): void {
    const common = { id: ++this.#flows, name, cat: 'message', args };
    this.#write({ ...from, ...common });
    this.#write({ ...to, ...common });
  }

  #placeOf(column: number): { readonly pid: number; readonly tid: number } {
    const name = this.#head.columns[column]?.name;
    if (name === undefined) return this.#other('no processor');
    const machine = machineOf(name);
    return { pid: HOST + 1 + this.#machines.indexOf(machine), tid: column + 1 };
  }

  /** The place of a track that is not of a processor. */
  #other(name: string): { readonly pid: number; readonly tid: number } {
    const known = this.#others.get(name);
    const place = { pid: HOST, tid: known ?? this.#head.columns.length + this.#others.size + 1 };
    if (known === undefined) {
      this.#others.set(name, place.tid);
      this.#nameTrack(place, name);
    }
    return place;
  }

  #nameTrack(place: { readonly pid: number; readonly tid: number }, name: string): void {
    this.#write({ ph: 'M', ...place, name: 'thread_name', args: { name } });
    this.#write({ ph: 'M', ...place, name: 'thread_sort_index', args: { sort_index: place.tid } });
  }

  #emit(column: number, event: Event): void {
    const track = (this.#tracks[column + 1] ??= trackText(this.#placeOf(column)));
    this.#write(event, track);
  }

  #emitOther(track: string, event: Event): void {
    this.#write(event, trackText(this.#other(track)));
  }

  #write({ ts, ...event }: Event, track = ''): void {
    const time = ts === undefined ? '' : `,"ts":${ts / NANOSECONDS_PER_MICROSECOND}`;
    this.#lines.push(`${this.#written++ > 0 ? ',' : ''}\n${JSON.stringify(event).slice(0, -1)}${track}${time}}`);
  }

  #taken(): string {
    const text = this.#lines.join('');
    this.#lines = [];
    return text;
  }
}

/** The place of an event, as members of it. */
function trackText({ pid, tid }: { readonly pid: number; readonly tid: number }): string {
  return `,"pid":${pid},"tid":${tid}`;
}

/** The virtual machine of a processor, `vm0` of `vm0.CPU1`; empty: none. */
function machineOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('.')));
}
