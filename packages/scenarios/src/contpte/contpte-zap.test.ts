import { contpte } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteZap } from './contpte-zap.ts';

const { searched } = describeScenario(contpteZap, {
  golden: ['clear-one-without-unfold', 'ad-not-gathered'],
  pointStatesMax: 500,
  live: ['part'],
  reducedOnly: () => !DEEP,
  deepOnly: (_, model) => model === 'tso',
});

describe('contpte-zap', () => {
  it.each([
    ['clear-one-without-unfold', contpte.MISPROGRAMMED],
    ['ad-not-gathered', contpte.LOST_DIRTY],
  ])('%s: %s', async (name, property) => {
    expect((await searched(name)).property).toBe(property);
  });
});
