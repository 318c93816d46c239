import { DEEP, describeScenario } from '../matrix.test-support.ts';
import { contpteFork } from './contpte-fork.ts';

describeScenario(contpteFork, {
  violates: 'once fork() has returned nobody writes to what parent and child share',
  golden: ['whole/no-flush'],
  live: ['edges'],
  pointStatesMax: 500,
  reducedOnly: () => !DEEP,
  deepOnly: (_, model) => model === 'tso',
});
