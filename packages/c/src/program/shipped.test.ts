/** The litmus tests in the kernel's C that ship with `litmus`, with their observations by name of shape. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runLitmus } from '@shootdown/litmus';
import { describe, expect, it } from 'vitest';
import { linuxC } from './litmus.ts';

const folder = join(import.meta.dirname, '../../../litmus/tests');
const rows = readFileSync(join(folder, 'expected.tsv'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('linux-c/'))
  .map((line) => line.split('\t') as [file: string, observed: string]);

describe('tests/linux-c', () => {
  it.each(rows)('%s: %s', async (file, observed) => {
    const test = await linuxC.read(readFileSync(join(folder, file), 'utf8'));
    expect(runLitmus(test, { memoryModel: linuxC.memoryModel, promises: 'auto' }).observation).toBe(observed);
  });

  it('a store overtakes a load of its own thread only where it may', async () => {
    const test = await linuxC.read(readFileSync(join(folder, 'linux-c/LB+onces.litmus'), 'utf8'));
    expect(runLitmus(test, { memoryModel: 'arm', promises: 'never' }).observation).toBe('Never');
    expect(runLitmus(test, { memoryModel: 'tso', promises: 'auto' }).observation).toBe('Never');
  });
});
