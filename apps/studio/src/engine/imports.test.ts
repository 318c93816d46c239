import { expect, it } from 'vitest';
import { importsOf } from './imports.ts';

const imported = (text: string): string[] => importsOf(text).map(({ from, to }) => text.slice(from, to));

it('finds what a module imports, however it says so', () => {
  expect(
    imported(`
      import 'a';
      import b from "b"; import * as c from 'c'
      import d, { from as e, "from" as f } from 'd';
      export * from 'e'; export * as from from 'f';
      export { from } from 'g'; export { "x y" as z } from 'h';
      import from from 'i' with { type: 'json' };
      const j = await import('j'), k = import(/* no */ "k", {});`),
  ).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', "'j'", ' /* no */ "k"'.trimStart()]);
});

it('and nothing else', () => {
  expect(
    imported(`
      // import 'a'
      const import_ = { import: 1, from: 'b' }.import, text = "import 'c'", url = import.meta.url;
      export { text }; const from = 'd';
      export const re = /import 'e'/; export default \`import \${'f'}\`;
      x.import('g');`),
  ).toEqual([]);
});

it('of an import() that puts its name together, the first of it', () => {
  expect(imported("import(a + 'b')")).toEqual(['a']);
});
