import { describeScenario } from './matrix.test-support.ts';
import { riscvNewMapping } from './riscv-new-mapping.ts';

describeScenario(riscvNewMapping, {
  violates: 'the kernel does not fault on a page that it has mapped',
  golden: ['no-fence', 'fence-in-fault/two-harts-load-and-store'],
});
