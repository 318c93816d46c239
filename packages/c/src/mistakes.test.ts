import { describe, expect, it } from 'vitest';
import { CError } from './diagnostics.ts';
import { mistakes } from './mistakes.test-support.ts';
import { readProgram } from './program/litmus.ts';

describe('C that is wrong', () => {
  it.each(mistakes)('%s: is one line with its number', async (_, text, line, said) => {
    const error = await readProgram('f.c', text).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(CError);
    const { lines } = error as CError;
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`f.c:${line}: `);
    expect(lines[0]).toContain(said);
  });

  it('is a table of at least 60', () => {
    expect(mistakes.length).toBeGreaterThanOrEqual(60);
  });
});
