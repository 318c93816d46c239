/** Every line of every safe variant of the lazy-* scenarios: needed, or it is known why not. */
import { expectedVerdict, resolveScenario, type Scenario } from '@shootdown/explorer';
import type { MemoryModel } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { scenarios } from '../index.ts';
import { DEEP } from '../matrix.test-support.ts';
import { ofLazyMmu, ofLazyVmalloc, ofLazyVmallocOnSc } from '../mutants.survivors-lazy.test-support.ts';
import { MutantGolden, mutantTable, type Survivor } from '../mutants.test-support.ts';
import * as lazyScenarios from './index.ts';

interface Mutated {
  readonly scenario: Scenario;
  readonly model: MemoryModel;
  /** In every test run; all others are in the deep one. */
  readonly quick: readonly string[];
  readonly survivors: readonly Survivor[];
}

const QUICK: Readonly<Record<string, readonly string[]>> = {
  'lazy-nesting': ['current'],
  'lazy-softirq': ['arm64'],
};

const all: readonly Mutated[] = [
  ...Object.values(lazyScenarios).map((scenario): Mutated => {
    const survivors = scenario === lazyScenarios.lazyVmalloc ? ofLazyVmallocOnSc : ofLazyMmu;
    return { scenario, model: 'sc', quick: QUICK[scenario.name] ?? [], survivors };
  }),
  { scenario: lazyScenarios.lazyVmalloc, model: 'arm', quick: [], survivors: ofLazyVmalloc },
];

const rows = all.flatMap(({ scenario, model, quick, survivors }) =>
  scenario.variants
    .filter((variant) => expectedVerdict(variant, model) === 'safe' && (DEEP || quick.includes(variant.name)))
    .map(({ name }) => ({ scenario: scenario.name, variant: name, model, survivors })),
);

describe('lines of lazy MMU mode', () => {
  it.each(rows)('$scenario $variant on $model: each is needed, or it is known why not', async (row) => {
    const { scenario, variant, model, survivors } = row;
    const golden = new MutantGolden(scenario);
    const build = (name: string, of: string) =>
      resolveScenario(scenarios, { scenario: name, variant: of, memoryModel: model }).build();
    const where = `${scenario} / ${variant}`;
    const table = await mutantTable({
      where,
      variant,
      survivors,
      systemOf: () => build(scenario, variant),
      shipped: build,
    });
    const heading = `${where} on ${model}`;
    expect([heading, ...table].join('\n')).toBe(golden.section(heading, table));
  });
});
