/** The store buffers of the machine against the axioms of x86-TSO: random tests, all their final states. */
import { Random } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { readLitmus } from './registry.ts';
import { runLitmus } from './run.ts';
import { tsoTest } from './tso-axioms.test-support.ts';

const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
const TESTS = DEEP ? 5_000 : 40;

describe('random tests of x86', () => {
  it('end as the axioms of x86-TSO say', async () => {
    const wrong: string[] = [];
    let relaxed = 0;
    for (let seed = 0; seed < TESTS; seed++) {
      const { text, allowed } = tsoTest(new Random(seed));
      const test = await readLitmus(text);
      const [onTso, onSc] = (['tso', 'sc'] as const).map((memoryModel) =>
        runLitmus(test, { memoryModel })
          .outcomes.map((outcome) => outcome.text)
          .sort(),
      );
      if (onTso?.join('\n') !== allowed.join('\n'))
        wrong.push(`seed ${seed}: ${onTso?.join('\n')}\nexpected:\n${allowed.join('\n')}\n${text}`);
      if (onTso?.length !== onSc?.length) relaxed++;
    }
    expect(wrong).toEqual([]);
    // Tests that store buffers make no difference to would show nothing.
    expect(relaxed).toBeGreaterThan(TESTS / 20);
  });
});
