import { explore, resolveScenario } from '@shootdown/explorer';
import { routine, type Steps } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { expect, test } from 'vitest';
import { scenarios } from './index.ts';
import { UNCOUNTED } from './matrix.test-support.ts';

test('a routine of any scenario is replaced by its name, whoever calls it', async () => {
  const forgets = routine('gup_fast_pte_range', function* (): Steps<number> {
    yield* [];
    return -1;
  });
  const walk = { scenario: 'gup-fast-vs-unmap', variant: 'kvm-pv/call-rcu' };
  const shipped = await explore(resolveScenario(scenarios, walk).build(), UNCOUNTED);
  // A walk that never pins a page is right about nothing: the witness is missing.
  const patched = resolveScenario(scenarios, { ...walk, replace: { gup_fast_pte_range: forgets } });
  const found = await explore(patched.build(), UNCOUNTED);
  expect([shipped.verdict, found.verdict, found.property, patched.replaced, patched.expected]).toEqual([
    'safe',
    'violation',
    'the walk pins a page',
    ['gup_fast_pte_range'],
    null,
  ]);
});

test('a fault of KVM that never looks whether the page was invalidated maps a freed one', async () => {
  const mmu_invalidate_retry_gfn = routine('mmu_invalidate_retry_gfn', function* (): Steps<boolean> {
    yield* [];
    return false;
  });
  const fault = { scenario: 'kvm-fault-vs-invalidate', variant: 'protocol' };
  const patched = resolveScenario(scenarios, { ...fault, replace: { mmu_invalidate_retry_gfn } });
  expect((await explore(patched.build(), UNCOUNTED)).verdict).toBe('violation');
});

test('what the machine of a variant does not call cannot be replaced in it', () => {
  const request = { scenario: 'gup-fast-vs-unmap', variant: 'kvm-pv/call-rcu' };
  const replace = { wp_page_copy: gup.unmap_region };
  expect(() => resolveScenario(scenarios, { ...request, replace })).toThrow(
    /no routine of gup-fast-vs-unmap \/ kvm-pv\/call-rcu wp_page_copy \(have: .*flush_tlb_mm_range, free_pte_range, .*zap_pte_range/,
  );
});

test('a stand-in may call what it stands in for', async () => {
  const calls: string[] = [];
  const gup_fast_fallback = routine(
    'gup_fast_fallback',
    function* (...args: Parameters<typeof gup.gup_fast_fallback>): Steps {
      calls.push('patched');
      yield* gup.gup_fast_fallback(...args);
    },
  );
  const walk = { scenario: 'gup-fast-vs-unmap', variant: 'kvm-pv/call-rcu' };
  const patched = resolveScenario(scenarios, { ...walk, replace: { gup_fast_fallback } });
  expect((await explore(patched.build(), UNCOUNTED)).verdict).toBe('safe');
  expect(calls).toContain('patched');
});

test('build does not see what is expected of a variant', () => {
  for (const scenario of scenarios) {
    const seen: unknown[] = [];
    const spied = {
      ...scenario,
      build: (request: Parameters<typeof scenario.build>[0]) => {
        seen.push(Object.keys(request.variant).includes('expected'));
        return scenario.build(request);
      },
    };
    resolveScenario([spied], { scenario: scenario.name }).build();
    expect([scenario.name, seen.includes(true), seen.length > 0]).toEqual([scenario.name, false, true]);
  }
});

test('a routine stands in the list of its kernel by the name that callers know it by', () => {
  const wrong = scenarios.flatMap((scenario) =>
    scenario.variants.flatMap((variant) =>
      Object.entries(scenario.routines?.(variant) ?? {}).flatMap(([name, { routineName }]) =>
        name === routineName ? [] : [`${scenario.name} / ${variant.name}: ${name} is ${routineName}()`],
      ),
    ),
  );
  expect(wrong).toEqual([]);
});
