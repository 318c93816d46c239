import { describePage } from './docs.test-support.ts';

describePage({
  page: 'kvm-pv-flush.md',
  scenarios: ['kvm-pv-flush', 'switch-mm-vs-flush'],
  counterexamples: ['kvm-pv-flush.read-then-clear'],
});
