import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteYoung } from './contpte-young.ts';

describeScenario(contpteYoung, {
  golden: ['clean-old-nonatomic', 'byte-length'],
  live: ['current'],
  pointStatesMax: 500,
  reducedOnly: () => !DEEP,
  deepOnly: (_, model) => model === 'tso',
});
