import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, minifySync, type Plugin } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** What needs Node: the explorer's worker threads, files of grammars and traces. A page has none of them. */
const nodeOnly: readonly (readonly [importer: string, source: string, instead: string])[] = [
  ['/packages/explorer/', './pool.ts', here('src/engine/no-pool.ts')],
  ['/packages/explorer/', './mutant-thread.ts', here('src/engine/no-pool.ts')],
  ['/packages/c/', './grammar.ts', here('src/engine/c-grammar.ts')],
  ['/packages/mmu/', './trace/references.ts', here('src/engine/no-files.ts')],
];
/** What the type stripper could do besides. */
const UNUSED = /\/(?:(?:CJSImport|Flow|JestHoist|ReactDisplayName|ReactHotLoader)Transformer|CJSImportProcessor)$/;
/**
 * Parts of libraries that a page has no use for: JSON Schema of what it reads, which only the command writes; of the
 * type stripper its JSX, its source maps, and its look at options, which are always the same.
 */
const IDLE =
  /\/zod\/v4\/core\/(?:json-schema-processors|to-json-schema)\.js$|\/sucrase\/dist\/esm\/(?:Options|computeSourceMap|transformers\/JSXTransformer)\.js$/;
const withoutIdleParts: Plugin = {
  name: 'shootdown:without-idle-parts',
  enforce: 'pre',
  load(id) {
    if (!IDLE.test(id)) return null;
    const source = readFileSync(id, 'utf8');
    const names = [...source.matchAll(/^\s*export (?:const|function) (\w+)/gm)].map(([, name]) => `none as ${name}`);
    const lists = [...source.matchAll(/^\s*export \{ (\w+ as \w+) \}/gm)].map(
      ([, as]) => `none as ${as?.split(' ')[2]}`,
    );
    return `const none = () => ({}); export { ${[...names, ...lists, 'none as default'].join(', ')} };`;
  },
};

const withoutNode: Plugin = {
  name: 'shootdown:without-node',
  enforce: 'pre',
  resolveId: (source, importer) =>
    (importer?.includes('/sucrase/') === true && UNUSED.test(source) ? here('src/engine/no-transform.ts') : null) ??
    nodeOnly.find(([folder, module]) => source === module && importer?.includes(folder) === true)?.[2] ??
    null,
};

/** Our own modules only define things: one of which nothing is used is left out. */
const treeshake = { moduleSideEffects: (id: string): boolean => !/\/packages\/[\w-]+\/src\//.test(id) };

/** Code that has no routines: its lines do not matter. */
const LIBRARY = 'library-';
const groups = [
  {
    name: `${LIBRARY}write`,
    test: /node_modules\/(?:sucrase|es-module-lexer|@jridgewell|lines-and-columns|ts-interface-checker)\//,
  },
  { name: `${LIBRARY}schema`, test: /node_modules\/zod\// },
  { name: `${LIBRARY}c`, test: /node_modules\/web-tree-sitter\// },
  { name: `${LIBRARY}machine`, test: /node_modules\/(?:xstate|comlink)\// },
];

/** Lines must stay lines in workers; what they are indented by, and where they come from, need not. */
const withoutMargins: Plugin = {
  name: 'shootdown:without-margins',
  generateBundle(_options, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type !== 'chunk') continue;
      file.code =
        file.name.startsWith(LIBRARY) || file.name === 'own-c'
          ? minifySync(file.fileName, file.code, { module: true, compress: false, mangle: false }).code
          : file.code.replace(/^(?:\t+|\/\/ .*$)/gm, '');
    }
  },
};

export default defineConfig({
  // Works from any folder of any static host.
  base: './',
  resolve: { conditions: ['@shootdown/source', 'module', 'browser', 'development|production'] },
  plugins: [withoutNode],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: {
    format: 'es',
    plugins: () => [withoutNode, withoutIdleParts, withoutMargins],
    rolldownOptions: {
      treeshake,
      output: {
        // Where a line stands is read off stack traces when lines are mutated: lines stay lines.
        minify: { compress: true, mangle: true, codegen: { removeWhitespace: false } },
        comments: false,
        codeSplitting: { groups },
      },
    },
  },
  // Texts of examples are files to fetch, however small.
  build: {
    rolldownOptions: { treeshake },
    assetsInlineLimit: 0,
    // Every browser that runs what is built here knows it.
    modulePreload: { polyfill: false },
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    chunkSizeWarningLimit: 1200,
  },
});
