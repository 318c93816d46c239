import { spawnSync } from 'node:child_process';
import { printedHeader, type AnyOffer, type OffersC } from '@shootdown/c';
import { resolveScenario, type Scenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { scenarios } from './index.ts';

const FLAGS = ['-std=gnu11', '-fsyntax-only', '-Wall', '-Werror', '-Wno-unused-function', '-x', 'c', '-'];
const hasCompiler = spawnSync('gcc', ['--version']).status === 0;

/** One scenario for each offer. */
const offers = new Map<AnyOffer, Scenario>();
for (const scenario of scenarios as readonly (Scenario & Partial<OffersC>)[]) {
  const offer = await scenario.c?.();
  if (offer && !offers.has(offer)) offers.set(offer, scenario);
}

describe.runIf(hasCompiler)('what scenarios offer to C', () => {
  it.each([...offers].map(([offer, scenario]) => [scenario.name, offer, scenario] as const))(
    '%s: is a header that a compiler takes',
    (_, offer, scenario) => {
      const { parameters } = resolveScenario([scenario], { scenario: scenario.name });
      const { status, stderr } = spawnSync('gcc', FLAGS, { input: printedHeader(offer, parameters), encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
    },
  );

  it('are several', () => {
    expect(offers.size).toBeGreaterThanOrEqual(4);
  });
});
