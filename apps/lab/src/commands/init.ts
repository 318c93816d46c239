/** `shootdown init <folder>`: a scenario of one's own to begin with, a test, and what it takes to run them. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { ModelError } from '@shootdown/machine';
import { parseArguments, required } from '../arguments.ts';
import { oneLine } from '../errors.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';
import { asOutputError } from '../output.ts';

export const flags = { help: { type: 'boolean', help: 'this text' } } as const;

const TEMPLATES = new URL('../../templates/init/', import.meta.url);
/** What is written, and the template it is: packages are packed without files that are called tests. */
const FILES: Readonly<Record<string, string>> = {
  'scenario.ts': 'scenario.ts',
  'scenario.test.ts': 'test.ts',
  'tsconfig.json': 'tsconfig.json',
};

export function run(argv: readonly string[]): number {
  if (printedHelp(argv, 'init <folder>', flags)) return ExitCode.ok;
  const args = parseArguments('init', argv, flags, 1);
  const folder = required('init', args, 'a folder');
  const files = new Map(
    Object.entries(FILES).map(([name, template]) => [name, readFileSync(new URL(template, TEMPLATES), 'utf8')]),
  );
  files.set('package.json', `${JSON.stringify(packageOf(folder), null, 2)}\n`);
  writeAll(folder, files);
  process.stdout.write(
    [
      `${oneLine(folder)}: ${[...files.keys()].join(', ')}`,
      '',
      `  cd ${oneLine(folder)} && npm install && npm test`,
      '  npx shootdown explore scenario.ts --variant v4.18',
      '',
    ].join('\n'),
  );
  return ExitCode.ok;
}

/** The package of a user: it needs the command, what a scenario is written with, and what its test runs on. */
function packageOf(folder: string): unknown {
  const { version, devDependencies } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as { version: string; devDependencies: Record<string, string> };
  const own = ['@shootdown/kit', '@shootdown/lab'];
  return {
    name: nameOf(folder),
    private: true,
    type: 'module',
    scripts: { check: 'shootdown check scenario.ts', test: 'shootdown check scenario.ts && vitest run' },
    dependencies: Object.fromEntries(own.map((name) => [name, `^${version}`])),
    devDependencies: { typescript: devDependencies['typescript'], vitest: devDependencies['vitest'] },
  };
}

/** A package's name has no capitals, blanks or leading dots. */
function nameOf(folder: string): string {
  const name = basename(resolve(folder))
    .toLowerCase()
    .replaceAll(/[^a-z\d-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return name === '' ? 'scenarios' : name;
}

/** Nothing is overwritten: a folder with files in it is somebody's work. */
function writeAll(folder: string, files: ReadonlyMap<string, string>): void {
  try {
    if (existsSync(folder) && readdirSync(folder).length > 0) throw new ModelError(`init: ${folder}: not empty`);
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of files) writeFileSync(join(folder, name), text, { flag: 'wx', flush: true });
  } catch (error) {
    if (error instanceof ModelError) throw error;
    const lost = asOutputError(error, `init: ${folder}`);
    if (lost !== error) throw lost;
    throw new ModelError(
      `init: ${folder}: cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
    );
  }
}
