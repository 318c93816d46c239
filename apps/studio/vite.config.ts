import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** What needs Node: the explorer's worker threads, files of grammars and traces. A page has none of them. */
const nodeOnly: readonly (readonly [importer: string, source: string, instead: string])[] = [
  ['/packages/explorer/', './pool.ts', here('src/engine/no-pool.ts')],
  ['/packages/explorer/', './mutant-thread.ts', here('src/engine/no-pool.ts')],
  ['/packages/c/', './grammar.ts', here('src/engine/c-grammar.ts')],
  ['/packages/mmu/', './trace/references.ts', here('src/engine/no-files.ts')],
];
const withoutNode: Plugin = {
  name: 'shootdown:without-node',
  enforce: 'pre',
  resolveId: (source, importer) =>
    nodeOnly.find(([folder, module]) => source === module && importer?.includes(folder) === true)?.[2] ?? null,
};

export default defineConfig({
  // Works from any folder of any static host.
  base: './',
  resolve: { conditions: ['@shootdown/source', 'module', 'browser', 'development|production'] },
  plugins: [withoutNode],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: {
    format: 'es',
    plugins: () => [withoutNode],
    rolldownOptions: {
      output: {
        // Where a line stands is read off stack traces when lines are mutated: lines stay lines.
        minify: { compress: true, mangle: true, codegen: { removeWhitespace: false } },
        comments: false,
      },
    },
  },
  // Texts of examples are files to fetch, however small.
  build: { assetsInlineLimit: 0, target: 'es2022', outDir: 'dist', emptyOutDir: true, chunkSizeWarningLimit: 1200 },
});
