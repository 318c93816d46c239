import { explore } from '@shootdown/explorer';
import { FREED_FRAME } from '@shootdown/machine';
import { secondary } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { ksmVsSecondary } from './ksm-vs-secondary.ts';
import { describeScenario, UNCOUNTED } from './matrix.test-support.ts';

const { J1, J2, J4, J5 } = secondary.SecondaryInvariant;

const { systemOf } = describeScenario(ksmVsSecondary, {
  golden: ['write-protection-in-silence'],
  live: ['E1-change-then-set', 'E2-rapoport', 'E5/device', 'E5/thread'],
});

describe('ksm-vs-secondary', () => {
  it.each([
    ['write-protection-in-silence', [`${J4} (kvm)`, J2]],
    ['E1-change-then-set/keeps-permission', [`${J4} (kvm)`, J2, J5]],
    ['replacement-in-silence', [J1]],
    ['E2-rapoport/device', [`${J4} (odp)`]],
    ['E2-rapoport-no-brackets/device', [`${J4} (odp)`]],
    ['E5/thread/no-ipi', [secondary.READS_GO_FORWARD, FREED_FRAME]],
  ])('%s violates %j and nothing else', async (name, properties) => {
    const { problems } = await explore(systemOf(name), { ...UNCOUNTED, all: true });
    expect(new Set(problems.filter(({ kind }) => kind !== 'sometimes').map((problem) => problem.property))).toEqual(
      new Set(properties),
    );
  });
});
