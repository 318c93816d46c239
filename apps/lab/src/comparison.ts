/** Comparisons: one row per variant, named columns with units, ratios against the first row. */

/** A column of numbers. */
export interface ComparisonColumn {
  readonly key: string;
  readonly heading: string;
  readonly unit: string;
  /** Show the ratio to the first row in the text table. */
  readonly ratio?: boolean;
}

/** A table of variants. */
export interface Comparison {
  readonly name: string;
  readonly title: string;
  readonly columns: readonly ComparisonColumn[];
  readonly rows: readonly ({ readonly variant: string } & Readonly<Record<string, number | string>>)[];
  /** What one must know to read it: simplifications, parameters. */
  readonly notes: readonly string[];
}

/** The comparison as plain data, with the ratios of every column to the first row (null where that is 0). */
export function comparisonDocument(comparison: Comparison): unknown {
  const [first] = comparison.rows;
  const ratio = (row: Comparison['rows'][number], key: string): number | null => {
    const base = first?.[key];
    const value = row[key];
    return typeof base === 'number' && typeof value === 'number' && base !== 0 ? value / base : null;
  };
  return {
    ...comparison,
    rows: comparison.rows.map((row) => ({ ...row, ratios: Object.fromEntries(comparison.columns.map((c) => [c.key, ratio(row, c.key)])) })),
  };
}
