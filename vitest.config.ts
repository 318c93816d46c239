import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const here = import.meta.dirname;

const testsOf = (folder: string): string[] =>
  ['src', 'test', 'generators'].map((tests) => `${folder}/${tests}/**/*.test.ts`);

/** What is not a package has a project of its own: `vitest run --project @shootdown/lab`. */
const others = ['apps', 'tools']
  .flatMap((folder) => readdirSync(join(here, folder)).map((name) => `${folder}/${name}`))
  .filter((folder) => existsSync(join(here, folder, 'package.json')))
  .map((folder) => ({ name: `@shootdown/${folder.split('/')[1]}`, include: testsOf(folder) }));

/**
 * All packages are one project: files share the modules that one of them has loaded. There is nothing that one file
 * could leave to the next: what sets exit codes or listens to signals is a process of its own.
 */
const projects = [{ name: 'packages', include: testsOf('packages/*') }, ...others].map((test) => ({
  extends: true as const,
  root: here,
  test: { ...test, isolate: false },
}));

const conditions = ['@shootdown/source'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  // For machines that are busy with other things: nothing here takes as long by itself. A hook may run many commands.
  test: { projects, passWithNoTests: true, testTimeout: 120_000, hookTimeout: 300_000, pool: 'threads' },
});
