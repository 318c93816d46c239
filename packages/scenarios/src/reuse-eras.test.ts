/**
 * What decides whether a write fault copies (map count, reference count, `PageAnonExclusive`) decides no verdict of
 * `cow-vs-secondary` but those of an extra reference, which have an era each.
 */
import { explore } from '@shootdown/explorer';
import type { ReuseEra } from '@shootdown/mm';
import { expect, it } from 'vitest';
import { cowVsSecondary } from './cow-vs-secondary.ts';
import { DEEP } from './matrix.test-support.ts';

const ERAS: readonly ReuseEra[] = ['map count', 'reference count', 'PageAnonExclusive'];
const QUICK: readonly string[] = ['E1-set-then-change', 'E5/reader'];

const variants = cowVsSecondary.variants
  .filter(({ name }) => !name.includes('extra-reference'))
  .filter(({ name }) => DEEP || QUICK.includes(name));

it.each(variants)('$name: the same verdict in every era', async (variant) => {
  const found = new Set<string>();
  for (const reuse of ERAS) {
    const system = cowVsSecondary.build({
      variant: { ...variant, reuse },
      memoryModel: 'sc',
      parameters: { established: 1 },
    });
    const { verdict, property, complete } = await explore(system, { interleavingsStatesMax: 0 });
    found.add(`${verdict}, ${property ?? 'complete'}${verdict === 'safe' && !complete ? ' in part' : ''}`);
  }
  expect([...found]).toHaveLength(1);
});
