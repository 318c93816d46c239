import { describe, expect, it } from 'vitest';
import { arm64Costs, costModels, cyclesOf, withCosts, x86Costs } from './cost.ts';

describe.each(Object.entries(costModels))('the cost table of %s', (_, model) => {
  it.each(Object.entries(model.costs))(
    '%s has a number of cycles and says where it comes from',
    (__, { cycles, source }) => {
      expect(Number.isInteger(cycles) && cycles >= 0).toBe(true);
      expect(source.trim().length).toBeGreaterThan(3);
    },
  );

  it('has a default, which stands for what has no entry', () => {
    expect(cyclesOf(model, 'no such operation')).toBe(model.costs['default']?.cycles);
    expect(cyclesOf(model, 'no such operation')).toBeGreaterThan(0);
  });
});

describe('cost tables', () => {
  it('arm64 costs as x86 where it has no entry of its own', () => {
    expect(cyclesOf(arm64Costs, 'load')).toBe(cyclesOf(x86Costs, 'load'));
    expect(cyclesOf(arm64Costs, 'dvm')).toBeGreaterThan(cyclesOf(arm64Costs, 'tlbi'));
  });

  it('a barrier of one kind is nothing on x86, where it stops the compiler only, and an instruction on arm64', () => {
    for (const barrier of ['smp_rmb', 'smp_wmb']) {
      expect(cyclesOf(x86Costs, barrier)).toBe(0);
      expect(cyclesOf(arm64Costs, barrier)).toBe(cyclesOf(arm64Costs, 'smp_mb'));
    }
  });

  it('a user may change entries, and the copy says so', () => {
    const mine = withCosts(x86Costs, { ipi: 3000, invented: 5 });
    expect([cyclesOf(mine, 'ipi'), cyclesOf(mine, 'invented'), cyclesOf(mine, 'load')]).toEqual([
      3000,
      5,
      cyclesOf(x86Costs, 'load'),
    ]);
    expect([mine.name, mine.costs['ipi']?.source, mine.hertz]).toEqual([
      'x86-64 (changed)',
      'set by the user',
      x86Costs.hertz,
    ]);
    expect(cyclesOf(x86Costs, 'ipi')).not.toBe(3000);
  });

  it('an empty table costs nothing', () => {
    expect(cyclesOf({ name: 'free', hertz: 1, costs: {} }, 'load')).toBe(0);
  });
});
