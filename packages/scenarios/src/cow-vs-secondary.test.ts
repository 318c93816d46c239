import { explore } from '@shootdown/explorer';
import { secondary } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { cowVsSecondary } from './cow-vs-secondary.ts';
import { counterexampleOf, DEEP, describeScenario, UNCOUNTED } from './matrix.test-support.ts';

const { J1, J2, J6 } = secondary.SecondaryInvariant;
/** Spaces that are searched reduced only: their twins of one secondary MMU are searched in full. */
const LARGE: ReadonlySet<string> = new Set([
  'E5/guest-and-device',
  'E4/arm64-nested-bracket',
  'option-3-nested-bracket',
  'option-3-nested-bracket/leave',
  'option-3-nested-bracket/alone',
  'E2-rapoport-ro-until-notified/extra-reference',
  'E2-rapoport-ro-until-notified/extra-reference-v5.9',
  'E2-rapoport-ro-until-notified/extra-reference-v5.19',
  'E2-rapoport-ro-until-notified/other-faults',
]);
/**
 * Half a million states: by `npm run test:deep`. Their twins that are wrong, and that have one secondary MMU, are here.
 */
const isDeep = (name: string): boolean =>
  ['E2-rapoport-ro-until-notified/extra-reference-v5.9', 'E5/guest-and-device'].includes(name);
/** By `npm test`, of what else differs in the MMU behind the notifier alone, one. */
const established = (...names: readonly string[]): readonly string[] =>
  DEEP ? names : names.filter((name) => ['E0', 'E1-change-then-set', 'E4/arm64', 'E5'].includes(name));

const { systemOf, searched } = describeScenario(cowVsSecondary, {
  reducedOnly: (variant) => LARGE.has(variant),
  deepOnly: isDeep,
  golden: [
    'E1-set-then-change',
    'E2-rapoport',
    'E2-rapoport-ro-until-notified/other-faults',
    'no-notifier-on-collapse',
    'E1-change-then-set/sleeping-device',
    'E4/arm64-nested-bracket',
  ],
  live: ['E1-change-then-set', 'E5/guest-and-device', 'E4/device-tlb', 'E5/reader', 'notifier-on-collapse'],
});

describe('cow-vs-secondary', () => {
  it.each([
    ['E0/no-notifier', J2],
    ['E0/no-sequence', J2],
    ['E1-set-then-change', J2],
    ['E1-change-then-set/no-sequence', J2],
    ['E1-change-then-set/no-lock', J2],
    ['E1-change-then-set/sleeping-device', J6],
    ['E2/no-bracket', J2],
    ['E2/no-flush', J2],
    ['E2/device-tlb', J2],
    ['E2/device-tlb-zap', J1],
    ['E2-rapoport', J2],
    ['E2-rapoport-ro-until-notified/other-faults', J2],
    ['E2-rapoport-ro-until-notified/extra-reference', J2],
    ['E2-rapoport-ro-until-notified/extra-reference-v5.19', J2],
    ['E4/arm64-nested-bracket', J1],
    ['E5/no-bracket', J2],
    ['E5/reader/no-ipi', secondary.READS_GO_FORWARD],
    ['option-3-nested-bracket', J1],
    ['no-notifier-on-collapse', J1],
  ])('%s violates "%s"', async (name, property) => {
    expect((await searched(name)).property).toBe(property);
  });

  it('a callback that sleeps under the page-table lock is reported with the contract it broke', async () => {
    const name = 'E1-change-then-set/sleeping-device';
    expect(counterexampleOf(systemOf(name), await searched(name))).toContain('invalidate_page() is called');
  });

  it.each(
    established(
      'E0',
      'E1-change-then-set',
      'E2-rapoport-kvm-only',
      'E2',
      'E2/device',
      'E3/device-tlb',
      'E4',
      'E4/arm64',
      'E5',
      'option-3',
    ),
  )('%s is right as well if a fault has to map the old page first', async (name) => {
    expect((await explore(systemOf(name, 'sc', { established: 0 }), UNCOUNTED)).verdict).toBe('safe');
  });

  it.runIf(DEEP)('E5/guest-and-device as well', async () => {
    expect((await explore(systemOf('E5/guest-and-device', 'sc', { established: 0 }), UNCOUNTED)).verdict).toBe('safe');
  });
});
