import { isLimit, LimitError, ModelError, nop, type Steps } from '@shootdown/machine';
import { expect, it } from 'vitest';
import { said } from './kernel-call.ts';

it('a limit that the scenario’s code meets stays one, with the line that has called it', () => {
  const thread = { loaded: { program: { files: 1 } } } as Parameters<typeof said>[0];
  const meets = (error: Error): unknown => {
    try {
      const steps = said(thread, { file: 'my.c', line: 7 }, function* (): Steps {
        yield* nop();
        throw error;
      })[Symbol.iterator]();
      steps.next(0);
      steps.next(0);
    } catch (thrown) {
      return thrown;
    }
    return null;
  };
  const limit = meets(new LimitError('wire: send: channel is full'));
  expect([isLimit(limit), (limit as Error).message]).toEqual([true, 'my.c:7: wire: send: channel is full']);
  expect(isLimit(meets(new ModelError('no such page')))).toBe(false);
});
