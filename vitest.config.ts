import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

const here = import.meta.dirname;

/** One vitest project per workspace package; `vitest run --project @shootdown/cpu` runs one of them. */
const projects = ['packages', 'apps', 'tools']
  .filter((folder) => existsSync(join(here, folder)))
  .flatMap((folder) => readdirSync(join(here, folder)).map((name) => `${folder}/${name}`))
  .filter((folder) => existsSync(join(here, folder, 'package.json')))
  .map((folder) => ({
    extends: true as const,
    root: join(here, folder),
    test: {
      name: `@shootdown/${folder.split('/')[1] ?? folder}`,
      // Commands set exit codes and listen to signals; packages have nothing that one file could leave to the next.
      isolate: !folder.startsWith('packages/'),
      include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'generators/**/*.test.ts'],
    },
  }));

const conditions = ['@shootdown/source'];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  // For machines that are busy with other things: nothing here takes as long by itself. A hook may run many commands.
  test: { projects, passWithNoTests: true, testTimeout: 120_000, hookTimeout: 300_000, pool: 'threads' },
});
