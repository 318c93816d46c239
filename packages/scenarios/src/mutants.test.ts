import { describe, expect, it } from 'vitest';
import { DEEP } from './matrix.test-support.ts';
import {
  explanationOf,
  goldenPlaces,
  goldenTables,
  MutantGolden,
  mutantTable,
  WRITE_GOLDEN,
  writePlaces,
} from './mutants.test-support.ts';
import { headingOf, leftToOthers, requestOf, tables } from './mutants.tables.test-support.ts';

const named = tables.filter(({ quick }) => DEEP || quick).map((table) => ({ ...table, heading: headingOf(table) }));

describe('lines of scenarios', () => {
  it.each(named)('$heading: each is needed, or it is known why not', async ({ heading, ...table }) => {
    const { rows, places } = await mutantTable({ ...requestOf(table), except: leftToOthers(table, goldenTables()) });
    const golden = new MutantGolden(table.scenario).section(heading, rows);
    if (WRITE_GOLDEN) writePlaces();
    expect([heading, ...rows].join('\n')).toBe(golden);
    expect([...places.keys()].map((step) => [step, goldenPlaces.of(heading, step)])).toEqual([...places]);
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

it('a line that stands elsewhere is another one, whatever its name', () => {
  const step = 'flush_tlb_mm_range/inc_mm_tlb_gen';
  const placeIn = (table: string): string | undefined => goldenPlaces.of(table, step)?.split(':')[0];
  expect(placeIn('remote-flush / native-ipi on sc')).toBe('mm/src/arch/x86-tlb.ts');
  expect(placeIn('gup-fast-vs-unmap / native-ipi/page-batch on sc')).toBe('mm/src/arch/interrupts-only.ts');
});
