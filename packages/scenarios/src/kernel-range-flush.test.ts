import { describeScenario } from './matrix.test-support.ts';
import { kernelRangeFlush } from './kernel-range-flush.ts';

describeScenario(kernelRangeFlush, { golden: ['x86/cpus-of-the-mm', 'x86/cr3-reload'] });
