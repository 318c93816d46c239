import { describeScenario } from '../matrix.test-support.ts';
import * as scenarios from './index.ts';

const golden: Readonly<Record<string, readonly string[]>> = {
  'lazy-fork': ['xen-pv', 's390-raw-pointer'],
  'lazy-pagemap-scan': ['flush-before-leave'],
  'lazy-migration': ['sparc64-before-a1d416bf9faf'],
  'lazy-softirq': ['arm64-before-b81c688426a9'],
  'lazy-order': ['xen-queued-store-vs-xchg'],
};

for (const scenario of Object.values(scenarios)) describeScenario(scenario, { golden: golden[scenario.name] ?? [] });
