import { describeScenario } from './matrix.test-support.ts';
import { lazyTlbVsFlush } from './lazy-tlb-vs-flush.ts';

describeScenario(lazyTlbVsFlush, {
  golden: ['comes-back/is-lazy-not-cleared', 'freed-tables/lazy-skipped', 'invlpgb/transition'],
});
