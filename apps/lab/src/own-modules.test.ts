/**
 * Scenarios of the user's own, outside this repository: TypeScript and JavaScript, checked, explored with workers, and
 * one to begin with.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAll, type Case, type Said } from './fuzz/driver.test-support.ts';

const root = new URL('../../../', import.meta.url).pathname;

/** Two scenarios, with what only TypeScript has and a module beside them. */
const source = `
import type { Scenario } from '@shootdown/explorer';
import { load, program, routine, smp_mb, store, SystemBuilder, type Region } from '@shootdown/machine';
import { WORDS } from './words';
enum Side { left, right }
const side = routine('side', function* (w: Region, me: Side, seen: Region, barrier: boolean) {
  yield* store(w.at(me), 1);
  if (barrier) yield* smp_mb();
  yield* store(seen.at(me), 1 + (yield* load(w.at(1 - me))));
});
const scenario = (name: string, plain: 'safe' | 'violation'): Scenario => ({
  name, title: 'store buffering',
  variants: [
    { name: 'plain', expected: { sc: 'safe', tso: plain }, source: 'derived', summary: 'no barrier' },
    { name: 'mb', expected: 'safe', source: 'derived', summary: 'barriers' },
  ],
  build({ variant, memoryModel }) {
    const b = new SystemBuilder({ memoryModel });
    const [w, seen] = [b.region('w', WORDS), b.region('seen', WORDS)];
    for (const me of [Side.left, Side.right])
      b.processor({ name: 'CPU' + me, tasks: [program(side, w, me, seen, variant.name === 'mb')] });
    b.property({ name: 'one sees the other', kind: 'finally', why: 'a lock is built on it',
      reads: [seen.at(0), seen.at(1)], check: (read) => read(seen.at(0)) !== 1 || read(seen.at(1)) !== 1 });
    return b.build();
  },
});
export const right = scenario('right', 'violation'), wrong = scenario('wrong', 'safe');
`;

const javaScript = `
import { nop, program, routine, SystemBuilder } from '@shootdown/machine';
export const rests = { name: 'rests', title: 'nothing happens',
  variants: [{ name: 'v', expected: 'safe', source: 'derived', summary: 's' }],
  build() {
    const builder = new SystemBuilder({ memoryModel: 'sc' });
    builder.processor({ name: 'CPU0', tasks: [program(routine('r', () => nop()))] });
    return builder.build();
  } };
`;

/** A helper in a module beside it, whose steps nobody performs; and the machine by its path, of which there is one. */
const forgetful = `
import { program, routine, SystemBuilder, type Region, type Steps } from '@shootdown/machine';
import { clear } from './clear';
const task = routine('task', function* (w: Region): Steps { clear(w, 0); });
export const forgets = { name: 'forgets', title: 'a yield* is forgotten',
  variants: [{ name: 'v', expected: 'safe', source: 'derived', summary: 's' }],
  build() {
    const builder = new SystemBuilder({ memoryModel: 'sc' });
    builder.processor({ name: 'CPU0', tasks: [program(task, builder.region('w', 1))] });
    return builder.build();
  } };
`;
const helper = `
import { store, type Region, type Steps } from ${JSON.stringify(join(root, 'packages/machine/dist/index.js'))};
export function* clear(w: Region, i: number): Steps { yield* store(w.at(i), 0); }
`;

describe('a module outside the repository', () => {
  let folder = '';
  let said: Readonly<Record<string, Said>> = {};
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'shootdown-own-'));
    writeFileSync(join(folder, 'words.ts'), 'export const WORDS: number = 2;');
    writeFileSync(join(folder, 'mine.ts'), source);
    const mine = join(folder, 'mine.ts');
    const lines: Readonly<Record<string, Case['args']>> = {
      explored: ['explore', `${mine}#right`, '--memory-model', 'tso', '--workers', '2', '--json'],
      checked: ['check', `${mine}#right`],
      all: ['check', mine, '--json'],
      bounded: ['check', `${mine}#right`, '--variant', 'mb', '--max-states', '5'],
      onArm: ['check', `${mine}#right`, '--memory-model', 'arm'],
      noVariant: ['check', `${mine}#right`, '--variant', 'bm'],
      list: ['list', mine, '--json'],
      replayed: ['replay', `${mine}#right`, '--variant', 'plain', '--schedule', '0'],
      forgets: ['explore', join(folder, 'forgets.ts')],
      badType: ['explore', 'bad.ts'].map((word) => (word === 'bad.ts' ? join(folder, 'bad.ts') : word)),
    };
    writeFileSync(join(folder, 'forgets.ts'), forgetful);
    writeFileSync(join(folder, 'clear.ts'), helper);
    writeFileSync(join(folder, 'bad.ts'), 'export const x = 1;\nexport const y: = 2;\n');
    const cases: Case[] = Object.values(lines).map((args) => ({ args, name: 'unused', base64: '' }));
    cases.push({ args: ['explore', 'FILE'], name: 'plain.mjs', base64: Buffer.from(javaScript).toString('base64') });
    const results = await runAll(folder, cases);
    said = Object.fromEntries([...Object.keys(lines), 'javaScript'].map((name, i) => [name, results[i] as Said]));
  }, 240_000);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const of = (name: string): Said => said[name] as Said;

  it('is explored as it is written, by worker threads too', () => {
    expect(JSON.parse(of('explored').stdout)).toMatchObject({
      scenario: 'right',
      variant: 'plain',
      verdict: 'violation',
    });
    expect(of('explored').stderr).toContain('variant plain, one of 2 (--variant takes another)\n');
    expect(of('replayed').status).toBe(0);
    expect(of('javaScript')).toMatchObject({ status: 0, stdout: expect.stringContaining('SAFE') as string });
  });

  it('is checked: a line per variant and memory model, and an exit code for all of them', () => {
    expect(of('checked').status).toBe(0);
    expect(
      of('checked')
        .stdout.split('\n')
        .slice(1, 5)
        .map((line) => line.split(/ {2,}/).slice(0, 4)),
    ).toEqual([
      ['right / plain', 'sc', 'safe', 'safe'],
      ['right / plain', 'tso', 'violation', 'violation'],
      ['right / mb', 'sc', 'safe', 'safe'],
      ['right / mb', 'tso', 'safe', 'safe'],
    ]);
    expect(of('all').status).toBe(12);
    const rows = JSON.parse(of('all').stdout) as { scenario: string; agrees: boolean }[];
    expect(rows).toHaveLength(8);
    expect(rows.filter(({ agrees }) => !agrees)).toMatchObject([
      { scenario: 'wrong', variant: 'plain', memoryModel: 'tso' },
    ]);
    expect(of('bounded')).toMatchObject({ status: 2, stdout: expect.stringContaining('2 bounded') as string });
    expect(of('noVariant')).toMatchObject({ status: 10, stdout: '' });
    expect(of('checked').stdout).toMatch(/\nnot on arm: 2 variants name no verdict for it\n$/);
    expect(of('onArm')).toMatchObject({ status: 10, stdout: '' });
    expect(of('onArm').stderr).toMatch(/^check: .*: no variant says what is expected on arm: write expected: /);
  });

  it('is listed, with all of its scenarios', () => {
    expect(JSON.parse(of('list').stdout)).toMatchObject([{ scenario: 'right' }, { scenario: 'wrong' }]);
  });

  it('in which a yield* is forgotten is refused, and with it what is beside it', () => {
    expect(of('forgets')).toMatchObject({ status: 10, stdout: '' });
    expect(of('forgets').stderr).toContain('routine: task: step 0: clear() was made and never begun');
  });

  it('that is no TypeScript is refused with the place', () => {
    expect(of('badType')).toMatchObject({ status: 10, stdout: '' });
    expect(of('badType').stderr).toMatch(/^scenario: .*bad\.ts: cannot be loaded \(line 2, column 17: .*\)\n$/);
  });
});

it('shootdown init writes a scenario and a test that run as they are, and overwrites nothing', () => {
  const folder = mkdtempSync(join(tmpdir(), 'shootdown-init-'));
  const home = join(folder, 'my scenarios');
  const init = () =>
    spawnSync(process.execPath, [join(root, 'apps/lab/bin/shootdown.mjs'), 'init', home], { encoding: 'utf8' });
  expect(init()).toMatchObject({ status: 0, stderr: '' });
  expect(readdirSync(home).toSorted()).toEqual(['package.json', 'scenario.test.ts', 'scenario.ts', 'tsconfig.json']);
  expect(JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'))).toMatchObject({ name: 'my-scenarios' });
  expect(init()).toMatchObject({ status: 10, stdout: '', stderr: `init: ${home}: not empty\n` });
  // As `npm install` leaves it. Its own test and its types are tried on installed packages: `npm run packages`.
  symlinkSync(join(root, 'node_modules'), join(home, 'node_modules'));
  const { status, stdout } = spawnSync('npm', ['run', 'check'], { cwd: home, encoding: 'utf8' });
  expect(stdout).toContain('4 as expected, 0 not, 0 bounded');
  expect(status).toBe(0);
  rmSync(folder, { recursive: true, force: true });
});
