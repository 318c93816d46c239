import { describePage } from './docs.test-support.ts';

describePage({
  page: 'kvm-gup-fast.md',
  scenarios: ['gup-fast-vs-unmap', 'gup-fast-vs-collapse', 'pae-lockless-read', 'remote-flush', 'zap-vs-writeback'],
  counterexamples: ['gup-fast-vs-unmap.kvm-pv-call-rcu-no-recheck', 'pae-lockless-read.native-one-zapper'],
});
