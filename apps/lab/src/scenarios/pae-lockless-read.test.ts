import { explore } from '@shootdown/explorer';
import { verifyPoints } from '@shootdown/machine';
import { gup } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { visited } from './local-states.test-support.ts';
import { bothWays, counterexampleOf, rowsOf, searchOnce, systemsOf, UNCOUNTED } from './matrix.test-support.ts';
import { paeLocklessRead } from './pae-lockless-read.ts';

const MAIL_COLUMNS = 76;

const systemOf = systemsOf(paeLocklessRead);
const searched = searchOnce(systemOf);

describe('pae-lockless-read', () => {
  it.each(rowsOf(paeLocklessRead))(
    '%s on %s: %s, reduced or not',
    async (name, model, expected) => {
      const { property } = await bothWays(() => systemOf(name, model), expected, searched(name, model));
      expect(property).toBe(expected === 'safe' ? null : gup.VALUE_WAS_IN_TABLE);
    },
    20_000,
  );

  it.each(['native/flush-under-ptl', 'clear-counter', 'clear-counter/split-clear', 'cmpxchg8b'])('%s is right as well if the first page lies above 4 GiB', async (name) => {
    expect((await explore(systemOf(name, 'sc', { high: 1 }), UNCOUNTED)).verdict).toBe('safe');
  });

  it.each(['kvm-pv', 'one-replacement/above-4g', 'native/one-zapper', 'native/refault/recheck', 'native/flush-under-ptl/irqs-on', 'hypercall/flush-under-ptl'])('%s: the counterexample reads as it always did, and fits into a mail', async (name) => {
    const text = await counterexampleOf(systemOf(name), searched(name));
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(MAIL_COLUMNS);
    await expect(text).toMatchFileSnapshot(`golden/pae-lockless-read.${name.replaceAll('/', '-')}.txt`);
  });

  it.each(paeLocklessRead.variants.map((variant) => variant.name))('%s: every point of its routines says all that the future depends on', (name) => {
    const executor = visited(systemOf(name), 3000);
    expect(verifyPoints(executor.system.programs, executor.nodes)).toEqual([]);
  });
});
