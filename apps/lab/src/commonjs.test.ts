/** A forgotten `yield*` in CommonJS, and in what a module loads in whatever way, is noticed or cannot be loaded. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { expect, it } from 'vitest';
import { ownFolder } from './own-folder.test-support.ts';

const folder = ownFolder();
const lab = new URL('../dist/modules.js', import.meta.url).href;
const machine = new URL('../../../packages/machine/dist/index.js', import.meta.url).href;

const scenario = (call: string): string => `{ name: 'mine', title: 't',
  variants: [{ name: 'v', expected: 'safe', source: 's', summary: 's' }],
  build() {
    const builder = new SystemBuilder();
    const w = builder.region('w', 1);
    builder.processor({ name: 'CPU0', tasks: [program(routine('victim', function* () { yield* nop(); ${call}; }))] });
    return builder.build();
  } }`;
const uses = "const { nop, program, routine, store, SystemBuilder } = require('@shootdown/machine');";
const imports = "import { nop, program, routine, store, SystemBuilder } from '@shootdown/machine';";
const clear = 'function* clear(w) { yield* store(w.at(0), 0); }';
const helper = `const { store } = require('@shootdown/machine'); module.exports = { *clear(w) { yield* store(w.at(0), 0); } };`;

const fromPackage = (call: string): string =>
  `${imports} import { clear } from 'mine-too'; export const mine = ${scenario(call)};`;

const ways: readonly (readonly [name: string, text: (call: string) => string])[] = [
  ['a.cjs', (call) => `${uses} ${clear} exports.mine = ${scenario(call)};`],
  ['one.js', (call) => `#!/usr/bin/env node\n'use strict'; ${uses} ${clear} module.exports = ${scenario(call)};`],
  [
    'whole.cjs',
    (call) =>
      `${uses} if (!__filename.endsWith('whole.cjs')) throw 1; ${clear} exports.mine = ${scenario(call)}; return;`,
  ],
  ['requires.cjs', (call) => `${uses} const { clear } = require('./helper'); exports.mine = ${scenario(call)};`],
  ['imports.mjs', (call) => `${imports} import { clear } from './helper.cjs'; export const mine = ${scenario(call)};`],
  ['typed.ts', (call) => `${imports} import { clear } from './helper.cjs'; export const mine = ${scenario(call)};`],
  ['package.mjs', fromPackage],
  ['package.ts', fromPackage],
  ['both.cts', (call) => `${uses} ${clear} const path = require('path'); exports.mine = ${scenario(call)};`],
];

/** Loads modules, and runs what they build, each once; what came of it. */
const driver = `
  import { importedModule } from ${JSON.stringify(lab)};
  import { RandomScheduler, runScheduler, TabulatedExecutor } from ${JSON.stringify(machine)};
  const said = {};
  for (const path of JSON.parse(process.argv.at(-1))) {
    try {
      const exported = await importedModule('scenario', path);
      const { build } = exported.mine ?? exported.default;
      said[path] = runScheduler(new TabulatedExecutor(build()), new RandomScheduler(1), 100).end;
    } catch (error) {
      said[path] = error.message;
    }
  }
  console.log(JSON.stringify(said));`;

function loaded(names: readonly string[]): Record<string, string> {
  const paths = names.map((name) => folder.at(name));
  const script = ['--input-type=module', '-e', driver, JSON.stringify(paths)];
  const { stdout, stderr } = spawnSync(process.execPath, script, { encoding: 'utf8' });
  expect(stderr).toBe('');
  const said = Object.entries(JSON.parse(stdout) as Record<string, string>);
  return Object.fromEntries(said.map(([path, end]) => [basename(path), end.replace(dirname(path), '')]));
}

it('a forgotten yield* is noticed in CommonJS, and in what a module loads', () => {
  folder.file('helper.cjs', helper);
  folder.file('helper.js', helper);
  // A package of a workspace.
  mkdirSync(folder.at('packages/mine-too'), { recursive: true });
  mkdirSync(folder.at('node_modules'));
  folder.file('packages/mine-too/index.js', `${imports} export ${clear}`);
  folder.file('packages/mine-too/package.json', '{ "name": "mine-too", "type": "module" }');
  symlinkSync(folder.at('packages/mine-too'), folder.at('node_modules/mine-too'));
  for (const [name, text] of ways) {
    folder.file(name, text('clear(w)'));
    folder.file(`good-${name}`, text('yield* clear(w)'));
  }
  const names = ways.map(([name]) => name);
  const forgotten = 'routine: victim: step 1 (after nop): clear() was made and never begun: write yield* before it';
  expect(loaded(names.flatMap((name) => [name, `good-${name}`]))).toEqual(
    Object.fromEntries(
      names.flatMap((name) => [
        [name, forgotten],
        [`good-${name}`, 'rest'],
      ]),
    ),
  );
});

it('what loads code unseen is refused, what loads none is not', () => {
  const unseen: Readonly<Record<string, readonly [text: string, what: string]>> = {
    'computed.mjs': ['\nexport const later = (name) => import(name);', 'line 2: import() of a name that is computed'],
    'computed.ts': [
      'export const later = (name: string) => import(name);',
      'computed.ts: import() of a name that is computed',
    ],
    'computed.cjs': ['exports.a = (name) => require(name);', 'line 1: require() of a name that is computed'],
    'renamed.cjs': ["const r = require; r('./helper');", 'line 1: require() of a name that is computed'],
    'method.cjs': ["module.require('./helper');", 'line 1: require() of a name that is computed'],
    'created.mjs': ["import { createRequire } from 'node:module';", 'line 1: createRequire()'],
  };
  const others: Readonly<Record<string, readonly [text: string, said: string]>> = {
    'mixed.mjs': [
      "import { clear } from './helper.ts';",
      'scenario: /mixed.mjs: cannot be loaded (helper.ts is loaded by JavaScript: only TypeScript loads TypeScript)',
    ],
    'looks.cjs': [
      `exports.mine = { build: null }; ({ require: 1 }).require;
       if (typeof require !== 'function' || !require.resolve('./helper').endsWith('helper.js')) throw 1;`,
      'build is not a function',
    ],
  };
  folder.file('helper.ts', 'export function* clear() {}');
  for (const [name, [text]] of Object.entries({ ...unseen, ...others })) folder.file(name, text);
  const why = 'a forgotten yield* in what it loads would not be noticed: load it by its name';
  const said = Object.entries(unseen).map(([name, [, what]]) => [
    name,
    `scenario: /${name}: cannot be loaded (${what}: ${why})`,
  ]);
  const rest = Object.entries(others).map(([name, [, text]]) => [name, text]);
  expect(loaded([...Object.keys(unseen), ...Object.keys(others)])).toEqual(Object.fromEntries([...said, ...rest]));
});
