import { explore } from '@shootdown/explorer';
import { FREED_FRAME } from '@shootdown/machine';
import { gup, secondary } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { ksmVsGup } from './ksm-vs-gup.ts';
import { ksmVsSecondary } from './ksm-vs-secondary.ts';
import { bothWays, counterexampleOf, expectAgreement, expectPoints, rowsOf, searchOnce, systemsOf, UNCOUNTED } from './matrix.test-support.ts';
import { secondaryTlbOrder } from './secondary-tlb-order.ts';

const { J1, J2, J4, J5 } = secondary.SecondaryInvariant;

const mergeOf = systemsOf(ksmVsSecondary);
const orderOf = systemsOf(secondaryTlbOrder);
const [merged, ordered] = [searchOnce(mergeOf), searchOnce(orderOf)];

describe('ksm-vs-secondary', () => {
  it.each(rowsOf(ksmVsSecondary))('%s on %s: %s, reduced or not', async (name, model, expected) => {
    await bothWays(() => mergeOf(name, model), expected, merged(name, model));
  });

  it.each([
    ['write-protection-in-silence', [`${J4} (kvm)`, J2]],
    ['E1-change-then-set/keeps-permission', [`${J4} (kvm)`, J2, J5]],
    ['replacement-in-silence', [J1]],
    ['E2-rapoport/device', [`${J4} (odp)`]],
    ['E2-rapoport-no-brackets/device', [`${J4} (odp)`]],
    ['E5/thread/no-ipi', [secondary.READS_GO_FORWARD, FREED_FRAME]],
  ])('%s violates %j and nothing else', async (name, properties) => {
    const { problems } = await explore(mergeOf(name), { ...UNCOUNTED, all: true });
    expect(new Set(problems.filter(({ kind }) => kind !== 'sometimes').map((problem) => problem.property))).toEqual(new Set(properties));
  });

  it('write-protection-in-silence: the counterexample reads as it always did', async () => {
    await expect(await counterexampleOf(mergeOf('write-protection-in-silence'), merged('write-protection-in-silence'))).toMatchFileSnapshot('golden/ksm-vs-secondary.write-protection-in-silence.txt');
  });

  it.each(ksmVsSecondary.variants.map((variant) => variant.name))('%s: every point of its routines says all that the future depends on', (name) => {
    expectPoints(mergeOf(name));
  });

  it.each(['E1-change-then-set', 'E2-rapoport', 'E5/device', 'E5/thread'])('%s runs the same with live actors', (name) => {
    expectAgreement(mergeOf(name));
  });
});

describe('secondary-tlb-order', () => {
  it.each(rowsOf(secondaryTlbOrder))('%s on %s: %s', async (name, model, expected) => {
    const { verdict, complete } = await ordered(name, model);
    expect([verdict, complete]).toEqual([expected, expected === 'safe']);
  });

  it('notify-at-end-only shows the device the newer store without the older one', async () => {
    expect((await ordered('notify-at-end-only')).property).toMatch(/^a device that reads the newer/);
    await expect(await counterexampleOf(orderOf('notify-at-end-only'), ordered('notify-at-end-only'))).toMatchFileSnapshot('golden/secondary-tlb-order.notify-at-end-only.txt');
  });

  it('a device whose translation nobody upgrades faults for ever', async () => {
    expect((await ordered('upgrade/notify-under-ptl')).property).toBe(secondary.FAULTS_ONCE);
  });

  it.each(secondaryTlbOrder.variants.map((variant) => variant.name))('%s: every point of its routines says all that the future depends on', (name) => {
    expectPoints(orderOf(name));
  });

  it.each(['notify-under-ptl', 'ksm/notify-at-end-only', 'upgrade/notify-with-flush'])('%s runs the same with live actors', (name) => {
    expectAgreement(orderOf(name));
  });
});

describe('ksm-vs-gup', () => {
  const pinOf = systemsOf(ksmVsGup);

  it.each(rowsOf(ksmVsGup))('%s on %s: %s, reduced or not', async (name, model, expected) => {
    const { property } = await bothWays(() => pinOf(name, model), expected);
    expect(property).toBe(expected === 'safe' ? null : gup.Invariant.I3);
  });

  it('no-recheck: the counterexample reads as it always did', async () => {
    await expect(await counterexampleOf(pinOf('no-recheck'))).toMatchFileSnapshot('golden/ksm-vs-gup.no-recheck.txt');
  });

  it.each(ksmVsGup.variants.map((variant) => variant.name))('%s: every point of its routines says all that the future depends on', (name) => {
    expectPoints(pinOf(name));
  });
});
