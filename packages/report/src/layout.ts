/** Where the columns of a drawn trace stand, and how one step fills its cell. */
import type { Trace, TraceStep } from '@shootdown/machine';
import { FrameTracker } from './frames.ts';
import { actingColumns, columnHeading, columnName, factsText, stepText } from './words.ts';
import { widthUncut, wrapLine } from './wrap.ts';

/** Columns narrower than this on average are no longer read but deciphered. */
const COLUMN_WIDTH_MEAN_MIN = 22;
/** What a column may give to the last one goes down to this. */
const COLUMN_WIDTH_MIN = 20;
/** Between two columns, and between three or more, where every character counts. */
const GAP_OF_TWO = 3;
const GAP_OF_MANY = 2;
const INDENT = 2;
/** Continuation lines of a heading. */
export const HEADING_HANG = 2;
/** Continuation lines of a label stand further in than the steps of a function. */
const HANG = 4;
/** So many characters of a column allow one level of functions. */
const WIDTH_PER_LEVEL = 12;
/** Between a label and its facts, at least. */
const FACTS_GAP = 1;
const BRACKET = '[ ';
/** Facts on lines of their own are at least so wide, brackets included. */
const FACTS_WIDTH_MIN = 12;

/** Characters of a line. */
export interface Room {
  /** Where text is wrapped. */
  readonly width: number;
  /** How far an identifier may run that is longer than that: to the end of the line. */
  readonly widest: number;
}

/** Places text in columns, or behind the processor's name when there are too many for columns. */
export interface Layout {
  readonly inColumns: boolean;
  readonly levelsMax: number;
  /** Characters that a heading has, and those that it may take for a long identifier. */
  headingRoom(column: number): Room;
  /** The same of a step of this column. */
  room(column: number): Room;
  /** One line with a text in every column. */
  across(columns: readonly number[], texts: readonly string[]): string;
  /** Full lines from lines of a cell. */
  place(column: number, block: readonly string[]): readonly string[];
  /** A step of no processor. */
  spanning(step: TraceStep): readonly string[];
}

/**
 * Chooses columns if they fit into `width`, names in front of every line if not. Half of `tlb_remove_table_sync_one`
 * may be another function: an identifier runs beyond its column rather than being cut, for nothing stands to its right.
 */
export function layoutOf(trace: Trace, width: number): Layout {
  const columns = actingColumns(trace);
  const names = nameLayout(trace, columns, width);
  const gap = columns.length === 2 ? GAP_OF_TWO : GAP_OF_MANY;
  const total = width - gap * (columns.length - 1);
  if (columns.length > 1 && total < COLUMN_WIDTH_MEAN_MIN * columns.length) return names;
  // What is cut behind a name, too, is no reason to give up columns.
  const limit = columns.length > 1 ? names.room(0).width : 0;
  const levelsMax = levelsIn(total / Math.max(1, columns.length));
  const needs = columns.map((column) => needsOf(trace, column, levelsMax, limit));
  const layout = columnLayout(columns, shareWidths(needs, total), { width, gap, levelsMax });
  return needs.every(({ uncut }, i) => uncut <= layout.room(columns[i] as number).widest) ? layout : names;
}

function levelsIn(width: number): number {
  return Math.max(1, Math.floor(width / WIDTH_PER_LEVEL));
}

/** The lines of a cell: a wrapped label, with the facts at the right edge of its last line or below it. */
export function blockOf(text: string, facts: string, level: number, { width, widest }: Room): string[] {
  const indent = ' '.repeat(level * INDENT);
  const lines = wrapLine(text, width - indent.length, HANG, widest - indent.length).map((line) => indent + line);
  if (facts === '') return lines;
  const last = lines.at(-1) as string;
  if (last.length + FACTS_GAP + facts.length <= width)
    return [...lines.slice(0, -1), last + facts.padStart(width - last.length)];
  if (facts.length <= width) return [...lines, facts.padStart(width)];
  // In a column that is hardly wider than its indent they begin further left, where they have room.
  const least = Math.max(FACTS_WIDTH_MIN, widthUncut(facts, 0) + 2 * BRACKET.length);
  const margin = ' '.repeat(Math.max(0, Math.min(indent.length + HANG, width - least)));
  return [...lines, ...bracketed(facts, width - margin.length, widest - margin.length).map((line) => margin + line)];
}

/** Facts on several lines. A bracket never stands alone. */
function bracketed(facts: string, width: number, widest: number): string[] {
  const brackets = 2 * BRACKET.length;
  const inside = wrapLine(facts.slice(BRACKET.length, -BRACKET.length), width - brackets, 0, widest - brackets);
  return inside.map((line, i) => {
    const begun = (i === 0 ? BRACKET : ' '.repeat(BRACKET.length)) + line;
    return i === inside.length - 1 ? `${begun} ]` : begun;
  });
}

interface Columns {
  /** Of the line. */
  readonly width: number;
  readonly gap: number;
  readonly levelsMax: number;
}

function columnLayout(
  columns: readonly number[],
  widths: readonly number[],
  { width, gap, levelsMax }: Columns,
): Layout {
  const offsets = widths.map((_, i) => widths.slice(0, i).reduce((sum, w) => sum + w + gap, 0));
  const at = (column: number): number => Math.max(0, columns.indexOf(column));
  const offset = (column: number): number => offsets[at(column)] ?? 0;
  const room = (column: number): Room => ({ width: widths[at(column)] ?? width, widest: width - offset(column) });
  return {
    inColumns: true,
    levelsMax,
    headingRoom: room,
    room,
    across: (list, texts) =>
      list.reduce((line, column, i) => line.padEnd(offset(column)) + (texts[i] ?? ''), '').trimEnd(),
    place: (column, block) => block.map((line) => ' '.repeat(offset(column)) + line),
    spanning: (step) => centred([stepText(step), factsText(step)].join(' ').trim(), width),
  };
}

/** `CPU2: text`, for machines of many processors. */
function nameLayout(trace: Trace, columns: readonly number[], width: number): Layout {
  const longest = Math.max(0, ...columns.map((column) => columnName(trace, column).length));
  // A name that would take half the line is cut: the heading has it in full.
  const prefixWidth = Math.min(longest, Math.floor(width / 2) - 2) + 2;
  const prefix = (column: number): string =>
    `${columnName(trace, column).slice(0, prefixWidth - 2)}:`.padEnd(prefixWidth);
  const room = { width: width - prefixWidth, widest: width - prefixWidth };
  return {
    inColumns: false,
    levelsMax: levelsIn(room.width),
    headingRoom: () => ({ width, widest: width }),
    room: () => room,
    across: (_, texts) => texts.join(' '),
    place: (column, block) => block.map((line, i) => (i === 0 ? prefix(column) : ' '.repeat(prefixWidth)) + line),
    spanning: (step) => blockOf(stepText(step), factsText(step), 0, room).map((line) => ' '.repeat(prefixWidth) + line),
  };
}

/** In the middle of the line: in nobody's column. */
function centred(text: string, width: number): string[] {
  return wrapLine(text, width, HANG).map((line) => ' '.repeat(Math.floor((width - line.length) / 2)) + line);
}

interface Needs {
  /** The width at which no identifier is cut. */
  readonly uncut: number;
  /** The width at which nothing wraps. */
  readonly unwrapped: number;
}

/** @param limit Identifiers that need more than this are cut whatever the layout, and need nothing. */
function needsOf(trace: Trace, column: number, levelsMax: number, limit: number): Needs {
  const tracker = new FrameTracker(trace.columns[column]?.routine ?? '', levelsMax);
  const heading = columnHeading(trace, column);
  let uncut = 0;
  let unwrapped = heading.length;
  const need = (width: number): void => {
    if (width > uncut && width <= limit) uncut = width;
  };
  const fit = (text: string, facts: string, level: number): void => {
    need(level * INDENT + widthUncut(text, HANG));
    if (facts !== '') need(widthUncut(facts, 0) + 2 * BRACKET.length);
    unwrapped = Math.max(unwrapped, level * INDENT + text.length + (facts === '' ? 0 : FACTS_GAP + facts.length));
  };
  need(widthUncut(heading, HEADING_HANG));
  for (const step of trace.steps) {
    for (const aside of step.asides ?? []) if (aside.column === column) fit(aside.text, '', 0);
    if (step.column !== column) continue;
    const { heading: name, level } = tracker.place(step);
    fit(stepText(step), factsText(step), level);
    if (name) fit(name.text, '', name.level);
  }
  return { uncut, unwrapped };
}

/**
 * Hands out the width, a character at a time to the narrowest column that still needs one: first so that no identifier
 * of the last column is cut, which has nowhere to run to, then so that nothing wraps, then so that columns are even.
 */
function shareWidths(needs: readonly Needs[], total: number): number[] {
  const widths = needs.map(() => COLUMN_WIDTH_MIN);
  let left = total - COLUMN_WIDTH_MIN * needs.length;
  const wants: readonly ((need: Needs) => number)[] = [
    (need) => (need === needs.at(-1) ? need.uncut : 0),
    ({ unwrapped }) => unwrapped,
    () => total,
  ];
  for (const want of wants) {
    for (; left > 0; left--) {
      let narrowest = -1;
      needs.forEach((need, i) => {
        const width = widths[i] as number;
        if (width < want(need) && (narrowest < 0 || width <= (widths[narrowest] as number))) narrowest = i;
      });
      if (narrowest < 0) break;
      widths[narrowest] = (widths[narrowest] as number) + 1;
    }
  }
  return widths;
}
