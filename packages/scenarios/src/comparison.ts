/** Comparisons: one row per variant, named columns with units, ratios against the first row. */
import type { KernelRoutines } from '@shootdown/explorer';

/** A column of numbers. */
export interface ComparisonColumn {
  readonly key: string;
  readonly heading: string;
  readonly unit: string;
  /** Show the ratio to the first row in the text table. */
  readonly ratio?: boolean;
}

/** A variant and its numbers, by the keys of the columns. */
export type ComparisonRow = { readonly variant: string } & Readonly<Record<string, number | string>>;

/** A table: ratios are against its first row. */
export interface ComparisonTable {
  readonly title: string;
  readonly columns: readonly ComparisonColumn[];
  readonly rows: readonly ComparisonRow[];
}

/** A table of variants, and perhaps more about the same. */
export interface Comparison extends ComparisonTable {
  readonly name: string;
  readonly more?: readonly ComparisonTable[];
  /** What one must know to read it: simplifications, parameters. */
  readonly notes: readonly string[];
}

/** A kernel with routines of a user's own, to be compared with the one that ships. */
export interface Patch {
  /** How its row is called. */
  readonly name: string;
  /** The variant that it changes. */
  readonly variant: string;
  /** Its routines, for parameters of the scenario. */
  routines(parameters: Readonly<Record<string, number>>): Promise<KernelRoutines>;
}

/** Computes rows one after another; a command hears of each, and may end the table early. */
export type EachRow = <T, R>(items: readonly T[], row: (item: T) => R | Promise<R>) => Promise<R[]>;

/** Computes every row. */
export const everyRow: EachRow = async (items, row) => {
  const rows = [];
  for (const item of items) rows.push(await row(item));
  return rows;
};

/** An effect that is more than this times the other is explained. */
const OFF_MAX = 2;
/** Percent that no measurement of these tells from nothing. */
const NOTHING_PERCENT = 2;

/** Whether two effects, in percent, differ by more than a factor of two, or point in different directions. */
export function isOff(ours: number, published: number): boolean {
  if (Math.max(Math.abs(ours), Math.abs(published)) < NOTHING_PERCENT) return false;
  const ratio = ours / published;
  return !(ratio >= 1 / OFF_MAX && ratio <= OFF_MAX);
}

/** The comparison as plain data, with the ratios of every column to the first row (null where that is 0). */
export function comparisonDocument(comparison: Comparison): unknown {
  const { more, ...first } = comparison;
  return { ...withRatios(first), ...(more && { more: more.map(withRatios) }) };
}

function withRatios(table: ComparisonTable): object {
  const [first] = table.rows;
  const ratio = (row: ComparisonRow, key: string): number | null => {
    const base = first?.[key];
    const value = row[key];
    return typeof base === 'number' && typeof value === 'number' && base !== 0 ? value / base : null;
  };
  return {
    ...table,
    rows: table.rows.map((row) => ({
      ...row,
      ratios: Object.fromEntries(table.columns.map((c) => [c.key, ratio(row, c.key)])),
    })),
  };
}
