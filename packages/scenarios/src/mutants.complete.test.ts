/** Golden tables of `mutate`: there is one of every safe variant, or it is said why not, and each is up to date. */
import { linesOf, resolveScenario } from '@shootdown/explorer';
import { formatMutation } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';
import { DEEP } from './matrix.test-support.ts';
import { goldenTables, MutantGolden, row, statedWhy, WRITE_GOLDEN } from './mutants.test-support.ts';
import { headingOf, safeVariantsOf, tables, whereOf, withoutTable } from './mutants.tables.test-support.ts';

const golden = goldenTables();

describe('golden tables of mutate', () => {
  it('are there for every safe variant that ships, or it is said why not', () => {
    const safe = scenarios.flatMap((scenario) => safeVariantsOf(scenario).map((name) => `${scenario.name} / ${name}`));
    const written = tables.filter((table) => golden.has(headingOf(table)));
    const known = new Set([...written, ...withoutTable].map(({ scenario, variant }) => `${scenario} / ${variant}`));
    expect(safe.filter((variant) => !known.has(variant))).toEqual([]);
  });

  it('are of variants that ship', () => {
    const headings = new Set(tables.map(headingOf));
    expect([...golden.keys()].filter((heading) => !headings.has(heading))).toEqual([]);
  });

  it.each(withoutTable)('$scenario $variant: has none, and others have its lines', (one) => {
    const { scenario, variant, coveredBy, because } = one;
    const found = scenarios.find(({ name }) => name === scenario);
    expect(found && safeVariantsOf(found)).toContain(variant);
    expect(because).not.toBe('');
    expect(coveredBy.filter((name) => tablesOf(scenario, name).length === 0)).toEqual([]);
  });

  it.runIf(DEEP).each(withoutTable)('$scenario $variant: each change of its lines is judged elsewhere', async (one) => {
    const { scenario, variant, coveredBy } = one;
    const judged = new Set(coveredBy.flatMap((name) => tablesOf(scenario, name).flat()).map(({ change }) => change));
    const { lines } = await linesOf(resolveScenario(scenarios, { scenario, variant }).build());
    const changes = lines.flatMap(({ routine, step, changes: possible }) =>
      possible.map((change) => formatMutation({ routine, step, change })),
    );
    expect(changes.filter((change) => !judged.has(change))).toEqual([]);
  });

  it('say of every survivor what is known of it today', () => {
    const outOfDate: string[] = [];
    for (const table of tables) {
      const request = { where: whereOf(table), variant: table.variant, survivors: table.survivors };
      const heading = headingOf(table);
      const rows = golden.get(heading) ?? [];
      const today = rows.map((one) =>
        one.result === 'needed' || one.result === 'witness gone' ? one.why : statedWhy(one, request),
      );
      const old = rows.flatMap(({ change, why }, i) => (why === today[i] ? [] : [`${heading}: ${change}: ${why}`]));
      outOfDate.push(...old);
      if (WRITE_GOLDEN && old.length > 0 && !today.includes(undefined))
        new MutantGolden(table.scenario).section(
          heading,
          rows.map(({ result, change }, i) => row(result, change, today[i] ?? '')),
        );
    }
    if (!WRITE_GOLDEN) expect(outOfDate).toEqual([]);
  });
});

function tablesOf(scenario: string, variant: string) {
  return tables
    .filter((table) => table.scenario === scenario && table.variant === variant)
    .flatMap((table) => golden.get(headingOf(table)) ?? []);
}
