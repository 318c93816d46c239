/**
 * A scenario module of the reader's own: its types are taken off, its imports become packages of this page, and it is
 * loaded in a worker that has no network. Lines stay where they are, so that mistakes can be shown at theirs.
 */
import * as cpu from '@shootdown/cpu';
import * as explorer from '@shootdown/explorer';
import type { Scenario } from '@shootdown/explorer';
import * as hypervisor from '@shootdown/hypervisor';
import * as machine from '@shootdown/machine';
import { ModelError } from '@shootdown/machine';
import * as mm from '@shootdown/mm';
import * as mmu from '@shootdown/mmu';
import * as mmuNotifier from '@shootdown/mmu-notifier';
import * as ptdump from '@shootdown/ptdump';
import { scenarios } from '@shootdown/scenarios';
import * as sync from '@shootdown/sync';
import { transform } from 'sucrase';
import { importsOf } from './imports.ts';

/** Scenarios that ship, by their name in camel case, as their package exports them. */
const byName = Object.fromEntries(
  scenarios.map((one) => [one.name.replaceAll(/-(\w)/g, (_, letter: string) => letter.toUpperCase()), one]),
);

const packages: Readonly<Record<string, object>> = {
  '@shootdown/cpu': cpu,
  '@shootdown/explorer': explorer,
  '@shootdown/hypervisor': hypervisor,
  '@shootdown/machine': machine,
  '@shootdown/mm': mm,
  '@shootdown/mmu': mmu,
  '@shootdown/mmu-notifier': mmuNotifier,
  '@shootdown/ptdump': ptdump,
  '@shootdown/scenarios': { scenarios, ...byName },
  '@shootdown/sync': sync,
};

/** The files of the shipped scenarios, so that one of them can be changed and run as it stands. */
const files = import.meta.glob<object>(
  [
    '../../../../packages/scenarios/src/**/*.ts',
    '!../../../../packages/scenarios/src/**/*.test.ts',
    '!../../../../packages/scenarios/src/**/*.test-support.ts',
    '!../../../../packages/scenarios/src/**/*.cost.ts',
    '!../../../../packages/scenarios/src/**/{index,host-report,comparison*}.ts',
    '!../../../../packages/scenarios/src/{demos,published}/*.ts',
  ],
  { eager: true },
);
const SOURCES = '../../../../packages/scenarios/src/';

/** Where the modules that stand for packages find them. */
const SHARED = Symbol.for('shootdown:packages');
const stand = new Map<string, string>();

/** A module whose exports are those of an object that is here already. */
function standFor(name: string, exports: object): string {
  const known = stand.get(name);
  if (known !== undefined) return known;
  const shared = ((globalThis as Record<symbol, unknown>)[SHARED] ??= {}) as Record<string, object>;
  shared[name] = exports;
  const lines = Object.keys(exports)
    .filter((key) => key !== 'default')
    .map((key) => `export const ${key} = shared.${key};`);
  const text = `const shared = globalThis[Symbol.for('shootdown:packages')][${JSON.stringify(name)}];\n${lines.join('\n')}`;
  const url = urlOf(text);
  stand.set(name, url);
  return url;
}

function urlOf(text: string): string {
  return URL.createObjectURL(new Blob([text], { type: 'text/javascript' }));
}

/** Where a module that is loaded stands, so that stack traces can be read. */
const loaded = new Map<string, string>();

/** The scenarios that a module exports. Throws ModelError: one line that begins with file and line where known. */
export async function scenariosOfModule(name: string, text: string): Promise<readonly Scenario[]> {
  const plain = withoutTypes(name, text);
  const url = urlOf(withOwnImports(name, plain));
  loaded.set(url, name);
  let exported: Readonly<Record<string, unknown>>;
  try {
    exported = (await import(/* @vite-ignore */ url)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw missingExport(name, text, error) ?? located(error);
  }
  const found = Object.values(exported).filter(isScenario);
  if (found.length === 0)
    throw new ModelError(
      `${name}:1: exports no object with name, variants and build() (has: ${Object.keys(exported).join(', ') || 'nothing'})`,
    );
  return found;
}

/** What browsers say of a name that a package has not. */
const MISSING = /['"](blob:[^'"]+)['"].*export.*?['"](\w+)['"]/;

function missingExport(name: string, text: string, error: unknown): ModelError | null {
  const [, url, missing] = (error instanceof SyntaxError && MISSING.exec(error.message)) || [];
  const from = [...stand].find(([, at]) => at === url)?.[0];
  if (from === undefined || missing === undefined) return null;
  return new ModelError(
    `${name}:${lineAt(text, text.search(new RegExp(`\\b${missing}\\b`)))}: ${from} exports no ${missing}`,
  );
}

function withoutTypes(name: string, text: string): string {
  return parsed(
    name,
    () => transform(text, { transforms: ['typescript'], disableESTransforms: true, filePath: name }).code,
  );
}

/** Throws ModelError with the line at which the parser stopped. */
function parsed<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const [, what = said, line = '1'] = /^(?:Error transforming [^:]*: )?(.*?) \((\d+):\d+\)$/s.exec(said) ?? [];
    throw new ModelError(`${name}:${line}: ${what}`);
  }
}

/** Imports of packages lead to this page; others are refused, because a module is alone here. */
function withOwnImports(name: string, text: string): string {
  let rewritten = '';
  let last = 0;
  for (const { at, from, to, isDynamic } of parsed(name, () => importsOf(text))) {
    const line = lineAt(text, at);
    const specifier = specifierIn(text, from, to, isDynamic);
    if (specifier === undefined) throw new ModelError(`${name}:${line}: import() of a name that is put together`);
    const url = resolve(name, specifier, line);
    rewritten += text.slice(last, from) + (isDynamic ? JSON.stringify(url) : url);
    last = to;
  }
  return rewritten + text.slice(last);
}

/** What is imported; undefined if that is put together at run time. What is written with escapes is not unpicked. */
function specifierIn(text: string, from: number, to: number, isDynamic: boolean): string | undefined {
  if (!isDynamic) return text.slice(from, to);
  return /^\s*[),]/.test(text.slice(to)) ? /(['"])([^'"\\]*)\1$/.exec(text.slice(from, to))?.[2] : undefined;
}

function resolve(name: string, specifier: string, line: number): string {
  const known = packages[specifier];
  if (known) return standFor(specifier, known);
  const file = specifier.startsWith('.') ? fileBeside(name, specifier) : undefined;
  if (file) return standFor(file.path, file.exports);
  throw new ModelError(
    `${name}:${line}: no module ${specifier} here: a module of the page imports packages (${Object.keys(packages).join(', ')})`,
  );
}

function fileBeside(name: string, specifier: string): { readonly path: string; readonly exports: object } | undefined {
  const parts = name
    .replace(/^packages\/scenarios\/src\//, '')
    .split('/')
    .slice(0, -1);
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  const path = SOURCES + parts.join('/');
  const exports = files[path];
  return exports && { path, exports };
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

function isScenario(value: unknown): value is Scenario {
  const { name, variants, build } = (value ?? {}) as Partial<Record<keyof Scenario, unknown>>;
  return typeof name === 'string' && typeof build === 'function' && Array.isArray(variants);
}

/** An error as one line; it begins with file and line of the module if its stack goes through one. */
export function located(error: unknown): ModelError {
  const said = error instanceof Error ? error.message : String(error);
  const plain = error instanceof Error && !/^(?:Model|Limit)Error$/.test(error.name) ? `${error.name}: ${said}` : said;
  if (/^[^\s:]+:\d+: /.test(said)) return new ModelError(said);
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    for (const [url, name] of loaded) {
      const line = (cause.stack ?? '').split(`${url}:`)[1]?.match(/^\d+/)?.[0];
      if (line !== undefined) return new ModelError(`${name}:${line}: ${plain}`);
    }
  }
  return new ModelError(plain);
}

/** What could reach out of the worker. Its policy forbids it already; here is nothing to try it with. */
const REACHES_OUT = [
  'fetch',
  'XMLHttpRequest',
  'WebSocket',
  'WebSocketStream',
  'EventSource',
  'WebTransport',
  'RTCPeerConnection',
  'Worker',
  'SharedWorker',
  'BroadcastChannel',
  'importScripts',
  'indexedDB',
  'caches',
  'Notification',
];

/** Takes away what a module must not have. */
export function closeTheDoors(): void {
  for (const name of REACHES_OUT) {
    for (let owner: object | null = globalThis; owner !== null; owner = Object.getPrototypeOf(owner) as object | null)
      Reflect.deleteProperty(owner, name);
  }
}
