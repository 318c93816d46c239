import { BREAK_BEFORE_MAKE } from '@shootdown/mmu';
import { describeScenario, MODELS } from '../matrix.test-support.ts';
import { breakBeforeMake } from './break-before-make.ts';

describeScenario(breakBeforeMake, {
  violates: BREAK_BEFORE_MAKE,
  golden: ['address-by-cmpxchg'],
  live: ['address-by-break-before-make'],
  liveModels: MODELS,
});
