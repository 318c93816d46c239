/** Modules of users that do what a module must not: the command outlives them, and says in one line what it was. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startShootdown } from './one-process.test-support.ts';

const command = new URL('../bin/shootdown.mjs', import.meta.url).pathname;
const shootdown = startShootdown({ loadsCode: true });
const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
const machine = new URL('../../../packages/machine/dist/index.js', import.meta.url).href;
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function scenario(build: string, before = ''): string {
  return `
    import { SystemBuilder, assertThat, load, point, program, routine, store } from ${JSON.stringify(machine)};
    ${before}
    export const mine = {
      name: 'mine', title: 't', variants: [{ name: 'v', expected: 'safe', source: 's', summary: 's' }],
      build() {
        const builder = new SystemBuilder();
        const shared = builder.region('shared', 4);
        const run = (body) => builder.processor({ name: 'CPU0', tasks: [program(routine('victim', body))] });
        ${build}
        return builder.build();
      },
    };`;
}

function explored(text: string, ...flags: string[]) {
  return ran('explore', text, ...flags);
}

function ran(what: string, text: string, ...flags: string[]) {
  const path = join(folder, 'mine.mjs');
  writeFileSync(path, text);
  return shootdown(what, path, ...flags);
}

describe('the mistake of the user, in one line', () => {
  it.each<[string, string, RegExp]>([
    [
      'a forgotten yield*',
      scenario('run(function* () { yield* load(shared.at(0)); store(shared.at(0), 1); });'),
      /^routine: victim: step 1 \(after load\): store was made and never begun/,
    ],
    [
      "a forgotten yield* before a function* of the module's own",
      scenario(
        'run(function* () { yield* load(shared.at(0)); clear(shared); });',
        'function* clear(shared) { yield* store(shared.at(0), 0); }',
      ),
      /^routine: victim: step 1 \(after load\): clear\(\) was made and never begun/,
    ],
    [
      'steps of a timer',
      scenario('run(function* () { yield* load(shared.at(0)); setTimeout(() => store(shared.at(0), 1), 300); });'),
      /^routine: victim: step 1 \(after load\): a timer was begun in a routine: nobody performs what it does later/,
    ],
    [
      'steps of a promise of build',
      scenario('run(function* () { yield* load(shared.at(0)); }); (async () => { await 0; store(0, 1); })();'),
      /^\S.*: store was made while no routine ran/,
    ],
    [
      'process.exit in a routine',
      scenario('run(function* () { process.exit(0); });'),
      /ended the command before it had an answer/,
    ],
    ['a module that never settles', 'await new Promise(() => {});', /ended the command before it had an answer/],
    ['a module that throws null', 'throw null;', /cannot be loaded \(null\)/],
    ['a build that throws null', scenario('throw null;'), /cannot be built \(null\)/],
    [
      'a promise rejected later',
      scenario('run(function* () { yield* load(shared.at(0)); });', "Promise.reject(new Error('later'));"),
      /^scenario: \S+mine\.mjs: a module threw Error: later/,
    ],
    [
      'an option misspelt',
      scenario('run(function* () { yield* load(shared.at(0)); });').replace('title:', 'bound: {}, title:'),
      /unknown option bound: did you mean bounds\?/,
    ],
  ])('%s', async (_, text, message) => {
    const { status, stderr } = await explored(text);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(status).toBe(10);
  });
});

it('an expectation that is no word is refused by list too', async () => {
  const text = scenario('run(function* () {});').replace("'safe'", "'Safe'");
  const { status, stdout, stderr } = await ran('list', text);
  expect([status, stdout, stderr]).toEqual([10, '', expect.stringContaining('expected: "Safe" is none of safe')]);
});

describe('steps that are shared, and at their end', () => {
  const shared = scenario(
    'run(function* () { yield* load(shared.at(1)); yield* clear; });',
    "const clear = (function* () { yield* store(0, 1); yield* assertThat(false, 'x'); })(); [...clear];",
  );
  it.each(['explore', 'mutate', 'run'])('are refused by %s', async (what) => {
    const { status, stderr } = await ran(what, shared, '--variant', 'v');
    expect([status, stderr]).toEqual([
      10,
      expect.stringMatching(/^routine: victim: step 1 .* was made outside of a routine/),
    ]);
  });
});

describe('a routine that loops for ever', () => {
  const loops = scenario('run(function* () { yield* store(shared.at(0), 1); for (;;); });');
  it.runIf(DEEP).each([
    ['check', ['--timeout', '1'], 2],
    ['mutate', ['--timeout', '1'], 2],
    ['replay', ['--variant', 'v', '--schedule', '0x3'], 10],
  ] as const)('in %s %s', { timeout: 120_000 }, async (what, flags, code) => {
    const { status, stderr } = await ran(what, loops, ...flags);
    expect([status, stderr]).toEqual([code, expect.stringContaining('it loops for ever')]);
  });

  it.runIf(DEEP).each(['1', '2'])('in one mutant, with %s workers', { timeout: 120_000 }, async (workers) => {
    const without = scenario(
      'run(function* () { yield* store(shared.at(0), 1); const v = yield* load(shared.at(0)); while (v === 0); });',
    );
    const { status, stdout } = await ran('mutate', without, '--workers', workers, '--timeout', '1', '--json');
    const { mutants } = JSON.parse(stdout) as { mutants: { step: string; change: string; result: string }[] };
    expect(status).toBe(2);
    expect(mutants.map(({ step, change, result }) => `${step}:${change}: ${result}`)).toEqual([
      'store:leave-out: bounded',
      'store:swap-with-next: bounded',
    ]);
  });

  it('obeys --timeout, as a document and as text', async () => {
    const { status, stdout, stderr } = await explored(loops, '--timeout', '1', '--json');
    expect(status).toBe(2);
    expect(stderr).toContain('it loops for ever');
    expect(JSON.parse(stdout)).toMatchObject({
      scenario: 'mine',
      variant: 'v',
      memoryModel: 'sc',
      verdict: 'bounded',
      expected: 'safe',
      complete: false,
      stoppedBy: 'timeout',
    });
    if (!DEEP) return;
    const text = await explored(loops, '--timeout', '1');
    expect([text.status, text.stdout.split('\n')[0]]).toEqual([
      2,
      'BOUNDED: no violation within bounds (stopped by timeout)',
    ]);
  });
});

describe('text of a module', () => {
  it('reaches the terminal without controls, and a document unchanged', async () => {
    const evil = scenario(
      "run(function* () { yield* store(shared.at(0), 1, { label: 'red\\u001b[31m\\u009b\\u202e' }); yield* assertThat(false, 'clear\\u001b[2J'); });",
    );
    const text = await explored(evil);
    expect(text.status).toBe(12);
    expect(text.stdout).toContain('red\\u001b[31m\\u009b\\u202e');
    expect(text.stdout).toContain('VIOLATION: clear\\u001b[2J');
    expect((text.stdout + text.stderr).replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    expect((JSON.parse((await explored(evil, '--json')).stdout) as { property: string }).property).toBe(
      'clear\u001b[2J',
    );
  });

  it('makes no lines of its own', async () => {
    const forged = await explored(scenario('run(function* () {});').replace("summary: 's'", "summary: 's\\nSAFE'"));
    expect(forged.stdout.split('\n')[0]).toBe('mine / v on sc: s\\nSAFE');
  });
});

describe('memory', () => {
  const big = scenario(`
    for (let i = 0; i < 8; i++) builder.processor({ name: 'C' + i, tasks: [program(routine('t' + i, function* () {
      for (let k = 0; k < 60; k++) {
        yield* point('k', k);
        const seen = yield* load(shared.at((i + 1) & 3));
        yield* store(shared.at(i & 3), (seen + k) & 7);
      }
    }))] });`);
  it.runIf(process.platform === 'linux')(
    'that runs out leaves what is known so far',
    () => {
      const path = join(folder, 'big.mjs');
      writeFileSync(path, big);
      const limited = `ulimit -v 1200000; exec ${process.execPath} ${command} explore ${path} --timeout 50`;
      const { status, stdout, stderr } = spawnSync('bash', ['-c', limited], { encoding: 'utf8', timeout: 120_000 });
      expect(stdout).toContain('BOUNDED: no violation within bounds (stopped by memory)');
      expect(stderr).not.toContain('    at ');
      expect(status).toBe(2);
    },
    130_000,
  );
});
