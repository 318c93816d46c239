import { explore } from '@shootdown/explorer';
import { FREED_FRAME } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { gupFastVsUnmap } from './gup-fast-vs-unmap.ts';
import { describeScenario, UNCOUNTED } from './matrix.test-support.ts';

const { I1, I2 } = gup.Invariant;

const { systemOf, searched } = describeScenario(gupFastVsUnmap, {
  // Its twins with a walker under RCU, without the wait, and without PT_RECLAIM are smaller.
  deepOnly: (variant) => variant === 'kvm-pv/allocation-may-fail/pt-reclaim',
  golden: [
    'kvm-pv/page-batch',
    'kvm-pv/call-rcu/no-recheck',
    'kvm-pv/allocation-may-fail/rcu-walker',
    'invlpgb/call-rcu/dontneed-no-barrier',
  ],
  live: [
    'kvm-pv/call-rcu',
    'kvm-pv/sync-ipi',
    'hypercall/call-rcu',
    'kvm-pv/allocation-may-fail/pt-reclaim/rcu-walker',
  ],
});

describe('gup-fast-vs-unmap', () => {
  it.each([
    ['kvm-pv/page-batch', [I1]],
    ['tlbi/page-batch', [I1]],
    ['hypercall/page-batch', [I1]],
    ['invlpgb/page-batch', [I1]],
    ['kvm-pv/call-rcu/no-recheck', [I2]],
    ['kvm-pv/call-rcu/dontneed-no-pte-recheck', [I2]],
    ['kvm-pv/batch-full/no-rcu', [I1]],
    ['kvm-pv/allocation-may-fail/no-ipi', [I1]],
  ])('%s violates %j and nothing else', async (name, properties) => {
    expect(
      (await explore(systemOf(name), { ...UNCOUNTED, all: true })).problems.map((problem) => problem.property),
    ).toEqual(properties);
  });

  // That the twins are safe is a row of the matrix.
  it.each([
    ['the grace period', 'kvm-pv/call-rcu', 'kvm-pv/page-batch', I1],
    ['a grace period that sees interrupts-off stretches', 'kvm-pv/call-rcu', 'kvm-pv/call-rcu/blind', I1],
    ['interrupts off, natively', 'native-ipi/page-batch', 'native-ipi/page-batch/irqs-on', I1],
    ['interrupts off, under RCU', 'kvm-pv/call-rcu', 'kvm-pv/call-rcu/irqs-on', I1],
    ['the look at the pte again', 'kvm-pv/call-rcu/dontneed', 'kvm-pv/call-rcu/dontneed-no-pte-recheck', I2],
    ['the test for a reference count of 0', 'kvm-pv/call-rcu', 'kvm-pv/call-rcu/no-refcount-test', FREED_FRAME],
    ['the full barrier of folio_try_get()', 'invlpgb/call-rcu/dontneed', 'invlpgb/call-rcu/dontneed-no-barrier', I2],
    ['call_rcu() of the batch', 'kvm-pv/batch', 'kvm-pv/batch/no-rcu', I1],
    ['call_rcu() of a batch that is full', 'kvm-pv/batch-full', 'kvm-pv/batch-full/no-rcu', I1],
    ['the IPI of tlb_remove_table_one()', 'kvm-pv/allocation-may-fail', 'kvm-pv/allocation-may-fail/no-ipi', I1],
    [
      'interrupts off, where no batch page means an IPI',
      'kvm-pv/allocation-may-fail',
      'kvm-pv/allocation-may-fail/rcu-walker',
      I1,
    ],
  ])('without %s, %s becomes %s, which violates "%s"', async (_guard, _safe, mutant, property) => {
    expect((await searched(mutant)).property).toBe(property);
  });
});
