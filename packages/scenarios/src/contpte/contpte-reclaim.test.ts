import { contpte } from '@shootdown/mm';
import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteReclaim } from './contpte-reclaim.ts';

describeScenario(contpteReclaim, {
  violates: contpte.PAST_TABLE,
  golden: ['batch-past-table'],
  live: ['batched'],
  pointStatesMax: 500,
  reducedOnly: () => !DEEP,
  deepOnly: (_, model) => model === 'tso',
});
