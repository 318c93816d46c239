import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteFault } from './contpte-fault.ts';

describeScenario(contpteFault, {
  violates: 'no livelock',
  golden: ['gathered-noop-test-no-dbm', 'set-access-flags-no-tlbi'],
  pointStatesMax: 500,
  live: ['current'],
  reducedOnly: () => !DEEP,
  deepOnly: (name, model) => model === 'tso' && !name.endsWith('cpu-only'),
});
