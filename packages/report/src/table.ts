/** Tables of counters and comparisons, as plain text for a terminal or a mail and as Markdown for documents. */
import { checkOptions, keysOf } from '@shootdown/machine';
import { DECIMALS_DEFAULT, formatNumber, formatRatio, type NumberFormat } from './numbers.ts';
import { WIDTH_DEFAULT } from './width.ts';
import { plainLine, wrapLine } from './wrap.ts';

/** What can stand in a cell; null and undefined are written `-`. */
export type Cell = string | number | bigint | boolean | null | undefined;

/** A column of a table. */
export interface TableColumn {
  readonly heading: string;
  /** Unit of the numbers, on a line of its own: `cycles`, `ns`, `per PUD`. */
  readonly unit?: string;
  /** Property of rows that are objects. Default: the heading. */
  readonly key?: string;
  /** Digits after the point. Default: none if the column holds whole numbers only, else 2. */
  readonly decimals?: number;
  /** Default: the first column left, others right if they hold only numbers. */
  readonly align?: 'left' | 'right';
  /** Adds a column with the ratio of each row to the first row. */
  readonly ratio?: boolean;
}

/** A row: cells in the order of the columns, or an object with a property per column. */
export type TableRow = readonly Cell[] | Readonly<Record<string, Cell>>;

/** A table. A column given as a string is a heading without unit. */
export interface Table {
  readonly columns: readonly (TableColumn | string)[];
  readonly rows: readonly TableRow[];
}

/** How a table is written. */
export interface TableOptions {
  /** Characters per line at most (text only). Default 76. A number is never cut, whatever the width. */
  readonly width?: number;
  /** Commas between groups of three digits. Default true. */
  readonly thousands?: boolean;
}

const TABLE_KEYS = keysOf<TableOptions>()('width', 'thousands');

interface WrittenColumn {
  readonly heading: string;
  readonly unit: string;
  readonly right: boolean;
  readonly cells: readonly string[];
  /** Stands directly behind the column it belongs to. */
  readonly glued: boolean;
  /** Text may wrap, numbers may not. */
  readonly wraps: boolean;
}

const GAP = 2;
const TEXT_WIDTH_MIN = 12;
const HANG = 2;

/**
 * Writes a table as text. What is too wide wraps its headings first, then its text cells; what is still too wide goes
 * on below, with the first column repeated.
 */
export function textTable(table: Table, options: TableOptions = {}): string {
  const width = options.width ?? WIDTH_DEFAULT;
  const columns = writtenColumns(table, options);
  return blocksOf(columns, width)
    .map((block) => textBlock(block, width))
    .join('\n');
}

/** Writes a table as Markdown (GitHub flavour), units in brackets behind the headings. */
export function markdownTable(table: Table, options: TableOptions = {}): string {
  const columns = writtenColumns(table, options);
  const escape = (text: string): string => text.replaceAll('|', '\\|');
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
  const heading = (column: WrittenColumn): string =>
    escape(column.unit === '' ? column.heading : `${column.heading} (${column.unit})`);
  const rows = table.rows.map((_, row) => line(columns.map((column) => escape(column.cells[row] ?? ''))));
  return line(columns.map(heading)) + line(columns.map((column) => (column.right ? '---:' : '---'))) + rows.join('');
}

/**
 * A table of counters per processor: a row per counter, a column per processor, and a total.
 * @param counters per counter, its value on each processor
 */
export function counterTable(
  processors: readonly string[],
  counters: Readonly<Record<string, readonly number[]>>,
  unit = '',
): Table {
  const columns: TableColumn[] = [
    { heading: 'counter' },
    ...processors.map((heading) => ({ heading, unit })),
    { heading: 'total', unit },
  ];
  const rows = Object.entries(counters).map(([counter, values]): TableRow => {
    const cells = processors.map((_, i) => values[i] ?? 0);
    return [counter, ...cells, cells.reduce((sum, value) => sum + value, 0)];
  });
  return { columns, rows };
}

function writtenColumns(table: Table, options: TableOptions): readonly WrittenColumn[] {
  checkOptions('report: table', options, TABLE_KEYS);
  return table.columns.flatMap((spec, index): WrittenColumn[] => {
    const column: TableColumn = typeof spec === 'string' ? { heading: spec } : spec;
    const values = table.rows.map((row) => (isCells(row) ? row[index] : row[column.key ?? column.heading]));
    const numeric = values.every(
      (value) => value === null || value === undefined || typeof value === 'number' || typeof value === 'bigint',
    );
    const decimals = column.decimals ?? (values.every(isWhole) ? 0 : DECIMALS_DEFAULT);
    const format = { decimals, thousands: options.thousands ?? true };
    const written: WrittenColumn = {
      heading: plainLine(column.heading),
      unit: plainLine(column.unit ?? ''),
      right: column.align === undefined ? index > 0 && numeric : column.align === 'right',
      cells: values.map((value) => writeCell(value, format)),
      glued: false,
      wraps: !numeric,
    };
    if (column.ratio !== true) return [written];
    const cells = values.map((value) => ratioCell(value, values[0]));
    return [written, { heading: 'ratio', unit: '', right: true, cells, glued: true, wraps: false }];
  });
}

function isCells(row: TableRow): row is readonly Cell[] {
  return Array.isArray(row);
}

function isWhole(value: Cell): boolean {
  return typeof value !== 'number' || Number.isInteger(value) || !Number.isFinite(value);
}

function writeCell(value: Cell, format: NumberFormat): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return plainLine(value);
  return formatNumber(value, typeof value === 'bigint' ? { ...format, decimals: 0 } : format);
}

function ratioCell(value: Cell, base: Cell): string {
  const known = (cell: Cell): cell is number | bigint => typeof cell === 'number' || typeof cell === 'bigint';
  return known(value) && known(base) ? formatRatio(Number(value), Number(base)) : '-';
}

/** Splits the columns into groups that fit side by side, each beginning with the first column. */
function blocksOf(columns: readonly WrittenColumn[], width: number): readonly (readonly WrittenColumn[])[] {
  const [first, ...others] = columns;
  if (!first) return [];
  const units: WrittenColumn[][] = [];
  for (const column of others) {
    if (column.glued) units.at(-1)?.push(column);
    else units.push([column]);
  }
  const room = (list: readonly WrittenColumn[]): number =>
    list.reduce((sum, column) => sum + GAP + narrowest(column), -GAP);
  const blocks: WrittenColumn[][] = [[first]];
  for (const unit of units) {
    const block = blocks.at(-1) as WrittenColumn[];
    if (block.length === 1 || room([...block, ...unit]) <= width) block.push(...unit);
    else blocks.push([first, ...unit]);
  }
  return blocks;
}

function longest(texts: readonly string[]): number {
  return Math.max(0, ...texts.map((text) => text.length));
}

function widest(column: WrittenColumn): number {
  return longest([column.heading, column.unit, ...column.cells]);
}

function narrowest(column: WrittenColumn): number {
  const words = longest([...column.heading.split(' '), ...column.unit.split(' ')]);
  if (!column.wraps) return Math.max(words, longest(column.cells));
  return Math.min(widest(column), Math.max(words, TEXT_WIDTH_MIN));
}

/** Widths of the columns of one block: as wide as they like, or headings and then text made narrower. */
function widthsOf(block: readonly WrittenColumn[], width: number): readonly number[] {
  const narrow = block.map(narrowest);
  const total = (widths: readonly number[]): number => widths.reduce((sum, w) => sum + GAP + w, -GAP);
  const wide = block.map(widest);
  if (total(wide) <= width) return wide;
  const widths = [...narrow];
  for (const limit of [(column: WrittenColumn): number => longest(column.cells), widest]) {
    for (let left = width - total(widths); left > 0; left--) {
      const next = block.findIndex((column, i) => (widths[i] as number) < limit(column));
      if (next < 0) break;
      widths[next] = (widths[next] as number) + 1;
    }
  }
  return widths;
}

function textBlock(block: readonly WrittenColumn[], width: number): string {
  const widths = widthsOf(block, width);
  const line = (cells: readonly string[]): string =>
    `${cells
      .map((cell, i) => (block[i]?.right ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number)))
      .join(' '.repeat(GAP))
      .trimEnd()}\n`;
  const headings = block.map((column, i) => {
    const lines = wrapLine(column.heading, widths[i] as number, 0);
    return column.unit === '' ? lines : [...lines, ...wrapLine(column.unit, widths[i] as number, 0)];
  });
  const height = longestList(headings);
  let text = '';
  for (let i = 0; i < height; i++) text += line(headings.map((lines) => lines[i - height + lines.length] ?? ''));
  text += line(widths.map((w) => '-'.repeat(w)));
  const rows = block[0]?.cells.length ?? 0;
  for (let row = 0; row < rows; row++) {
    const cells = block.map((column, i) =>
      column.wraps ? wrapLine(column.cells[row] ?? '', widths[i] as number, HANG) : [column.cells[row] ?? ''],
    );
    for (let i = 0; i < longestList(cells); i++) text += line(cells.map((lines) => lines[i] ?? ''));
  }
  return text;
}

function longestList(lists: readonly (readonly string[])[]): number {
  return Math.max(0, ...lists.map((list) => list.length));
}
