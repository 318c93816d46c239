import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteMremap } from './contpte-mremap.ts';

describeScenario(contpteMremap, {
  violates: 'mremap() makes no page writable',
  golden: ['batch-ignores-write'],
  live: ['batched'],
  pointStatesMax: 500,
  reducedOnly: () => !DEEP,
  deepOnly: (name, model) => model === 'tso' && !name.startsWith('batch-'),
});
