/**
 * Modules of the user's own: a scenario, or routines; TypeScript as it is, from any folder.
 *
 * What is loaded is a copy in which `@shootdown/*` are the command's own packages, of which there is one copy, whoever
 * imports them and by whatever path; and which notes a forgotten `yield*`: see {@link notedSource}. TypeScript is
 * bundled for it. CommonJS is loaded as it is.
 */
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ModelError, noteEverything, thrown } from '@shootdown/machine';
import type { BuildFailure, Loader, Plugin } from 'esbuild';
import { tellHost } from './host-link.ts';
import { watchForLater } from './later.ts';
import type * as NotedSource from './noted-source.ts';

/** Loaded with the first module of a user's: it brings a parser with it. */
let noted: typeof NotedSource;

/** True for the name of a module, or of a scenario in it: `mine.ts#name`. */
export function namesModule(path: string): boolean {
  return /\.[cm]?[jt]sx?(?:#.*)?$/.test(path);
}

/** Where the copies of modules are, by where these come from. */
type Copies = Map<string, string>;

/** Those that are loaded once, and by worker threads. */
const copies: Copies = new Map();

/** Where a module can be loaded from: after {@link importedModule}, also by a worker thread. */
export function moduleUrl(path: string): string {
  const url = pathToFileURL(resolve(path)).href;
  return copies.get(url) ?? url;
}

/**
 * What a module exports. Throws ModelError if it cannot be loaded.
 * @param what who asks: heads the message
 * @param again which time: loaded anew, it has variables of its own, and so has what it imports that no package has.
 *   CommonJS is loaded once.
 */
export async function importedModule(
  what: string,
  path: string,
  again = 0,
): Promise<Readonly<Record<string, unknown>>> {
  noted ??= await import('./noted-source.ts');
  noteEverything.constructors();
  watchForLater();
  try {
    const address = await addressToLoad(path, again);
    const module = (await import(address)) as Record<string, unknown>;
    tellHost({ type: 'loaded' });
    return module;
  } catch (error) {
    const reason = isBuildFailure(error) ? failureText(error) : thrown(error);
    throw new ModelError(`${what}: ${path}: cannot be loaded (${reason.split('\n')[0] ?? ''})`);
  }
}

/** TypeScript is one file then, whatever it imports, which an address of its own loads anew; JavaScript is copied. */
async function addressToLoad(path: string, again: number): Promise<string> {
  if (!/\.[cm]?tsx?$|\.jsx$/.test(path)) return copied(resolve(path), again === 0 ? copies : new Map());
  await bundle(path);
  return again === 0 ? moduleUrl(path) : `${moduleUrl(path)}?again=${again}`;
}

let folder = '';
let copiesMade = 0;

/** An address for one more copy. */
function copyFor(file: string): string {
  if (folder === '') {
    folder = mkdtempSync(join(tmpdir(), 'shootdown-module-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  }
  return join(folder, `${copiesMade++}-${basename(file, extname(file))}.mjs`);
}

/** The address of a JavaScript module's copy, for which all that it imports is copied too; its own if it has none. */
function copied(file: string, into: Copies): string {
  const url = pathToFileURL(file).href;
  const known = into.get(url);
  if (known !== undefined) return known;
  if (!/\.m?js$/.test(file) || !existsSync(file)) return url;
  const source = readFileSync(file, 'utf8');
  if (!file.endsWith('.mjs') && !noted.isModule(source)) return url;
  const copy = copyFor(file);
  // Before what it imports, which may import it.
  into.set(url, pathToFileURL(copy).href);
  const resolveFrom = (specifier: string): string => addressOf(specifier, file, into);
  writeFileSync(copy, noted.notedSource(source, machine(), { url, resolve: resolveFrom }));
  return pathToFileURL(copy).href;
}

function addressOf(specifier: string, importer: string, into: Copies): string {
  if (specifier.startsWith('@shootdown/')) return ofCommand(specifier);
  if (/^(?:\.{0,2}\/|file:)/.test(specifier)) {
    const url = new URL(specifier, pathToFileURL(importer));
    const file = realPath(fileURLToPath(url)) ?? fileURLToPath(url);
    return isPackaged(file) ? url.href : copied(file, into);
  }
  return isBuiltin(specifier) || /^\w+:/.test(specifier) ? specifier : ofUser(specifier, importer);
}

async function bundle(path: string): Promise<void> {
  const entry = resolve(path);
  const url = pathToFileURL(entry).href;
  if (copies.has(url)) return;
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'silent',
    define: { 'import.meta.url': JSON.stringify(url) },
    plugins: [ownPackages, noteSteps],
    // A tsconfig of the user's may extend what is not installed.
    tsconfigRaw: '{}',
  });
  const copy = copyFor(entry);
  writeFileSync(copy, outputFiles[0]?.contents ?? '');
  copies.set(url, pathToFileURL(copy).href);
}

/** `@shootdown/*` come from the command; other packages from where the module is, or else from the command too. */
const ownPackages: Plugin = {
  name: 'shootdown',
  setup(build) {
    build.onResolve({ filter: /./ }, ({ path, kind, importer, resolveDir }) => {
      if (kind === 'entry-point' || path.startsWith('node:')) return undefined;
      if (!/^[./]/.test(path))
        return { path: path.startsWith('@shootdown/') ? ofCommand(path) : ofUser(path, importer), external: true };
      const file = realPath(resolve(resolveDir, path));
      return file !== null && isPackaged(file) ? { path: pathToFileURL(file).href, external: true } : undefined;
    });
  },
};

function machine(): string {
  return ofCommand('@shootdown/machine');
}

/** The folder that has the command's own packages. */
function packages(): string {
  return dirname(dirname(dirname(fileURLToPath(machine()))));
}

/** Whether a file belongs to a package: one of the command's own, or one that is installed. */
function isPackaged(file: string): boolean {
  const home = packages();
  const own = file.startsWith(home + sep) && file.slice(home.length + 1).split(sep)[1] === 'dist';
  return own || file.split(sep).includes('node_modules');
}

function realPath(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

const LOADERS: Readonly<Record<string, Loader>> = {
  '.ts': 'ts',
  '.mts': 'ts',
  '.cts': 'ts',
  '.tsx': 'tsx',
  '.jsx': 'jsx',
  '.js': 'js',
  '.mjs': 'js',
};

/** Older than what it says to be read, so that what comes next need not know the newest words of the language. */
const LANGUAGE = 'es2022';

const noteSteps: Plugin = {
  name: 'note steps',
  setup(build) {
    build.onLoad({ filter: /\.[cm]?[jt]sx?$/ }, async ({ path }) => {
      const loader = LOADERS[extname(path)];
      if (!loader) return undefined;
      try {
        const { code } = await build.esbuild.transform(readFileSync(path, 'utf8'), {
          loader,
          target: LANGUAGE,
          sourcefile: path,
          logLevel: 'silent',
          tsconfigRaw: '{}',
        });
        return { contents: noted.notedSource(code, machine()), loader: 'js' };
      } catch (error) {
        if (!isBuildFailure(error)) throw error;
        return { errors: error.errors };
      }
    });
  },
};

function ofCommand(name: string): string {
  return import.meta.resolve(name);
}

function ofUser(name: string, importer: string): string {
  try {
    return pathToFileURL(createRequire(importer).resolve(name)).href;
  } catch {
    return ofCommand(name);
  }
}

function isBuildFailure(error: unknown): error is BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}

function failureText({ errors: [first] }: BuildFailure): string {
  const at = first?.location;
  return `${at ? `line ${at.line}, column ${at.column + 1}: ` : ''}${first?.text ?? 'not TypeScript'}`;
}
