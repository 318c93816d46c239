/**
 * A variable of the user's module that its routines share is set for good when anything has run: no verdict rests on
 * it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAll, type Case, type Said } from './fuzz/driver.test-support.ts';

/** One CPU says that it is done, when it has cleared a word; the other reads the word only as long as nobody has. */
const scenario = (flag: string, set: string, read: string): string => `
import { assertThat, load, program, routine, store, SystemBuilder } from '@shootdown/machine';
${flag}
const clear = routine('clear', function* (w) {
  yield* store(w.at(0), 1);
  ${set}
  yield* store(w.at(1), 1);
});
const walk = routine('walk', function* (w) {
  for (let i = 0; i < 4; i++) yield* load(w.at(2));
  if (${read}) yield* assertThat((yield* load(w.at(0))) === 0, 'nobody reads what is cleared');
});
export const mine = { name: 'mine', title: 't',
  variants: [{ name: 'v', expected: 'violation', source: 'derived', summary: 's' }],
  build() {
    const builder = new SystemBuilder();
    const w = builder.region('w', 3);
    builder.processor({ name: 'CPU0', tasks: [program(clear, w)] });
    builder.processor({ name: 'CPU1', tasks: [program(walk, w)] });
    return builder.build();
  } };
`;
const own = scenario('let cleared = false;', 'cleared = true;', '!cleared');
const helped = scenario(`import { state } from './state.mjs';`, 'state.cleared++;', 'state.cleared === 0');
const honest = scenario('let runs = 0;', 'runs++;', 'true');
describe('a variable of a module', () => {
  let folder = '';
  let said: Readonly<Record<string, Said>> = {};
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'shootdown-shared-'));
    const files: Readonly<Record<string, string>> = {
      'own.ts': own,
      'helped.mjs': helped,
      'state.mjs': 'export const state = { cleared: 0 };',
      'honest.ts': honest,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const lines: Readonly<Record<string, readonly string[]>> = {
      'own.ts': ['explore', 'own.ts'],
      'helped.mjs': ['explore', 'helped.mjs'],
      'depth first': ['explore', 'own.ts', '--search', 'dfs', '--verify-points'],
      fuzz: ['explore', 'own.ts', '--fuzz', 'random', '--runs', '5'],
      check: ['check', 'own.ts'],
      honest: ['explore', 'honest.ts'],
    };
    const cases: Case[] = Object.values(lines).map((words) => ({
      args: words.map((word) => (word in files ? join(folder, word) : word)),
      name: 'unused',
      base64: '',
    }));
    const results = await runAll(folder, cases);
    said = Object.fromEntries(Object.keys(lines).map((name, i) => [name, results[i] as Said]));
  }, 240_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(['own.ts', 'helped.mjs', 'depth first', 'fuzz', 'check'])('is one line, and invalid: %s', (name) => {
    const { status, stderr, stdout } = said[name] as Said;
    // Above it, a slow computer says how far it is.
    const last = stderr.trimEnd().split('\n').at(-1) ?? '';
    expect(last).toMatch(/^routine: walk: step 4: not deterministic: .* when run again with the same results/);
    expect(stdout).not.toMatch(/SAFE|VIOLATION/);
    expect(status).toBe(10);
  });

  it('that nobody reads changes nothing', () => {
    expect(said['honest']).toMatchObject({ status: 12, stderr: '' });
  });
});
