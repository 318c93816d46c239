/** The files of the parser and its C grammar, where Node finds them. */
import { createRequire } from 'node:module';
import { Language, Parser } from 'web-tree-sitter';

/** Starts the parser, and loads the grammar. */
export async function loadGrammar(): Promise<Language> {
  await Parser.init();
  return await Language.load(createRequire(import.meta.url).resolve('tree-sitter-c/tree-sitter-c.wasm'));
}
