import { describePage } from './docs.test-support.ts';
import { scenarios } from './index.ts';

describePage({
  page: 'contpte.md',
  scenarios: scenarios.filter(({ seed }) => seed === 'S4').map(({ name }) => name),
  counterexamples: ['contpte-unfold.bbml0-no-tlbi'],
});
