/**
 * What the tests of a page of docs/ ask: its tables of variants, its counterexamples, and whether everything it names
 * exists.
 */
import { readFileSync } from 'node:fs';
import { expectedVerdict, explore, resolveScenario, type Variant } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';
import { UNCOUNTED } from './matrix.test-support.ts';

/** A page and what it is about. */
export interface DocumentedScenarios {
  /** File name in docs/. */
  readonly page: string;
  /** Scenarios with a table of their variants. */
  readonly scenarios: readonly string[];
  /** Golden files that the page shows, without `.txt`. */
  readonly counterexamples: readonly string[];
}

/**
 * Tests that a page is true. The verdicts of its tables are those expected; that these come out is what the scenarios'
 * tests are for.
 */
export function describePage({ page: file, scenarios: names, counterexamples }: DocumentedScenarios): void {
  const page = readFileSync(new URL(`../../../docs/${file}`, import.meta.url), 'utf8');
  const rows = scenarios
    .filter((s) => names.includes(s.name))
    .flatMap((s) => s.variants.map((variant) => [s.name, variant.name, variant] as const));
  const lineOf = (scenario: string, variant: Variant): string | undefined =>
    tableOf(scenario).find(
      (text) => text.startsWith(`| \`${variant.name}\` | `) && text.endsWith(` | ${variant.summary} |`),
    );
  const tableOf = (scenario: string): readonly string[] =>
    ((page.split(`### \`${scenario}\`\n`)[1] ?? '').split('\n#')[0] ?? '').split('\n');

  describe(`docs/${file}`, () => {
    it.each(rows)('gives %s %s with its verdict', (scenario, _name, variant) => {
      const line = lineOf(scenario, variant);
      const [sc, tso] = [expectedVerdict(variant, 'sc'), expectedVerdict(variant, 'tso')];
      expect(line?.split(' | ')[1]).toBe(sc === tso ? sc : `${sc} on sc, ${tso} on tso`);
    });

    it.runIf(process.env['SHOOTDOWN_DEEP'] === '1').each(rows)(
      'gives %s %s with its states and the steps of its counterexample',
      async (scenario, name, variant) => {
        const { states, schedule } = await explore(
          resolveScenario(scenarios, { scenario, variant: name }).build(),
          UNCOUNTED,
        );
        expect(lineOf(scenario, variant)?.split(' | ').slice(2, 4)).toEqual([
          states.toLocaleString('en'),
          schedule ? String(schedule.length) : '',
        ]);
      },
    );

    it('names no variant that does not exist', () => {
      const known = new Set(rows.map(([scenario, name]) => `${scenario} ${name}`));
      const text = (page.split('## All variants')[0] ?? '').replaceAll('\n', ' ');
      const named = [...text.matchAll(new RegExp(`\`((?:${names.join('|')}) [^ \`]+)\``, 'g'))].map(
        ([, both]) => both ?? '',
      );
      expect(named.length).toBeGreaterThan(0);
      expect(named.filter((both) => !known.has(both))).toEqual([]);
    });

    it.each(counterexamples)('shows the counterexample %s as it is', (name) => {
      expect(page).toContain(readFileSync(new URL(`golden/${name}.txt`, import.meta.url), 'utf8').trim());
    });
  });
}
