/** The words that all renderers share. */
import type { Trace, TraceStep, Violation } from '@shootdown/machine';
import { plainLine } from './wrap.ts';

/** A step's label; one of no processor always stands in angle brackets. */
export function stepText(step: TraceStep): string {
  const text = plainLine(step.text);
  return step.column >= 0 || (text.startsWith('<') && text.endsWith('>')) ? text : `<${text}>`;
}

/** A step's facts in one pair of brackets, or nothing. */
export function factsText(step: TraceStep): string {
  const facts = step.facts.map(plainLine).filter((fact) => fact !== '');
  return facts.length === 0 ? '' : `[ ${facts.join(', ')} ]`;
}

/** A violation in words. */
export function violationText(violation: Violation): string {
  return plainLine(violation.detail === '' ? violation.property : `${violation.property}: ${violation.detail}`);
}

/** Name of a column. */
export function columnName(trace: Pick<Trace, 'columns'>, column: number): string {
  return plainLine(trace.columns[column]?.name ?? `CPU${column}`);
}

/** A function's name as it is called; what is in words (`user code`) is no function. */
export function callText(name: string): string {
  return /^[\w.]+$/.test(name) ? `${name}()` : name;
}

/** Heading of a column: `CPU0 ptdump_walk_pgd()`. */
export function columnHeading(trace: Pick<Trace, 'columns'>, column: number): string {
  const routines = (trace.columns[column]?.routine ?? '').split(',').map(plainLine);
  const calls = routines.filter((name) => name !== '').map(callText);
  const name = columnName(trace, column);
  // `SME unit` runs on what is called SME.
  return calls[0]?.startsWith(`${name} `) ? calls.join(', ') : [name, calls.join(', ')].join(' ').trim();
}

/** A part of what a trace's end says: about one column, or (-1) about the whole. */
export interface EndLine {
  readonly column: number;
  readonly text: string;
}

/**
 * The end of a trace, split where it speaks of a single processor: the lines (or parts between semicolons) of the text
 * that begin with a column's name and a colon. Empty when the last step's violation has said it already.
 */
export function endLines(trace: Trace): readonly EndLine[] {
  return endLinesAfter(trace, trace.steps.at(-1), trace.end);
}

/** The same of a trace of which only the last step is at hand. */
export function endLinesAfter(
  trace: Pick<Trace, 'columns'>,
  last: TraceStep | undefined,
  end: Trace['end'],
): readonly EndLine[] {
  if (!end) return [];
  const violation = last?.violation;
  const whole = plainLine(end.text);
  if (violation && violationText(violation) === whole) return [];
  const parts = end.text.split(end.kind === 'deadlock' ? /[\n;]/ : '\n').map(plainLine);
  const lines = parts
    .filter((part) => part !== '')
    .map((part) => {
      const column = trace.columns.findIndex((_, c) => part.startsWith(`${columnName(trace, c)}:`));
      return { column, text: column < 0 ? part : part.slice(part.indexOf(':') + 1).trim() };
    });
  return end.kind === 'deadlock' && !/deadlock/i.test(whole) ? [{ column: -1, text: 'deadlock' }, ...lines] : lines;
}

/** The columns in which something happens, in order: those with a step, or of which the end speaks. */
export function actingColumns(trace: Trace): readonly number[] {
  const acting = new Set([
    ...trace.steps.flatMap((step) => [step.column, ...(step.asides ?? []).map((aside) => aside.column)]),
    ...endLines(trace).map((line) => line.column),
  ]);
  return [...acting].filter((column) => column >= 0).sort((a, b) => a - b);
}
