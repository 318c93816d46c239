import { BREAK_BEFORE_MAKE } from '@shootdown/mmu';
import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteUnfold } from './contpte-unfold.ts';

describeScenario(contpteUnfold, {
  violates: BREAK_BEFORE_MAKE,
  golden: ['bbml0-no-tlbi'],
  pointStatesMax: 500,
  live: ['bbml2-no-tlbi'],
  reducedOnly: () => !DEEP,
  deepOnly: (_, model) => model === 'tso',
});
