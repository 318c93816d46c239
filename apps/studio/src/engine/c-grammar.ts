/** Stands for the files of the C grammar in the page, which fetches them. */
import { Language, Parser } from 'web-tree-sitter';
import grammar from 'tree-sitter-c/tree-sitter-c.wasm?url';
import parser from 'web-tree-sitter/web-tree-sitter.wasm?url';

/** Starts the parser, and loads the grammar. */
export async function loadGrammar(): Promise<Language> {
  await Parser.init({ locateFile: () => new URL(parser, import.meta.url).href });
  return await Language.load(new URL(grammar, import.meta.url).href);
}
