/** All renderers of a trace under the names that a `--format` flag takes. */
import { type Trace, checkOptions, keysOf } from '@shootdown/machine';
import { columnsText, type ColumnsOptions } from './columns.ts';
import { ftraceText, ftraceWriter } from './ftrace.ts';
import { jsonWriter, traceJson } from './json.ts';
import { mermaidText } from './mermaid.ts';
import { perfettoJson, perfettoWriter } from './perfetto.ts';
import type { TraceHead, TraceWriter } from './writer.ts';

/** Options of all renderers; each takes what it knows. */
export interface RenderOptions extends ColumnsOptions {
  /** Clock rate of the run's cost model, for formats with times in seconds. */
  readonly hertz?: number;
}

const RENDER_KEYS = keysOf<RenderOptions>()('width', 'expand', 'fold', 'time', 'replayCommand', 'hertz');

const renderers = {
  text: columnsText,
  mermaid: mermaidText,
  perfetto: perfettoJson,
  ftrace: ftraceText,
  json: (trace: Trace, options: RenderOptions): string => traceJson(trace, options.replayCommand ?? null),
} as const satisfies Record<string, (trace: Trace, options: RenderOptions) => string>;

/** Name of a renderer. */
export type TraceFormat = keyof typeof renderers;

/** Names of the renderers. */
export const traceFormats = Object.keys(renderers) as readonly TraceFormat[];

/** Whether a name is that of a renderer. */
export function isTraceFormat(name: string): name is TraceFormat {
  return Object.hasOwn(renderers, name);
}

/** Renders a trace in the named format. Every result ends with a newline. */
export function renderTrace(format: TraceFormat, trace: Trace, options: RenderOptions = {}): string {
  checkOptions('report: renderTrace', options, RENDER_KEYS);
  return renderers[format](trace, options);
}

/** Formats that are written step by step: for traces too long to be held in memory. */
const writers = {
  perfetto: perfettoWriter,
  ftrace: ftraceWriter,
  json: (head, options) => jsonWriter(head, options.replayCommand ?? null),
} as const satisfies Partial<Record<TraceFormat, (head: TraceHead, options: RenderOptions) => TraceWriter>>;

/** A writer of the named format; null if it has to see the whole trace first, as columns and diagrams do. */
export function traceWriter(format: TraceFormat, head: TraceHead, options: RenderOptions = {}): TraceWriter | null {
  checkOptions('report: traceWriter', options, RENDER_KEYS);
  return Object.hasOwn(writers, format) ? writers[format as keyof typeof writers](head, options) : null;
}
