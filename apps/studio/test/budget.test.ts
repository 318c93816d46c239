/** What a page has to load: all of its script, and what a first verdict waits for. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

const KILOBYTE = 1000;
const dist = join(import.meta.dirname, '../dist');
const files = readdirSync(join(dist, 'assets')).filter((name) => name.endsWith('.js'));
const texts = new Map(files.map((name) => [name, readFileSync(join(dist, 'assets', name), 'utf8')]));
const sizes = new Map<string, number>();

/** Static hosts compress in either of these ways. */
const ways = {
  brotli: (text: string) => brotliCompressSync(text),
  /** Nearly as small, in a fraction of the time. */
  quick: (text: string) => brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 10 } }),
  gzip: (text: string) => gzipSync(text),
};

function kilobytes(names: Iterable<string>, way: keyof typeof ways): number {
  let sum = 0;
  for (const name of names) {
    const size = sizes.get(`${way} ${name}`) ?? ways[way](texts.get(name) ?? '').length;
    sizes.set(`${way} ${name}`, size);
    sum += size;
  }
  return sum / KILOBYTE;
}

/** Whether they are so few kilobytes in brotli at its best, which takes seconds and is asked only if need be. */
function atMost(names: readonly string[] | ReadonlySet<string>, most: number): boolean {
  return kilobytes(names, 'quick') <= most || kilobytes(names, 'brotli') <= most;
}

function importsOf(name: string): string[] {
  const imports = (texts.get(name) ?? '').matchAll(/\b(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g);
  return [...imports].map(([, other = '']) => other);
}

/** A module and everything that it imports before it runs. */
function withImports(name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const other of importsOf(name)) withImports(other, seen);
  return seen;
}

/** The first circle of files that import one another. */
function circle(name: string, above: readonly string[] = [], done = new Set<string>()): readonly string[] | null {
  if (above.includes(name)) return [...above, name];
  if (done.has(name)) return null;
  done.add(name);
  for (const other of importsOf(name)) {
    const found = circle(other, [...above, name], done);
    if (found) return found;
  }
  return null;
}

function only(pattern: RegExp, text: string): string {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`the build has nothing that matches ${pattern}`);
  return found;
}

describe('the script of the page', () => {
  it('is at most 500 kB, all screens together', () => {
    expect(atMost(files, 500)).toBe(true);
    // Not every host has brotli: with the older way it is more, and no page ever loads all of it.
    expect(kilobytes(files, 'gzip')).toBeLessThanOrEqual(560);
  });

  it('has no files that import one another: a class may extend one that is not there yet', () => {
    expect(files.map((name) => circle(name)).filter((found) => found !== null)).toEqual([]);
  });

  it('is at most 120 kB before the first verdict', () => {
    const page = only(/<script [^>]*src="\.\/assets\/([^"]+)"/, readFileSync(join(dist, 'index.html'), 'utf8'));
    const worker = files.find((name) => name.startsWith('engine.worker-')) ?? '';
    const scenario = only(
      /ptdump-vmalloc\.ts["'`]:\s*\(\)\s*=>\s*import\(["'`]\.\/([\w.-]+\.js)/,
      texts.get(worker) ?? '',
    );
    const loaded = new Set([page, worker, scenario].flatMap((name) => [...withImports(name)]));
    expect(atMost(loaded, 120)).toBe(true);
    // Not every host has brotli: see above.
    expect(kilobytes(loaded, 'gzip')).toBeLessThanOrEqual(125);
  });
});
