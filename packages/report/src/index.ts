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
export { ftraceText, type FtraceOptions } from './ftrace.ts';
export { Histogram, histogramText, type HistogramOptions } from './histogram.ts';
export { TRACE_VERSION, traceDocument, traceJson, type TraceDocument } from './json.ts';
export { MessageCounts, messagesText, type MessageCount } from './messages.ts';
export { mermaidText } from './mermaid.ts';
export { formatNumber, formatRatio, nanosecondsOf, type NumberFormat } from './numbers.ts';
export { perfettoJson, type PerfettoOptions } from './perfetto.ts';
export { isTraceFormat, renderTrace, traceFormats, type RenderOptions, type TraceFormat } from './render.ts';
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
