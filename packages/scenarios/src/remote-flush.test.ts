import { STALE_TRANSLATION } from '@shootdown/mmu';
import { describeScenario, MODELS } from './matrix.test-support.ts';
import { remoteFlush } from './remote-flush.ts';

describeScenario(remoteFlush, {
  violates: STALE_TRANSLATION,
  golden: ['invlpgb/no-tlbsync', 'transition/no-wait', 'transition/bit-already-set'],
  live: ['hyper-v/refused', 'transition'],
  liveModels: MODELS,
});
