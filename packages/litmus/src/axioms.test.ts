/**
 * The machine against the axioms of the architecture, which know nothing of it: random tests with page tables, all
 * their final states. Seeds are fixed.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Random } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { readInitial, readPrograms } from './aarch64/front-end.ts';
import { judge, type Judged } from './axioms.test-support.ts';
import { Unsupported } from './errors.ts';
import type { LitmusTest } from './litmus-test.ts';
import { readLitmus } from './registry.ts';
import { runLitmus, textOf, type RunOptions } from './run.ts';
import { cutLitmus } from './source.ts';
import { vmsaProgram } from './vmsa-programs.test-support.ts';

const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
const TESTS = DEEP ? 3_000 : 30;

async function judged(text: string): Promise<Omit<Judged, 'ets2'>> {
  const source = cutLitmus(text);
  const programs = readPrograms(source);
  return { test: await readLitmus(text), programs, ...readInitial(source.init, programs.length) };
}

const machine = (test: LitmusTest, options: Omit<RunOptions, 'memoryModel'>): string[] =>
  runLitmus(test, { memoryModel: 'arm', ...options })
    .outcomes.map(({ text }) => text)
    .sort();

describe('the axioms', () => {
  const folder = join(import.meta.dirname, '../tests');
  const rows = readFileSync(join(folder, 'expected.tsv'), 'utf8')
    .split('\n')
    .filter((line) => /^(?:aarch64|vmsa)\//.test(line))
    .map((line) => line.split('\t') as [file: string, observed: string, withEts2: string]);

  it('give the tests that ship the answers that ship', async () => {
    const wrong: string[] = [];
    let asked = 0;
    for (const [file, observed, withEts2] of rows) {
      const text = readFileSync(join(folder, file), 'utf8');
      const test = await judged(text);
      if (/^TTHM/m.test(text)) continue;
      for (const [ets2, expected] of [
        [false, observed],
        [true, withEts2],
      ] as const) {
        const answer = answerOf({ ...test, ets2 });
        if (answer === null) continue;
        asked++;
        if (answer !== expected) wrong.push(`${file}, ets2 ${ets2}: ${answer}, expected ${expected}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(150);
  });

  /** Null: the axioms here do not speak of something in it. */
  function answerOf(test: Judged): string | null {
    try {
      return judge(test).observation;
    } catch (error) {
      if (error instanceof Unsupported) return null;
      throw error;
    }
  }
});

describe('random tests with page tables', () => {
  const seeds = Array.from({ length: TESTS }, (_, seed) => seed);
  /** With and without ETS2 in turn. */
  const hasEts2 = (seed: number): boolean => seed % 2 === 1;

  it('end on the machine as the axioms say, as long as no store overtakes an earlier load', async () => {
    const wrong: string[] = [];
    let outcomes = 0;
    for (const seed of seeds) {
      const text = vmsaProgram(new Random(seed));
      const ets2 = hasEts2(seed);
      const test = await judged(text);
      const expected = [...judge({ ...test, ets2 }).inOrder].sort();
      const found = machine(test.test, { ets2, promises: 'never' });
      outcomes += found.length;
      if (found.join('\n') !== expected.join('\n'))
        wrong.push(`seed ${seed}:\n${found.join('\n')}\nexpected:\n${expected.join('\n')}\n${text}`);
    }
    expect(wrong).toEqual([]);
    expect(outcomes).toBeGreaterThan(2 * TESTS);
  });

  it('reach what is left if one does', async () => {
    const missed: string[] = [];
    let asked = 0;
    for (const seed of seeds) {
      const ets2 = hasEts2(seed);
      const test = await judged(vmsaProgram(new Random(seed)));
      const { allowed, inOrder } = judge({ ...test, ets2 });
      for (const text of allowed) {
        if (inOrder.has(text)) continue;
        asked++;
        const formula = { holds: (state: Parameters<typeof textOf>[1]) => textOf(test.test, state) === text };
        const exactly = { ...test.test, condition: { ...test.test.condition, formula } };
        if (!machine(exactly, { ets2, promises: 'auto' }).includes(text)) missed.push(`seed ${seed}: ${text}`);
      }
    }
    expect(missed).toEqual([]);
    expect(asked).toBeGreaterThan(0);
  });
});
