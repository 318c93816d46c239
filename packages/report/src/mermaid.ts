/** A trace as a Mermaid sequence diagram, for web pages and Markdown that renders it. */
import type { Trace, TraceStep } from '@shootdown/machine';
import { formatNumber, nanosecondsOf } from './numbers.ts';
import { actingColumns, columnHeading, endLines, factsText, stepText, violationText } from './words.ts';
import { wrapLine } from './wrap.ts';

/** What {@link mermaidText} can be told. */
export interface MermaidOptions {
  /** Clock rate of the run's cost model. Without it times are cycles. */
  readonly hertz?: number;
}

/** Background of a step that violates a property. */
const ALARM_COLOUR = 'rgb(255, 214, 214)';
/**
 * Mermaid makes a box as wide as its longest line, and its neighbours overlap: so wide is the space of a participant.
 */
const LINE_WIDTH = 32;
const HANG = 2;

/**
 * Draws a trace as a `sequenceDiagram`: a participant per processor that does anything, a note per step. Steps of no
 * processor lie across all participants. A message from one processor to another is an arrow: where it goes over a
 * channel, in the step that delivers it. With virtual time every note begins with a line that says when.
 */
export function mermaidText(trace: Trace, { hertz }: MermaidOptions = {}): string {
  const columns = actingColumns(trace);
  const lines = [
    'sequenceDiagram',
    ...columns.map((column) => `  participant ${idOf(column)} as ${boxed(columnHeading(trace, column))}`),
  ];
  if (columns.length === 0) lines.push('  participant P0 as (no processor)');
  const everybody =
    columns.length < 2 ? idOf(columns[0] ?? 0) : `${idOf(columns[0] as number)},${idOf(columns.at(-1) as number)}`;
  const note = (column: number, text: string, time = ''): string =>
    `  Note over ${column < 0 ? everybody : idOf(column)}: ${time === '' ? '' : `${time}<br/>`}${boxed(text)}`;
  const alarm = (column: number, text: string): string[] => [
    `  rect ${ALARM_COLOUR}`,
    `  ${note(column, `*** ${text}`)}`,
    '  end',
  ];
  const drawn = (from: number, to: number): boolean => from !== to && columns.includes(from) && columns.includes(to);
  const waiting = new Map<string, { readonly from: number; readonly type: string }[]>();
  for (const step of trace.steps) {
    const channel = step.kind === 'deliver' ? (/^<(.*): [^:]*>$/.exec(step.text)?.[1] ?? '') : '';
    for (const { from, type } of waiting.get(channel)?.splice(0) ?? [])
      if (drawn(from, step.column)) lines.push(`  ${idOf(from)}-)${idOf(step.column)}: ${escapeText(type)}`);
    lines.push(
      note(
        step.column,
        [step.inInterrupt ? 'irq:' : '', stepText(step), factsText(step)].filter((part) => part !== '').join(' '),
        timeOf(step, hertz),
      ),
    );
    for (const { type, channel: over, fromColumn, toColumn } of step.messages ?? []) {
      if (over !== null) waiting.set(over, [...(waiting.get(over) ?? []), { from: fromColumn, type }]);
      else if (drawn(fromColumn, toColumn))
        lines.push(`  ${idOf(fromColumn)}->>${idOf(toColumn)}: ${escapeText(type)}`);
    }
    for (const aside of step.asides ?? []) lines.push(note(aside.column, aside.text));
    if (step.violation) lines.push(...alarm(step.column, violationText(step.violation)));
  }
  for (const line of endLines(trace)) {
    if (trace.end?.kind === 'end') lines.push(note(-1, line.text));
    else lines.push(...alarm(line.column, line.text));
  }
  return lines.map((line) => `${line}\n`).join('');
}

function idOf(column: number): string {
  return `P${column}`;
}

function timeOf({ startCycles }: TraceStep, hertz: number | undefined): string {
  if (startCycles === null) return '';
  return hertz === undefined
    ? `${formatNumber(startCycles)} cycles`
    : `${formatNumber(nanosecondsOf(startCycles, hertz))} ns`;
}

/** A text in lines that fit. */
function boxed(text: string): string {
  return wrapLine(text, LINE_WIDTH, HANG)
    .map((line) => escapeText(line.trim()))
    .join('<br/>');
}

/** Mermaid ends a statement at `;`, reads `#name;` as an entity, and passes `<` on to HTML. */
function escapeText(text: string): string {
  return text.replace(/[#;<>]/g, (character) => `#${character.charCodeAt(0)};`);
}
