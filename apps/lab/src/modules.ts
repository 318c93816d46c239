/**
 * Modules of the user's own: a scenario, or routines; TypeScript as it is, from any folder.
 *
 * JavaScript that Node can load by itself is loaded as it is. TypeScript, and what lies where `@shootdown/*` cannot be
 * found, is bundled: one file, in which `@shootdown/*` are the command's own packages. There is one copy of these,
 * whoever imports them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ModelError, thrown } from '@shootdown/machine';
import type { BuildFailure, Plugin } from 'esbuild';

/** True for the name of a module, or of a scenario in it: `mine.ts#name`. */
export function namesModule(path: string): boolean {
  return /\.[cm]?[jt]sx?(?:#.*)?$/.test(path);
}

/** Where the modules that were bundled are now, by where they come from. */
const bundled = new Map<string, string>();

/** Where a module can be loaded from: after {@link importedModule}, also by a worker thread. */
export function moduleUrl(path: string): string {
  const url = pathToFileURL(resolve(path)).href;
  return bundled.get(url) ?? url;
}

/**
 * What a module exports. Throws ModelError if it cannot be loaded.
 * @param what who asks: heads the message
 */
export async function importedModule(what: string, path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    if (/\.[cm]?tsx?$/.test(path)) await bundle(path);
    return await imported(path);
  } catch (error) {
    const reason = isBuildFailure(error) ? failureText(error) : thrown(error);
    throw new ModelError(`${what}: ${path}: cannot be loaded (${reason.split('\n')[0] ?? ''})`);
  }
}

async function imported(path: string): Promise<Record<string, unknown>> {
  try {
    return (await import(moduleUrl(path))) as Record<string, unknown>;
  } catch (error) {
    if (!isOutside(error) || bundled.has(pathToFileURL(resolve(path)).href)) throw error;
    await bundle(path);
    return (await import(moduleUrl(path))) as Record<string, unknown>;
  }
}

/** Node looks for packages beside the module, and a user's folder need not have ours. */
function isOutside(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND' &&
    error.message.includes("'@shootdown/")
  );
}

async function bundle(path: string): Promise<void> {
  const entry = resolve(path);
  const url = pathToFileURL(entry).href;
  if (bundled.has(url)) return;
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
    plugins: [ownPackages],
    // A tsconfig of the user's may extend what is not installed.
    tsconfigRaw: '{}',
  });
  const folder = mkdtempSync(join(tmpdir(), 'shootdown-module-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'module.mjs');
  writeFileSync(file, outputFiles[0]?.contents ?? '');
  bundled.set(url, pathToFileURL(file).href);
}

/** `@shootdown/*` come from the command; other packages from where the module is, or else from the command too. */
const ownPackages: Plugin = {
  name: 'shootdown',
  setup(build) {
    build.onResolve({ filter: /^[^./]/ }, ({ path, kind, importer }) => {
      if (kind === 'entry-point' || path.startsWith('node:')) return undefined;
      return { path: path.startsWith('@shootdown/') ? ofCommand(path) : ofUser(path, importer), external: true };
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
