import { contpte } from '@shootdown/mm';
import { DEEP, describeScenario, MODELS } from '../matrix.test-support.ts';
import { contpteFold } from './contpte-fold.ts';

describeScenario(contpteFold, {
  violates: contpte.MISPROGRAMMED,
  golden: ['across-folios'],
  pointStatesMax: 500,
  live: ['one-folio'],
  liveModels: MODELS,
  reducedOnly: (name) => !DEEP && name === 'one-folio',
});
