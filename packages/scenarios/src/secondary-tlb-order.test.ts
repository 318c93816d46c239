import { secondary } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { describeScenario } from './matrix.test-support.ts';
import { secondaryTlbOrder } from './secondary-tlb-order.ts';

const { searched } = describeScenario(secondaryTlbOrder, {
  reducedOnly: () => true,
  golden: ['notify-at-end-only'],
  live: ['notify-under-ptl', 'ksm/notify-at-end-only', 'upgrade/notify-with-flush'],
});

describe('secondary-tlb-order', () => {
  it('notify-at-end-only shows the device the newer store without the older one', async () => {
    expect((await searched('notify-at-end-only')).property).toMatch(/^a device that reads the newer/);
  });

  it('a device whose translation nobody upgrades faults for ever', async () => {
    expect((await searched('upgrade/notify-under-ptl')).property).toBe(secondary.FAULTS_ONCE);
  });
});
