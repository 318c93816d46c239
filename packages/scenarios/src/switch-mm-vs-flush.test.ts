import { STALE_TRANSLATION } from '@shootdown/mmu';
import { describeScenario } from './matrix.test-support.ts';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';

describeScenario(switchMmVsFlush, {
  violates: STALE_TRANSLATION,
  golden: ['before', 'stable-backport', 'bit-already-set'],
});
