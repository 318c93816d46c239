import { STALE_TRANSLATION } from '@shootdown/mmu';
import { describeScenario } from './matrix.test-support.ts';
import { switchMmVsFlush } from './switch-mm-vs-flush.ts';

describeScenario(switchMmVsFlush, {
  violates: STALE_TRANSLATION,
  // Three CPUs: on `tso`, and without reduction, it takes a minute.
  reducedOnly: (variant) => variant === 'two-first-runs',
  deepOnly: (variant, memoryModel) => variant === 'two-first-runs' && memoryModel === 'tso',
  golden: ['before', 'stable-backport', 'bit-already-set'],
});
