export {
  columnsText,
  isSilent,
  WIDTH_MIN,
  type ColumnsOptions,
  type FoldOptions,
  type TimeOptions,
} from './columns.ts';
export { pageHtml, type Page, type Plot, type PlotLibrary } from './page.ts';
export { placementsOf, type Placement } from './frames.ts';
export { ftraceText, ftraceWriter, type FtraceOptions } from './ftrace.ts';
export { Histogram, histogramText, type HistogramOptions } from './histogram.ts';
export { jsonWriter, TRACE_VERSION, traceDocument, traceJson, type TraceDocument } from './json.ts';
export { MessageCounts, messagesText, type MessageCount } from './messages.ts';
export { mermaidText, type MermaidOptions } from './mermaid.ts';
export { formatNumber, formatRatio, nanosecondsOf, type NumberFormat } from './numbers.ts';
export { perfettoJson, perfettoWriter, type PerfettoOptions } from './perfetto.ts';
export {
  isTraceFormat,
  renderTrace,
  traceFormats,
  traceWriter,
  type RenderOptions,
  type TraceFormat,
} from './render.ts';
export {
  counterTable,
  markdownTable,
  textTable,
  type Cell,
  type Table,
  type TableColumn,
  type TableOptions,
  type TableRow,
} from './table.ts';
export { studioFragment, type StudioView } from './studio-link.ts';
export { WIDTH_DEFAULT } from './width.ts';
export type { TraceHead, TraceWriter } from './writer.ts';
