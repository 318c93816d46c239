import { resolveScenario } from '@shootdown/explorer';
import { expect, it } from 'vitest';
import { scenarios } from './index.ts';

/** Names of all words of a variant's machine. */
function wordsOf(scenario: string, variant: string): string[] {
  const { layout } = resolveScenario(scenarios, { scenario, variant }).build();
  return layout.regions.flatMap(({ base, cells }) => Array.from({ length: cells }, (_, i) => layout.nameOf(base + i)));
}

it('what a scenario names as its tracks are words of its machine', () => {
  const named = scenarios.filter(({ tracks }) => tracks !== undefined);
  expect(named.length).toBeGreaterThan(1);
  for (const { name, variants, tracks = [] } of named) {
    const words = variants.map((variant) => wordsOf(name, variant.name));
    for (const track of tracks)
      expect(
        words.some((all) => all.some((word) => word.startsWith(track))),
        `${name}: ${track}`,
      ).toBe(true);
  }
});
