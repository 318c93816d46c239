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
export {
  historiesOf,
  lastAt,
  positionAt,
  stretchesOf,
  type Beginning,
  type Stretch,
  type WordHistory,
  type WordValue,
} from './states/histories.ts';
export { statesDocument, type ChangeDocument, type StatesDocument, type StateStepDocument } from './states/document.ts';
export { deliveriesOf, type Delivery } from './states/messages.ts';
export { locksOf, type LockStretch, type LockView } from './states/locks.ts';
export { framesOf, type EntryStretch, type FrameStretch, type FrameView, type TableEntry } from './states/tables.ts';
export { tlbsOf, type TlbPlace, type TlbState, type TlbStretch } from './states/tlbs.ts';
export { waitsOf, type Wait } from './states/waits.ts';
export { stateViews, type StateViews } from './states/views.ts';
export { studioFragment, type StudioView } from './studio-link.ts';
export { WIDTH_DEFAULT } from './width.ts';
export type { TraceHead, TraceWriter } from './writer.ts';
export { measuredOf, type Measured } from './statistics.ts';
