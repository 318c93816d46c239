import { explore } from '@shootdown/explorer';
import { gup } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { gupFastVsCollapse } from './gup-fast-vs-collapse.ts';
import { describeScenario, UNCOUNTED } from './matrix.test-support.ts';

const { I1, I2, I3 } = gup.Invariant;

const { systemOf, searched } = describeScenario(gupFastVsCollapse, { golden: ['pte-recheck', 'pmd-recheck'] });

describe('gup-fast-vs-collapse', () => {
  it.each([
    ['no-recheck', [I3, I1, I2]],
    ['pte-recheck', [I3, I1]],
    ['pte-recheck/deposit-kept', [I3]],
    ['pmd-recheck', [I1]],
    ['pmd-recheck/kvm-pv', [I1]],
    ['pmd-recheck/hypercall', [I1]],
    ['pmd-recheck/invlpgb', [I1]],
  ])('%s violates %j and nothing else', async (name, properties) => {
    expect(
      (await explore(systemOf(name), { ...UNCOUNTED, all: true })).problems.map((problem) => problem.property),
    ).toEqual(properties);
  });

  it.each([
    ['the look at the pmd again', 'pmd-recheck/deposit-kept', 'pte-recheck/deposit-kept', I3],
    ['the IPI', 'pmd-recheck+ipi', 'pmd-recheck', I1],
    ['the grace period', 'pmd-recheck+sync-rcu', 'pmd-recheck', I1],
    ['the count of references', 'pmd-recheck+ipi', 'pmd-recheck+ipi/no-count', I3],
    ['interrupts off', 'pmd-recheck+ipi', 'pmd-recheck+ipi/irqs-on', I1],
  ])('without %s, %s becomes %s, which violates "%s"', async (_guard, safe, mutant, property) => {
    expect((await searched(safe)).verdict).toBe('safe');
    expect((await searched(mutant)).property).toBe(property);
  });
});
