import { describePage } from './docs.test-support.ts';
import { describeScenario } from './matrix.test-support.ts';
import { smeDvmsyncErratum } from './sme-dvmsync-erratum.ts';

describeScenario(smeDvmsyncErratum, { reducedOnly: () => true });

describePage({ page: 'arm.md', scenarios: ['sme-dvmsync-erratum'], counterexamples: [] });
