import { runLitmus } from '@shootdown/litmus';
import { ModelError } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { CError } from './diagnostics.ts';
import { mistakes } from './mistakes.test-support.ts';
import { readProgram } from './program/litmus.ts';

/** Reads a program and runs it: some mistakes are seen only then. */
async function run(text: string): Promise<void> {
  runLitmus(await readProgram('f.c', text), { memoryModel: 'sc', statesMax: 1000 });
}

describe('C that is wrong', () => {
  it.each(mistakes)('%s: is one line with its number', async (_, text, line, said) => {
    const error = await run(text).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(ModelError);
    const lines = error instanceof CError ? error.lines : [(error as ModelError).message];
    expect(lines).toHaveLength(1);
    expect(lines[0]?.split('\n')).toHaveLength(1);
    expect(lines[0]).toContain(`f.c:${line}: `);
    expect(lines[0]).toContain(said);
  });

  it('is a table of at least 60', () => {
    expect(mistakes.length).toBeGreaterThanOrEqual(60);
  });
});
