import { describePage } from './docs.test-support.ts';

describePage({
  page: 'tlb-flush.md',
  scenarios: ['lazy-tlb-vs-flush', 'two-flushes', 'same-word', 'kernel-range-flush', 'riscv-new-mapping'],
  counterexamples: [
    'lazy-tlb-vs-flush.comes-back-is-lazy-not-cleared',
    'riscv-new-mapping.fence-in-fault-two-harts-load-and-store',
  ],
});
