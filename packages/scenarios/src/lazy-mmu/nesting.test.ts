/**
 * Nobody is wrong when an inner section ends the mode of the outer one (v6.16): the batching is lost, and that shows.
 */
import { resolveScenario } from '@shootdown/explorer';
import { arm64Costs, DirectExecutor, runVirtualTime } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { lazyNesting } from './lazy-tasks.ts';

function barriersOf(variant: string): number {
  const resolved = resolveScenario([lazyNesting], { scenario: 'lazy-nesting', variant });
  const executor = new DirectExecutor(resolved.build());
  let barriers = 0;
  executor.observe = true;
  executor.onCount = (_, counter, amount) => {
    if (counter === 'emit_pte_barriers') barriers += amount;
  };
  runVirtualTime(executor, { costs: arm64Costs });
  return barriers;
}

describe('lazy-nesting', () => {
  it('counts the batching that is lost: a barrier for each entry after the inner section', () => {
    expect([barriersOf('current'), barriersOf('arm64-v6.16')]).toEqual([2, 3]);
  });
});
