import { STALE_TRANSLATION } from '@shootdown/mmu';
import { describeScenario } from './matrix.test-support.ts';
import { twoFlushes } from './two-flushes.ts';

describeScenario(twoFlushes, {
  violates: STALE_TRANSLATION,
  reducedOnly: (variant) => !variant.includes('hyper-v') && !variant.includes('invlpgb'),
  deepOnly: (variant, model) => model === 'tso' && ['two-pages', 'same-page'].includes(variant),
  golden: ['two-pages/tlb-gen-read-again', 'same-page/nested-gather-ignored'],
});
