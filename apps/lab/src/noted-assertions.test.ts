/** Assertions in code of a user's that was begun, and that are never evaluated, wherever they stand. */
import { explore } from '@shootdown/explorer';
import { assertThat, each, nop, noteEverything, program, routine, SystemBuilder, type Steps } from '@shootdown/machine';
import { expect, it } from 'vitest';
import { notedSource } from './noted-source.ts';
import { startShootdown } from './one-process.test-support.ts';
import { ownFolder } from './own-folder.test-support.ts';

/** The modules are Node's own; this hands them the machine that the tests have. */
const machine = 'data:text/javascript,export const { assertThat, each, nop, noteEverything } = globalThis.machineOfIt;';
(globalThis as { machineOfIt?: unknown }).machineOfIt = { assertThat, each, nop, noteEverything };

/** Searches the routine that a module exports; the assertions that it never comes to. */
async function neverReached(source: string): Promise<readonly string[]> {
  const imports = `import { assertThat, assertThat as holds, each, nop } from ${JSON.stringify(machine)};`;
  const text = notedSource(`${imports}\n${source}`, machine);
  const { victim } = (await import(`data:text/javascript,${encodeURIComponent(text)}`)) as {
    victim: () => Steps<unknown>;
  };
  const builder = new SystemBuilder();
  builder.processor({ name: 'CPU0', tasks: [program(routine('victim', victim))] });
  const { verdict, scope } = await explore(builder.build());
  expect(verdict).toBe('safe');
  return scope.assertionsNeverReached;
}

const check = (then: string): string => `yield* nop(); if (false) { ${then} }`;
const never = check("yield* assertThat(true, 'kept')");
const victim = (call: string): string => `export function* victim() { yield* nop(); ${call}; }`;

it.each([
  ['a declaration', `export function* victim() { ${never} }`, ['victim(): kept']],
  ['an expression', `export const victim = function* () { ${never} };`, ['victim(): kept']],
  ['an expression with a name', `export const victim = function* inner() { ${never} };`, ['inner(): kept']],
  ['a function without any name', `const list = [function* () { ${never} }];\n${victim('yield* list[0]()')}`, ['kept']],
  ['a method', `const mm = { *clear() { ${never} } };\n${victim('yield* mm.clear()')}`, ['clear(): kept']],
  ['a method of a class', `class A { *b() { ${never} } }\n${victim('yield* new A().b()')}`, ['b(): kept']],
  ['a static method', `class A { static *b() { ${never} } }\n${victim('yield* A.b()')}`, ['b(): kept']],
  [
    'a private method',
    `class A { *#b() { ${never} } b() { return this.#b(); } }\n${victim('yield* new A().b()')}`,
    ['#b(): kept'],
  ],
  ['a callback', victim("if (false) yield* each(2, () => assertThat(true, 'kept'))"), ['victim(): kept']],
  ['a function of another name', victim("if (false) yield* holds(true, 'kept')"), ['victim(): kept']],
  [
    'a sentence that is a variable',
    `const KEPT = 'k';\n${victim('if (false) yield* holds(true, KEPT)')}`,
    ['victim(): KEPT'],
  ],
  [
    'one of two with the same sentence',
    victim(
      "for (const i of [1, 2]) { yield* assertThat(i > 0, 'kept'); if (i > 2) yield* assertThat(false, 'kept'); }",
    ),
    ['victim(): kept'],
  ],
  ['code that is never begun', `function* clear() { ${never} }\n${victim('if (false) yield* clear()')}`, []],
  ['code that always is', victim("yield* assertThat(true, 'kept')"), []],
])('%s', async (_, source, expected) => {
  expect(await neverReached(source)).toEqual(expected);
});

const { file } = ownFolder();
const shootdown = startShootdown({ loadsCode: true });

it('are named beside the verdict', async () => {
  const built = new URL('../../../packages/machine/dist/index.js', import.meta.url).href;
  const path = file(
    'never.mjs',
    `import { assertThat, load, program, routine, SystemBuilder } from ${JSON.stringify(built)};
    export const mine = {
      name: 'mine', title: 't', variants: [{ name: 'v', expected: 'safe', source: 's', summary: 's' }],
      build() {
        const builder = new SystemBuilder();
        const word = builder.region('word', 1).at(0);
        const reader = routine('reader', function* reader() {
          if ((yield* load(word)) === 1) yield* assertThat((yield* load(word)) === 0, 'nothing is lost');
        });
        builder.processor({ name: 'CPU0', tasks: [program(reader)] });
        return builder.build();
      },
    };`,
  );
  const { status, stdout } = await shootdown('explore', path);
  expect([status, stdout]).toEqual([
    0,
    expect.stringContaining('1 assertion never reached: reader(): nothing is lost\n'),
  ]);
  expect((await shootdown('explore', path, '--coverage')).stdout).toContain('reader(): nothing is lost');
  const { stdout: json } = await shootdown('explore', path, '--json');
  expect(JSON.parse(json)).toMatchObject({ assertionsNeverReached: ['reader(): nothing is lost'] });
});
