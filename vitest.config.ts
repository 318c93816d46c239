import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const include = ['packages', 'apps', 'tools'].flatMap((folder) =>
  ['src', 'test', 'generators'].map((tests) => `${folder}/*/${tests}/**/*.test.ts`),
);

/** They speak of lines of the sources, which is where the routines must come from. */
const OF_SOURCES = ['packages/scenarios/src/mutants.test.ts'];

const test = {
  isolate: false,
  passWithNoTests: true,
  // For machines that are busy with other things: nothing here takes as long by itself. A hook may run many commands.
  testTimeout: 120_000,
  hookTimeout: 300_000,
  pool: 'threads',
} as const;

/** Packages import one another's sources, so that nothing is ever out of date. */
function fromSources(files: readonly string[]): TestProjectInlineConfiguration {
  const conditions = ['@shootdown/source'];
  return { resolve: { conditions }, ssr: { resolve: { conditions } }, test: { ...test, include: [...files] } };
}

/** They import one another as they ship, which takes less time to load and to run. */
function asBuilt(files: readonly string[], exclude: readonly string[]): TestProjectInlineConfiguration {
  return {
    test: {
      ...test,
      name: 'built',
      include: [...files],
      exclude: [...exclude],
      server: { deps: { external: [/\/packages\/[^/]+\/dist\//] } },
    },
  };
}

/**
 * Whoever has built everything says so, as `npm test` does. Files share the modules that one of them has loaded:
 * `vitest run apps/lab/` runs those of one package. There is nothing that one file could leave to the next: what sets
 * exit codes or listens to signals is a process of its own.
 */
export default defineConfig(
  process.env['SHOOTDOWN_BUILT'] === '1'
    ? { test: { projects: [asBuilt(include, OF_SOURCES), fromSources(OF_SOURCES)] } }
    : fromSources(include),
);
