import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteMprotect } from './contpte-mprotect.ts';

describeScenario(contpteMprotect, {
  violates: 'no page that another process has too becomes writable',
  golden: ['batch-anon-exclusive'],
  live: ['half'],
  pointStatesMax: 500,
  reducedOnly: () => !DEEP,
  deepOnly: (name, model) => model === 'tso' && !name.startsWith('half-'),
});
