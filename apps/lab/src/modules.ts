/**
 * Modules of the user's own: a scenario, or routines; TypeScript as it is, from any folder.
 *
 * What is loaded is a copy in which `@shootdown/*` are the command's own packages, of which there is one copy, whoever
 * imports them and by whatever path; and which notes a forgotten `yield*`: see {@link notedSource}. TypeScript is
 * bundled for it.
 */
import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ModelError, noteEverything, thrown } from '@shootdown/machine';
import type { BuildFailure, ImportKind, Loader, OnResolveResult, Plugin } from 'esbuild';
import { noteForeignCode } from './errors.ts';
import { tellHost } from './host-link.ts';
import { watchForLater } from './later.ts';
import type * as NotedSource from './noted-source.ts';
import type { SourceKind } from './noted-source.ts';

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
 * @param again which time: loaded anew, it has variables of its own, and so has what it imports that no package has
 */
export async function importedModule(
  what: string,
  path: string,
  again = 0,
): Promise<Readonly<Record<string, unknown>>> {
  noted ??= await import('./noted-source.ts');
  noteEverything.constructors();
  watchForLater();
  noteForeignCode();
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
  const commonJs = bundledCommonJs.get(realPath(path) ?? path);
  const address = commonJs ?? moduleUrl(path);
  const loaded = again === 0 ? address : `${address}?again=${again}`;
  return commonJs === undefined ? loaded : await named(resolve(path), loaded, again);
}

let folder = '';
let copiesMade = 0;

/** A path for one more copy. */
function copyFor(file: string, ending: '.mjs' | '.cjs' = '.mjs'): string {
  if (folder === '') {
    folder = mkdtempSync(join(tmpdir(), 'shootdown-module-'));
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  }
  return join(folder, `${copiesMade++}-${basename(file, extname(file))}${ending}`);
}

/** The address of a JavaScript module's copy, for which all that it imports is copied too; its own if it has none. */
function copied(file: string, into: Copies): string {
  const url = pathToFileURL(file).href;
  const known = into.get(url);
  if (known !== undefined) return known;
  if (NO_JAVASCRIPT.test(file) || !existsSync(file)) return url;
  if (/\.[cm]?tsx?$|\.jsx$/.test(file))
    throw new ModelError(`${basename(file)} is loaded by JavaScript: only TypeScript loads TypeScript`);
  const source = readFileSync(file, 'utf8');
  const kind = kindOfFile(file, source);
  const copy = copyFor(file, kind === 'module' ? '.mjs' : '.cjs');
  // Before what it imports, which may import it.
  into.set(url, pathToFileURL(copy).href);
  const resolve = (specifier: string): string =>
    kind === 'module' ? addressOf(specifier, file, into) : requiredBy(specifier, file, into);
  writeFileSync(copy, noted.notedSource(source, machine(), { url, resolve }, kind));
  return pathToFileURL(copy).href;
}

/** What Node loads otherwise. It takes every other file for JavaScript. */
const NO_JAVASCRIPT = /\.(?:json|node|wasm)$/;

function kindOfFile(file: string, source: string): SourceKind {
  if (file.endsWith('.mjs')) return 'module';
  return file.endsWith('.cjs') ? 'commonjs' : noted.kindOf(source);
}

function addressOf(specifier: string, importer: string, into: Copies): string {
  if (specifier.startsWith('@shootdown/')) return ofCommand(specifier);
  if (/^(?:\.{0,2}\/|file:)/.test(specifier)) {
    const url = new URL(specifier, pathToFileURL(importer));
    const file = realPath(fileURLToPath(url)) ?? fileURLToPath(url);
    return isPackaged(file) ? url.href : copied(file, into);
  }
  if (isBuiltin(specifier) || /^\w+:/.test(specifier)) return specifier;
  const address = ofUser(specifier, importer);
  const own = unpackaged(address);
  return own === null ? address : copied(own, into);
}

/** The path of what CommonJS requires, or imports. */
function requiredBy(specifier: string, importer: string, into: Copies): string {
  if (specifier.startsWith('@shootdown/')) return fileURLToPath(ofCommand(specifier));
  if (specifier.startsWith('file:')) return addressOf(specifier, importer, into);
  if (isBuiltin(specifier)) return specifier;
  try {
    const file = createRequire(importer).resolve(specifier);
    return isPackaged(file) ? file : fileURLToPath(copied(file, into));
  } catch (error) {
    if (error instanceof ModelError) throw error;
    // Node says so, if it comes to that.
    return specifier;
  }
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
  const file = realPath(entry) ?? entry;
  if (bundledCommonJs.has(file)) bundledCommonJs.set(file, pathToFileURL(copy).href);
}

/** What stands for something that is required, and not bundled: a module cannot require. */
const REQUIRED = 'required';

/** What is not bundled. */
function outside(path: string, kind: ImportKind): OnResolveResult {
  return kind === 'require-call' ? { path, namespace: REQUIRED } : { path, external: true };
}

/** CommonJS that was bundled, by its file: where it is then. */
const bundledCommonJs = new Map<string, string>();

/** Where the names are that CommonJS exports: bundled, it has none. */
async function named(file: string, address: string, again: number): Promise<string> {
  const url = pathToFileURL(file).href;
  const known = copies.get(url);
  if (again === 0 && known !== undefined && known !== address) return known;
  const { default: all } = (await import(address)) as { readonly default: unknown };
  const names = Object.keys(all ?? {}).filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== 'default');
  const lines = names.map((name, i) => `const v${i} = all.${name}; export { v${i} as ${name} };`);
  const copy = copyFor(file);
  writeFileSync(copy, `import all from ${JSON.stringify(address)}; export default all;\n${lines.join('\n')}\n`);
  if (again === 0) copies.set(url, pathToFileURL(copy).href);
  return pathToFileURL(copy).href;
}

/** `@shootdown/*` come from the command; other packages from where the module is, or else from the command too. */
const ownPackages: Plugin = {
  name: 'shootdown',
  setup(build) {
    build.onResolve({ filter: /./ }, ({ path, kind, importer, namespace, resolveDir }) => {
      if (kind === 'entry-point') return undefined;
      if (namespace === REQUIRED) return { path, external: true };
      if (isBuiltin(path)) return outside(path, kind);
      if (!/^[./]/.test(path)) {
        const address = path.startsWith('@shootdown/') ? ofCommand(path) : ofUser(path, importer);
        const own = unpackaged(address);
        return own === null ? outside(address, kind) : { path: own };
      }
      const file = realPath(resolve(resolveDir, path));
      return file !== null && isPackaged(file) ? outside(pathToFileURL(file).href, kind) : undefined;
    });
    build.onLoad({ filter: /./, namespace: REQUIRED }, ({ path }) => ({
      contents: `import * as all from ${JSON.stringify(path)}; module.exports = 'default' in all ? all.default : all;`,
    }));
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
  const own = file.startsWith(home + sep) && /^(dist|src)$/.test(file.slice(home.length + 1).split(sep)[1] ?? '');
  return own || file.split(sep).includes('node_modules');
}

/** The file of an address, if it is the user's own: a package of a workspace is. */
function unpackaged(address: string): string | null {
  if (!address.startsWith('file:')) return null;
  const file = fileURLToPath(address);
  return isPackaged(file) ? null : file;
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
  '.cjs': 'js',
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
        const kind = noted.kindOf(code);
        if (kind === 'commonjs') bundledCommonJs.set(path, '');
        return { contents: noted.notedSource(code, machine(), null, kind), loader: 'js' };
      } catch (error) {
        if (isBuildFailure(error)) return { errors: error.errors };
        if (error instanceof ModelError) return { errors: [{ text: `${basename(path)}: ${error.message}` }] };
        throw error;
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
