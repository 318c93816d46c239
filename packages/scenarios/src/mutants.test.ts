import { describe, expect, it } from 'vitest';
import { DEEP } from './matrix.test-support.ts';
import { explanationOf, goldenTables, MutantGolden, mutantTable } from './mutants.test-support.ts';
import { headingOf, leftToOthers, requestOf, tables } from './mutants.tables.test-support.ts';

const named = tables.filter(({ quick }) => DEEP || quick).map((table) => ({ ...table, heading: headingOf(table) }));

describe('lines of scenarios', () => {
  it.each(named)('$heading: each is needed, or it is known why not', async ({ heading, ...table }) => {
    const rows = await mutantTable({ ...requestOf(table), except: leftToOthers(table, goldenTables()) });
    const golden = new MutantGolden(table.scenario).section(heading, rows);
    expect([heading, ...rows].join('\n')).toBe(golden);
  });
});

it('an explanation speaks of the variants and changes that it names', () => {
  const survivors = [
    { change: 'a/b:leave-out', variants: 'x/*', because: 'first' },
    { change: 'a/*', because: 'second' },
  ];
  expect(explanationOf(survivors, 'x/y', 'a/b:leave-out')?.because).toBe('first');
  expect(explanationOf(survivors, 'y', 'a/b:leave-out')?.because).toBe('second');
  expect(explanationOf(survivors, 'y', 'c/b:leave-out')).toBeUndefined();
});
