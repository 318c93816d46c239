/** Golden tables of `mutate`: there is one of every safe variant, or it is said why not, and each is up to date. */
import { linesOf, resolveScenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';
import {
  goldenPlaces,
  goldenTables,
  MutantGolden,
  provedWhy,
  row,
  statedWhy,
  stepOf,
  WRITE_GOLDEN,
  type GoldenRow,
} from './mutants.test-support.ts';
import {
  headingOf,
  requestOf,
  safeVariantsOf,
  tables,
  withoutTable,
  type MutantTable,
} from './mutants.tables.test-support.ts';

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

  it.each(withoutTable)('$scenario $variant: has none, and no line that could change', async (one) => {
    const { scenario, variant, because } = one;
    const found = scenarios.find(({ name }) => name === scenario);
    expect(found && safeVariantsOf(found)).toContain(variant);
    expect(because).not.toBe('');
    const { lines } = await linesOf(resolveScenario(scenarios, { scenario, variant }).build());
    expect(lines.flatMap(({ changes }) => changes)).toEqual([]);
  });

  it('leave changes to variants that ship, and have whole tables', () => {
    for (const { scenario, onlyBeyond } of tables)
      for (const variant of onlyBeyond)
        expect(tables).toContainEqual(expect.objectContaining({ scenario, variant, onlyBeyond: [] }));
  });

  it('say where each of their lines stands', () => {
    const nowhere = [...golden].flatMap(([heading, rows]) =>
      rows.filter(({ change }) => goldenPlaces.of(heading, stepOf(change)) === undefined).map(({ change }) => change),
    );
    expect(nowhere).toEqual([]);
  });

  it('speak of lines that are in the sources today', () => {
    expect(goldenPlaces.gone).toEqual([]);
  });

  it('say of every survivor what is known of it today', async () => {
    const outOfDate: string[] = [];
    for (const table of tables) {
      const heading = headingOf(table);
      const rows = golden.get(heading) ?? [];
      const today: string[] = [];
      for (const one of rows) today.push(await whyToday(one, table));
      const old = rows.flatMap(({ change, why }, i) =>
        why === today[i] && !why.startsWith(NOBODY_SAYS) ? [] : [`${heading}: ${change}: ${why}`],
      );
      outOfDate.push(...old);
      if (WRITE_GOLDEN && old.length > 0)
        new MutantGolden(table.scenario).section(
          heading,
          rows.map(({ result, change }, i) => row(result, change, today[i] ?? '')),
        );
    }
    if (!WRITE_GOLDEN) expect(outOfDate).toEqual([]);
  });
});

const NOBODY_SAYS = '(nobody says why';

/** What a row says of the line; of one that is not needed, what is known today. Proved when tables are written. */
async function whyToday(one: GoldenRow, table: MutantTable): Promise<string> {
  if (one.result === 'needed' || one.result === 'witness gone') return one.why;
  const request = requestOf(table);
  const stated = statedWhy(one, request);
  if (stated !== undefined || !WRITE_GOLDEN) return stated ?? `${NOBODY_SAYS})`;
  try {
    return (await provedWhy(one.change, request)) ?? `${NOBODY_SAYS})`;
  } catch (error) {
    return `${NOBODY_SAYS}: ${(error as Error).message})`;
  }
}
