import { explore } from '@shootdown/explorer';
import { secondary } from '@shootdown/mm';
import { IN_PROGRESS_NOT_NEGATIVE } from '@shootdown/mmu-notifier';
import { describe, expect, it } from 'vitest';
import { kvmFaultVsInvalidate } from './kvm-fault-vs-invalidate.ts';
import { describeScenario, UNCOUNTED } from './matrix.test-support.ts';

const { J1 } = secondary.SecondaryInvariant;

const { systemOf, searched } = describeScenario(kvmFaultVsInvalidate, {
  reducedOnly: (variant) => variant.startsWith('two-'),
  golden: ['no-in-progress-check', 'rmap-lock/end-order-swapped'],
  live: ['protocol', 'rmap-lock', 'memslot-added'],
});

describe('kvm-fault-vs-invalidate', () => {
  it.each([
    ['the look at the sequence', 'no-seq-check', J1],
    ['the look at the counter', 'no-in-progress-check', J1],
    ['a snapshot before the lookup', 'snapshot-after-lookup', J1],
    ['the lock during the check', 'check-outside-lock', J1],
    ['the lock from check to installation', 'lock-dropped-before-install', J1],
    ['seq++ before in_progress--, where faults do not take mmu_lock', 'rmap-lock/end-order-swapped', J1],
    ['the look at the sequence, under the lock of the rmap chain', 'rmap-lock/no-seq-check', J1],
    ['the look at the counter, under the lock of the rmap chain', 'rmap-lock/no-in-progress-check', J1],
    ['the flush', 'mutant-no-flush', J1],
    ['a range that covers all that are under way', 'two-ranges/range-replaced', J1],
    ['the flush under mmu_lock, with a second invalidation of the page', 'two-invalidators/flush-after-unlock', J1],
    ['waiting for invalidations before the slots change', 'memslot-added/no-active-count', IN_PROGRESS_NOT_NEGATIVE],
  ])('without %s, %s violates "%s"', async (_guard, name, property) => {
    expect((await searched(name)).property).toBe(property);
  });

  it.each(['protocol', 'early-check', 'end-order-swapped', 'rmap-lock'])(
    '%s is right as well for a page that the guest may write to, and if none comes after it',
    async (name) => {
      for (const parameters of [{ writable: 1 }, { faults: 0 }])
        expect((await explore(systemOf(name, 'sc', parameters), UNCOUNTED)).verdict).toBe('safe');
    },
  );
});
