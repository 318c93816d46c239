import { describePage } from '../docs.test-support.ts';
import * as scenarios from './index.ts';

describePage({
  page: 'lazy-mmu.md',
  scenarios: Object.values(scenarios).map(({ name }) => name),
  counterexamples: [],
});
