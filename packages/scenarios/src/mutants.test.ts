import { resolveScenario, type Scenario } from '@shootdown/explorer';
import { describe, expect, it } from 'vitest';
import { gupFastVsUnmap } from './gup-fast-vs-unmap.ts';
import { kvmPvFlush } from './kvm-pv-flush.ts';
import { DEEP } from './matrix.test-support.ts';
import { explanationOf, MutantGolden, mutantTable, type Survivor } from './mutants.test-support.ts';
import { ofGupFastVsUnmap, ofKvmPvFlush, ofPtdumpVmalloc } from './mutants.survivors.test-support.ts';
import { ptdumpVmalloc } from './ptdump-vmalloc.ts';

/** Variants whose lines are changed; `quick` ones in every test run. */
interface Mutated {
  readonly scenario: Scenario;
  readonly variants: readonly string[];
  readonly quick: readonly string[];
  readonly survivors: readonly Survivor[];
}

const all: readonly Mutated[] = [
  {
    scenario: ptdumpVmalloc,
    variants: [
      'v1',
      'v2',
      'v3',
      'v6-one-dumper',
      'v6',
      'v6-no-barrier',
      'v6-no-kick',
      'v6-no-isb',
      'rcu-walk',
      'rcu-walk-sync',
      'trylock-2026',
      'other-mm-fixed',
    ],
    quick: ['trylock-2026'],
    survivors: ofPtdumpVmalloc,
  },
  {
    scenario: kvmPvFlush,
    variants: ['xchg', 'second-preempt-guarded', 'instruction-boundary'],
    quick: [],
    survivors: ofKvmPvFlush,
  },
  {
    scenario: gupFastVsUnmap,
    variants: [
      'native-ipi/page-batch',
      'kvm-pv/call-rcu',
      'tlbi/call-rcu',
      'kvm-pv/call-rcu/dontneed',
      'kvm-pv/sync-ipi',
      'kvm-pv/sync-rcu',
      'hypercall/call-rcu',
      'invlpgb/call-rcu',
      'invlpgb/call-rcu/dontneed',
      'native-ipi/page-batch/no-recheck',
      'kvm-pv/batch',
      'kvm-pv/batch-full',
    ],
    quick: ['native-ipi/page-batch'],
    survivors: ofGupFastVsUnmap,
  },
];

describe.each(all)('lines of $scenario.name', ({ scenario, variants, quick, survivors }) => {
  const golden = new MutantGolden(scenario.name);

  it.each(DEEP ? variants : quick)('%s: each is needed, or it is known why not', async (variant) => {
    const resolved = resolveScenario([scenario], { scenario: scenario.name, variant });
    const rows = await mutantTable(variant, () => resolved.build(), survivors);
    const heading = `${scenario.name} / ${variant} on ${resolved.memoryModel}`;
    expect([heading, ...rows].join('\n')).toBe(golden.section(heading, rows));
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
