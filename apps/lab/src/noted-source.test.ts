/** What a user's generator functions make is noted, however they are written. */
import {
  ModelError,
  nop,
  noteEverything,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  SystemBuilder,
  TabulatedExecutor,
  type Steps,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { notedSource } from './noted-source.ts';

/** The modules are Node's own; this hands them the machine that the tests have. */
const machine = 'data:text/javascript,export const { nop, noteEverything } = globalThis.machineOfTests;';
(globalThis as { machineOfTests?: unknown }).machineOfTests = { nop, noteEverything };

/** Runs the routine that a module exports; how it ended, or the message. */
async function ran(source: string): Promise<string> {
  const text = notedSource(`import { nop } from ${JSON.stringify(machine)};\n${source}`, machine);
  const { victim } = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as {
    victim: () => Steps<unknown>;
  };
  const builder = new SystemBuilder();
  builder.processor({ name: 'CPU0', tasks: [program(routine('victim', victim))] });
  try {
    return runScheduler(new TabulatedExecutor(builder.build()), new RandomScheduler(1), 100).end;
  } catch (error) {
    expect(error).toBeInstanceOf(ModelError);
    return (error as Error).message;
  }
}

const victim = (call: string): string => `export function* victim() { yield* nop(); ${call}; yield* nop(); }`;
const forgotten = (what: string): string =>
  `routine: victim: step 1 (after nop): ${what} was made and never begun: write yield* before it`;

const ways: readonly (readonly [what: string, source: string, call: string, named: string])[] = [
  ['a declaration', 'function* clear() { yield* nop(); }', 'clear()', 'clear()'],
  ['one that is exported', 'export function* clear() { yield* nop(); }', 'clear()', 'clear()'],
  ['one that is the default', 'export default function* clear() { yield* nop(); }', 'clear()', 'clear()'],
  ['one after its use', `${victim('X')} function* clear() { yield* nop(); }`, 'clear()', 'clear()'],
  ['an expression', 'const clear = function* () { yield* nop(); };', 'clear()', 'clear()'],
  ['an expression with a name', 'const clear = function* inner() { yield* nop(); };', 'clear()', 'inner()'],
  ['a method of an object', 'const mm = { *clear() { yield* nop(); } };', 'mm.clear()', 'clear()'],
  ['a function in an object', 'const mm = { clear: function* () { yield* nop(); } };', 'mm.clear()', 'clear()'],
  ['a method of a class', 'const mm = new (class { *clear() { yield* nop(); } })();', 'mm.clear()', 'clear()'],
  ['a static method', 'class Mm { static *clear() { yield* nop(); } }', 'Mm.clear()', 'clear()'],
  [
    'a private method',
    'const mm = new (class { *#clear() { yield* nop(); } clear() { return this.#clear(); } })();',
    'mm.clear()',
    '#clear()',
  ],
  [
    'a private static method',
    'class Mm { static *#clear() { yield* nop(); } static clear() { return Mm.#clear(); } }',
    'Mm.clear()',
    '#clear()',
  ],
  [
    'a field of a class',
    'const mm = new (class { clear = function* () { yield* nop(); }; })();',
    'mm.clear()',
    'clear()',
  ],
  [
    'a function in a function',
    "const clear = () => { 'use strict'; function* clear() { yield* nop(); } return clear(); };",
    'clear()',
    'clear()',
  ],
  [
    'a function in a case',
    'const clear = () => { switch (1) { case 1: function* clear() { yield* nop(); } return clear(); } };',
    'clear()',
    'clear()',
  ],
  [
    'a function without any name',
    'const list = [function* () { yield* nop(); }];',
    'list[0]()',
    'a generator function',
  ],
  [
    'a method of a derived class',
    'class A { *clear() { yield* nop(); } } class B extends A { *clear() { yield* super.clear(); } } const mm = new B();',
    'mm.clear()',
    'clear()',
  ],
];

describe('a forgotten yield* before steps of', () => {
  it.each(ways)('%s', async (_, source, call, named) => {
    const text = source.includes('victim') ? source.replace('X', call) : `${source}\n${victim(call)}`;
    expect(await ran(text)).toBe(forgotten(named));
    expect(await ran(text.replace(`nop(); ${call}`, `nop(); yield* ${call}`))).toBe('rest');
  });

  it('a function that calls itself', async () => {
    const deep = (star: string): string =>
      `const deep = function* down(n) { yield* nop(); if (n > 0) ${star} down(n - 1); };\n${victim('yield* deep(1)')}`;
    expect(await ran(deep(''))).toBe(forgotten('down()').replace('step 1', 'step 2'));
    expect(await ran(deep('yield*'))).toBe('rest');
  });
});

describe('what is begun otherwise', () => {
  it.each([
    ['by a loop', 'for (const n of list()) if (n > 1) break'],
    ['by hand', 'const steps = list(); steps.next(); steps.return()'],
    ['by a spread', 'Math.max(...list())'],
    ['by a pattern', 'const [first] = list()'],
    ['later', 'const steps = list(); yield* nop(); for (const n of steps) void n'],
    ['after a look', 'const steps = list(); steps.next(); for (const n of steps) void n'],
  ])('%s', async (_, call) => {
    expect(await ran(`function* list() { yield 1; yield 2; }\n${victim(call)}`)).toBe('rest');
  });
});

describe('steps that are made when a module is loaded', () => {
  const outside = 'was made outside of a routine: steps can be performed once, so make them inside';
  it.each([
    ['run', 'yield* steps', 'routine: victim: step 1 (after nop): clear()'],
    ['run by hand', 'steps.next()', 'routine: victim: step 1 (after nop): clear()'],
  ])('and %s in a routine', async (_, call, before) => {
    for (const exhausted of ['', '[...steps];'])
      expect(
        await ran(`function* clear() { yield* nop(); }\nconst steps = clear(); ${exhausted}\n${victim(call)}`),
      ).toBe(`${before} ${outside}`);
  });

  it('and made inside, but run twice', async () => {
    const twice = victim('const steps = clear(); yield* steps; yield* steps');
    expect(await ran(`function* clear() { yield* nop(); }\n${twice}`)).toBe(
      'routine: victim: step 2 (after nop): clear() was performed already: steps can be performed once, so make them again',
    );
  });

  it('and run then are no business of any routine', async () => {
    expect(await ran(`function* list() { yield 1; }\nconst all = [...list()];\n${victim('all.at(0)')}`)).toBe('rest');
  });
});

it('leaves other code as it is', () => {
  const source = '#!/usr/bin/env node\nexport async function a() { return 1; }\nexport const b = { c() {} };\n';
  expect(notedSource(source, machine)).toBe(source);
  const strict = notedSource("'use strict';\nexport function* a() {}\n", machine);
  expect(strict.startsWith("'use strict';\n")).toBe(true);
});

it('what is loaded from somewhere else finds what it imports, and knows where it comes from', () => {
  const moved = { url: 'file:///home/a.mjs', resolve: (specifier: string) => `at:${specifier}` };
  const source = [
    "import { x } from './x.mjs';",
    "export * from './y.mjs';",
    "export { z } from './z.mjs';",
    "const later = () => import('./w.mjs');",
    'const here = import.meta.url;',
  ];
  expect(notedSource(source.join('\n'), machine, moved).split('\n')).toEqual([
    'import { x } from "at:./x.mjs";',
    'export * from "at:./y.mjs";',
    'export { z } from "at:./z.mjs";',
    'const later = () => import("at:./w.mjs");',
    'const here = "file:///home/a.mjs";',
  ]);
});
