/** All renderers of a trace under the names that a `--format` flag takes. */
import { type Trace, checkOptions, keysOf } from '@shootdown/machine';
import { columnsText, type ColumnsOptions } from './columns.ts';
import { ftraceText } from './ftrace.ts';
import { traceJson } from './json.ts';
import { mermaidText } from './mermaid.ts';
import { perfettoJson } from './perfetto.ts';

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
