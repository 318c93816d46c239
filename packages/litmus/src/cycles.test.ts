/** Tests that nobody has seen: random critical cycles, whose answers follow from a rule of the architecture. */
import { Random } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { cycleTest } from './cycles.test-support.ts';
import { readLitmus } from './registry.ts';
import { runLitmus } from './run.ts';

const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
const TESTS = DEEP ? 3_000 : 60;

describe('random critical cycles', () => {
  it('are answered as Arm does', async () => {
    const wrong: string[] = [];
    const answers = new Set<string>();
    for (let seed = 0; seed < TESTS; seed++) {
      const { text, observation } = cycleTest(new Random(seed));
      const found = runLitmus(await readLitmus(text), { memoryModel: 'arm', promises: 'auto' }).observation;
      answers.add(observation);
      if (found !== observation) wrong.push(`${found}, expected ${observation}:\n${text}`);
    }
    expect(wrong).toEqual([]);
    expect([...answers].sort()).toEqual(['Never', 'Sometimes']);
  });

  it('have the same outcomes without the canonical form, and no more without promises', async () => {
    for (let seed = 0; seed < TESTS / 4; seed++) {
      const test = await readLitmus(cycleTest(new Random(seed)).text);
      const texts = (canonical: boolean, promises: 'auto' | 'never'): string[] =>
        runLitmus(test, { memoryModel: 'arm', canonical, promises })
          .outcomes.map(({ text }) => text)
          .sort();
      const plain = texts(true, 'never');
      expect(texts(false, 'never')).toEqual(plain);
      expect(texts(true, 'auto')).toEqual(expect.arrayContaining(plain));
    }
  });
});
