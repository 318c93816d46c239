import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';
import { linesWithoutSpaces, minified } from './vite-lines.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/**
 * What needs Node: the explorer's worker threads, files of grammars and traces; and what the editor's commands ask of
 * a grammar. A page has none of them.
 */
const instead: readonly (readonly [importer: string, source: string, instead: string])[] = [
  ['/packages/explorer/', './pool.ts', here('src/engine/no-pool.ts')],
  ['/packages/explorer/', './mutant-thread.ts', here('src/engine/no-pool.ts')],
  ['/packages/c/', './grammar.ts', here('src/engine/c-grammar.ts')],
  ['/packages/mmu/', './trace/references.ts', here('src/engine/no-files.ts')],
  ['/@codemirror/commands/', '@codemirror/language', here('src/write/no-language.ts')],
  ['/@codemirror/commands/', '@lezer/common', here('src/write/no-language.ts')],
  // These are here, and loaded when they are needed.
  ['/packages/machine/', '../memory/weak-memory.ts', here('src/engine/weak-memory.ts')],
  ['/packages/machine/', './weak-port.ts', here('src/engine/weak-memory.ts')],
];
/** What the type stripper could do besides. */
const UNUSED =
  /\/(?:(?:CJSImport|Flow|JestHoist|NumericSeparator|OptionalCatchBinding|OptionalChainingNullish|ReactDisplayName|ReactHotLoader)Transformer|CJSImportProcessor|HelperManager)$/;
/**
 * Parts of libraries that a page has no use for: JSON Schema of what it reads, which only the command writes; of the
 * type stripper its JSX, its source maps, and its look at options, which are always the same.
 */
const IDLE =
  /\/zod\/v4\/core\/(?:json-schema-processors|to-json-schema)\.js$|\/sucrase\/dist\/esm\/(?:Options|computeSourceMap|transformers\/JSXTransformer|parser\/plugins\/(?:flow|jsx\/index))\.js$/;
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
    instead.find(([folder, module]) => source === module && importer?.includes(folder) === true)?.[2] ??
    null,
};

/** Our own modules only define things: one of which nothing is used is left out. */
const treeshake = { moduleSideEffects: (id: string): boolean => !/\/packages\/[\w-]+\/src\//.test(id) };

/** Code that has no routines: its lines do not matter. */
const LIBRARY = 'library-';
/** Runs routines, and has none of the kernel's. */
const ENGINE = 'engine';
/** What every search needs. */
const MACHINE =
  /state|routine|system|memory\/instructions|execute\/(?!actor|live|weak-port)|trace\/(?!statechart)|schedule\/schedule/
    .source;
const SEARCHED_WITH = new RegExp(
  `/engine/weak-memory|/packages/(?:machine/src/(?:${MACHINE})|explorer/src/(?!fuzz|index|mutants|ways-out)|sync/src/(?:spinlock|misuse))|/no-pool`,
);
/** And most scenarios. */
const KERNEL =
  /\/packages\/(?:cpu\/src\/cpu|mm\/src\/(?:smp|cpumask|mmap-lock|lazy\/(?:pte|mode|swap-entries))|mmu\/src\/entry|sync\/src\/(?:rcu|rwsem))[.\w]*\.ts/;
const groups = [
  {
    name: `${LIBRARY}write`,
    test: /node_modules\/(?:sucrase|es-module-lexer|@jridgewell|lines-and-columns|ts-interface-checker)\/|\/no-transform/,
  },
  { name: `${LIBRARY}schema`, test: /node_modules\/zod\// },
  { name: `${LIBRARY}c`, test: /node_modules\/web-tree-sitter\// },
  // What every search needs, in one file: small ones compress worse.
  { name: ENGINE, test: SEARCHED_WITH },
  { name: 'kernel', test: KERNEL },
  { name: `${LIBRARY}machine`, test: /node_modules\/(?:xstate|comlink)\// },
];

/**
 * Lines must stay lines where routines are, for those are mutated by line; the spaces in them need not. The bundler
 * can only leave out both or none.
 */
const withoutSpaces: Plugin = {
  name: 'shootdown:without-spaces',
  generateBundle(_options, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type !== 'chunk') continue;
      const hasRoutines = !file.name.startsWith(LIBRARY) && file.name !== ENGINE && /\byield\b/.test(file.code);
      file.code = hasRoutines ? linesWithoutSpaces(file.fileName, file.code) : minified(file.fileName, file.code).code;
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
    plugins: () => [withoutNode, withoutIdleParts, withoutSpaces],
    rolldownOptions: {
      treeshake,
      output: {
        // Where a line stands is read off stack traces when lines are mutated: lines stay lines.
        minify: { compress: true, mangle: true, codegen: { removeWhitespace: false } },
        comments: false,
        codeSplitting: { groups, includeDependenciesRecursively: false },
      },
    },
  },
  // Texts of examples are files to fetch, however small.
  build: {
    rolldownOptions: { treeshake },
    assetsInlineLimit: 0,
    modulePreload: false,
    target: 'es2022',
    outDir: 'dist',
    emptyOutDir: true,
    chunkSizeWarningLimit: 1200,
  },
});
