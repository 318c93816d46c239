import type { Address } from '@shootdown/machine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { wholeProgram } from './program/program.ts';
import { randomFunction } from './random-c.test-support.ts';

const deep = process.env['SHOOTDOWN_DEEP'] === '1';

/** Runs a program of one thread that touches no shared memory. */
async function resultOf(text: string): Promise<readonly [number, number]> {
  const program = await wholeProgram('f.c', text, () => ['low', 'high']);
  const steps = program.threads[0]?.start({
    addressOf: (word) => word as Address,
    section: (thread) => thread as Address,
    races: null,
    dependencies: false,
  });
  if (!steps) throw new Error('no thread');
  return finished(steps);
}

/** Marks are heard and forgotten; a call is performed at once. */
function finished(steps: Generator<unknown, unknown, never>): readonly [number, number] {
  const run = (inner: Generator<unknown, unknown, never>): unknown => {
    let given: unknown;
    for (;;) {
      const next = inner.next(given as never);
      if (next.done) return next.value;
      const mark = next.value as { readonly mark: string; readonly steps?: Generator<unknown, unknown, never> };
      if (mark.mark === 'fail') throw new Error(JSON.stringify(mark));
      given = mark.mark === 'call' && mark.steps ? run(mark.steps) : 0;
    }
  };
  const { low = 0, high = 0 } = run(steps) as Record<string, number>;
  return [low, high];
}

describe('random C', () => {
  it('gives what an interpreter of its own gives', { timeout: 600_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(randomFunction, async ({ text, result }) => {
        expect(await resultOf(text)).toEqual(result);
      }),
      { numRuns: deep ? 5_000 : 150, ...(!deep && { seed: 20_261_128 }) },
    );
  });
});
