import { defineOperation, nop, operation, program, routine, SystemBuilder } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { explore } from './index.ts';

const ASK = defineOperation({ name: 'ask', perform: (cx) => (cx.operationOf(1) === null ? 0 : 1) });

/** P0 looks at which operation P1 is at. */
function nosy() {
  const builder = new SystemBuilder();
  builder.processor({
    name: 'P0',
    tasks: [
      program(
        routine('asks', function* () {
          yield operation(ASK);
        }),
      ),
    ],
  });
  builder.processor({ name: 'P1', tasks: [program(routine('works', () => nop()))] });
  return builder.build();
}

describe('a step that depends on where another processor stands', () => {
  it('is refused under reduction, which cannot follow it, and explored without', async () => {
    await expect(explore(nosy(), { reduction: true })).rejects.toThrow(
      'explorer: reduction: P1 is asked which operation it is at, which reduction cannot follow: explore without it',
    );
    expect((await explore(nosy(), { reduction: false })).verdict).toBe('safe');
  });
});
