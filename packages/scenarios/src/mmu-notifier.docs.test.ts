import { describePage } from './docs.test-support.ts';

describePage({
  page: 'mmu-notifier.md',
  scenarios: ['cow-vs-secondary', 'kvm-fault-vs-invalidate', 'ksm-vs-secondary', 'ksm-vs-gup', 'secondary-tlb-order'],
  counterexamples: ['cow-vs-secondary.E2-rapoport', 'cow-vs-secondary.E2-rapoport-ro-until-notified-other-faults'],
});
