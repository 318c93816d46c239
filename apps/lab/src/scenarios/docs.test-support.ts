/** What the tests of a page of docs/ ask: its tables of variants, its counterexamples, and whether everything it names exists. */
import { readFileSync } from 'node:fs';
import { expectedVerdict } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';

/** A page and what it is about. */
export interface DocumentedScenarios {
  /** File name in docs/. */
  readonly page: string;
  /** Scenarios with a table of their variants. */
  readonly scenarios: readonly string[];
  /** Golden files that the page shows, without `.txt`. */
  readonly counterexamples: readonly string[];
}

/** Tests that a page is true. The verdicts of its tables are those expected; that these come out is what the scenarios' tests are for. */
export function describePage({ page: file, scenarios: names, counterexamples }: DocumentedScenarios): void {
  const page = readFileSync(new URL(`../../../../docs/${file}`, import.meta.url), 'utf8');
  const rows = scenarios.filter((s) => names.includes(s.name)).flatMap((s) => s.variants.map((variant) => [s.name, variant.name, variant] as const));
  const tableOf = (scenario: string): readonly string[] => ((page.split(`### \`${scenario}\`\n`)[1] ?? '').split('\n#')[0] ?? '').split('\n');

  describe(`docs/${file}`, () => {
    it.each(rows)('gives %s %s with its verdict', (scenario, name, variant) => {
      const line = tableOf(scenario).find((text) => text.startsWith(`| \`${name}\` | `) && text.endsWith(` | ${variant.summary} |`));
      const [sc, tso] = [expectedVerdict(variant, 'sc'), expectedVerdict(variant, 'tso')];
      expect(line?.split(' | ')[1]).toBe(sc === tso ? sc : `${sc} on sc, ${tso} on tso`);
    });

    it('names no variant that does not exist', () => {
      const known = new Set(rows.map(([scenario, name]) => `${scenario} ${name}`));
      const text = (page.split('## All variants')[0] ?? '').replaceAll('\n', ' ');
      const named = [...text.matchAll(new RegExp(`\`((?:${names.join('|')}) [^ \`]+)\``, 'g'))].map(([, both]) => both ?? '');
      expect(named.length).toBeGreaterThan(0);
      expect(named.filter((both) => !known.has(both))).toEqual([]);
    });

    it.each(counterexamples)('shows the counterexample %s as it is', (name) => {
      expect(page).toContain(readFileSync(new URL(`golden/${name}.txt`, import.meta.url), 'utf8').trim());
    });
  });
}
