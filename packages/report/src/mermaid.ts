/** A trace as a Mermaid sequence diagram, for web pages and Markdown that renders it. */
import type { Trace } from '@shootdown/machine';
import { actingColumns, columnHeading, endLines, factsText, stepText, violationText } from './words.ts';

/** Background of a step that violates a property. */
const ALARM_COLOUR = 'rgb(255, 214, 214)';

/**
 * Draws a trace as a `sequenceDiagram`: a participant per processor that does anything, a note per step. Steps of no
 * processor lie across all participants. A message from one processor to another is an arrow.
 */
export function mermaidText(trace: Trace): string {
  const columns = actingColumns(trace);
  const lines = [
    'sequenceDiagram',
    ...columns.map((column) => `  participant ${idOf(column)} as ${escapeText(columnHeading(trace, column))}`),
  ];
  if (columns.length === 0) lines.push('  participant P0 as (no processor)');
  const everybody =
    columns.length < 2 ? idOf(columns[0] ?? 0) : `${idOf(columns[0] as number)},${idOf(columns.at(-1) as number)}`;
  const note = (column: number, text: string): string =>
    `  Note over ${column < 0 ? everybody : idOf(column)}: ${escapeText(text)}`;
  const alarm = (column: number, text: string): string[] => [
    `  rect ${ALARM_COLOUR}`,
    `  ${note(column, `*** ${text}`)}`,
    '  end',
  ];
  for (const step of trace.steps) {
    lines.push(
      note(
        step.column,
        [step.inInterrupt ? 'irq:' : '', stepText(step), factsText(step)].filter((part) => part !== '').join(' '),
      ),
    );
    for (const { type, fromColumn, toColumn } of step.messages ?? []) {
      const drawn = columns.includes(fromColumn) && columns.includes(toColumn) && fromColumn !== toColumn;
      if (drawn) lines.push(`  ${idOf(fromColumn)}-)${idOf(toColumn)}: ${escapeText(type)}`);
    }
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

/** Mermaid ends a statement at `;`, reads `#name;` as an entity, and passes `<` on to HTML. */
function escapeText(text: string): string {
  return text.replace(/[#;<>]/g, (character) => `#${character.charCodeAt(0)};`);
}
