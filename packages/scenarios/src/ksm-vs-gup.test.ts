import { gup } from '@shootdown/mm';
import { ksmVsGup } from './ksm-vs-gup.ts';
import { describeScenario } from './matrix.test-support.ts';

describeScenario(ksmVsGup, { violates: gup.Invariant.I3, golden: ['no-recheck'] });
