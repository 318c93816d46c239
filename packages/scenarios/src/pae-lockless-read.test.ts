import { explore } from '@shootdown/explorer';
import { gup } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { counterexampleOf, DEEP, describeScenario, UNCOUNTED } from './matrix.test-support.ts';
import { paeLocklessRead } from './pae-lockless-read.ts';

const MAIL_COLUMNS = 76;
const GOLDEN = [
  'kvm-pv',
  'one-replacement/above-4g',
  'native/one-zapper',
  'native/refault/recheck',
  'native/flush-under-ptl/irqs-on',
  'hypercall/flush-under-ptl',
];

const { systemOf, searched } = describeScenario(paeLocklessRead, {
  violates: gup.VALUE_WAS_IN_TABLE,
  golden: GOLDEN,
  pointStatesMax: DEEP ? 3000 : 1000,
});

describe('pae-lockless-read', () => {
  it.each(['cmpxchg8b', ...(DEEP ? ['native/flush-under-ptl', 'clear-counter', 'clear-counter/split-clear'] : [])])(
    '%s is right as well if the first page lies above 4 GiB',
    async (name) => {
      expect((await explore(systemOf(name, 'sc', { high: 1 }), UNCOUNTED)).verdict).toBe('safe');
    },
  );

  it.each(GOLDEN)('%s: the counterexample fits into a mail', async (name) => {
    const text = counterexampleOf(systemOf(name), await searched(name));
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(MAIL_COLUMNS);
  });
});
