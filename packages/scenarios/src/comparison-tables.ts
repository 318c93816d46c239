/** Comparisons as tables: Markdown, as the documentation has them. */
import { markdownTable, type Table } from '@shootdown/report';
import type { Comparison, ComparisonTable } from './comparison.ts';

/** The table of one comparison, with its ratios. */
export function tableOf(comparison: ComparisonTable): Table {
  const columns = comparison.columns.map(({ key, heading, unit, ratio }) => ({
    key,
    heading,
    unit,
    ratio: ratio ?? false,
  }));
  return {
    columns: [{ heading: 'variant', key: 'variant' }, ...columns],
    rows: comparison.rows.map((row) => ({ ...row })),
  };
}

/** The tables in Markdown, as the documentation has them. */
export function markdownOf(comparison: Comparison): string {
  return [
    markdownTable(tableOf(comparison)),
    ...(comparison.more ?? []).map((table) => `${table.title}:\n\n${markdownTable(tableOf(table))}`),
  ].join('\n');
}
