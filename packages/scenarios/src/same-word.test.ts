import { describeScenario } from './matrix.test-support.ts';
import { sameWord } from './same-word.ts';

describeScenario(sameWord, {
  reducedOnly: (variant) => variant === 'cpumask',
  deepOnly: (variant, model) => variant === 'cpumask' && model === 'tso',
});
