import { explore } from '@shootdown/explorer';
import { filemap } from '@shootdown/mm';
import { describe, expect, it } from 'vitest';
import { describeScenario, MODELS, UNCOUNTED } from './matrix.test-support.ts';
import { zapVsWriteback } from './zap-vs-writeback.ts';

const { LOST_DIRTY } = filemap;
const { systemOf } = describeScenario(zapVsWriteback, {
  violates: LOST_DIRTY,
  golden: ['v3.15', 'v6.2/flush-after-ptl'],
  live: ['v6.2'],
  liveModels: MODELS,
});

describe('zap-vs-writeback', () => {
  it.each(['v3.15', 'v6.2/flush-after-ptl'])(
    '%s violates nothing else: the folio is dropped too early, or nobody ever learns of the write',
    async (name) => {
      const { problems } = await explore(systemOf(name), { ...UNCOUNTED, all: true });
      expect(new Set(problems.map(({ property, kind }) => `${kind}: ${property}`))).toEqual(
        new Set([`step: ${LOST_DIRTY}`, `finally: ${LOST_DIRTY}`]),
      );
    },
  );
});
