import { contpte } from '@shootdown/mm';
import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteLockless } from './contpte-lockless.ts';

describeScenario(contpteLockless, {
  violates: contpte.INCONSISTENT,
  golden: ['no-restart'],
  live: ['early-exit-2025'],
  pointStatesMax: 500,
  reducedOnly: () => !DEEP,
  deepOnly: (_, model) => model === 'tso',
});
