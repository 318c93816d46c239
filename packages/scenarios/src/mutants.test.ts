import { resolveScenario } from '@shootdown/explorer';
import type { MemoryModel } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';
import { DEEP } from './matrix.test-support.ts';
import { explanationOf, goldenTables, MutantGolden, mutantTable } from './mutants.test-support.ts';
import { headingOf, leftToOthers, tables, whereOf } from './mutants.tables.test-support.ts';

const named = tables
  .filter(({ quick }) => DEEP || quick)
  .map((table) => ({ ...table, heading: headingOf(table), where: whereOf(table) }));

describe('lines of scenarios', () => {
  it.each(named)('$heading: each is needed, or it is known why not', async (table) => {
    const { scenario, variant, model, size, survivors, compare, heading, where } = table;
    const resolved = (name: string, of: string, memoryModel?: MemoryModel, parameters = {}) =>
      resolveScenario(scenarios, { scenario: name, variant: of, memoryModel, parameters });
    const rows = await mutantTable({
      where,
      variant,
      survivors,
      compare,
      except: leftToOthers(table, goldenTables()),
      systemOf: () => resolved(scenario, variant, model, size).build(),
      // On arm a line is needed for its order, and elsewhere for what it does.
      shipped: (name, of, parameters) => resolved(name, of, model === 'arm' ? model : undefined, parameters).build(),
    });
    const golden = new MutantGolden(scenario).section(heading, rows);
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
