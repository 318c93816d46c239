import { defineConfig } from 'vitest/config';

const include = ['packages', 'apps', 'tools'].flatMap((folder) =>
  ['src', 'test', 'generators'].map((tests) => `${folder}/*/${tests}/**/*.test.ts`),
);

const conditions = ['@shootdown/source'];

/**
 * Everything is one project, and files share the modules that one of them has loaded: `vitest run apps/lab/` runs those
 * of one package. There is nothing that one file could leave to the next: what sets exit codes or listens to signals is
 * a process of its own.
 */
export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include,
    isolate: false,
    passWithNoTests: true,
    // For machines that are busy with other things: nothing here takes as long by itself. A hook may run many commands.
    testTimeout: 120_000,
    hookTimeout: 300_000,
    pool: 'threads',
  },
});
