/** What a page has to load: all of its script, and what a first verdict waits for. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

const KILOBYTE = 1000;
const dist = join(import.meta.dirname, '../dist');
const files = readdirSync(join(dist, 'assets')).filter((name) => name.endsWith('.js'));
const texts = new Map(files.map((name) => [name, readFileSync(join(dist, 'assets', name), 'utf8')]));
const sizes = new Map<string, number>();

/** Compressed as static hosts do it. */
function kilobytes(names: Iterable<string>): number {
  let sum = 0;
  for (const name of names) {
    const size = sizes.get(name) ?? brotliCompressSync(texts.get(name) ?? '').length;
    sizes.set(name, size);
    sum += size;
  }
  return sum / KILOBYTE;
}

/** A module and everything that it imports before it runs. */
function withImports(name: string, seen = new Set<string>()): Set<string> {
  if (seen.has(name)) return seen;
  seen.add(name);
  for (const [, other = ''] of (texts.get(name) ?? '').matchAll(/\b(?:from|import)\s*["']\.\/([\w.-]+\.js)["']/g))
    withImports(other, seen);
  return seen;
}

function only(pattern: RegExp, text: string): string {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`the build has nothing that matches ${pattern}`);
  return found;
}

describe('the script of the page', () => {
  it('is at most 500 kB', () => {
    expect(kilobytes(files)).toBeLessThanOrEqual(500);
  });

  it('is at most 120 kB before the first verdict', () => {
    const page = only(/<script [^>]*src="\.\/assets\/([^"]+)"/, readFileSync(join(dist, 'index.html'), 'utf8'));
    const worker = files.find((name) => name.startsWith('engine.worker-')) ?? '';
    const scenario = only(/ptdump-vmalloc\.ts["'`]:\s*\(\) => import\(["'`]\.\/([\w.-]+\.js)/, texts.get(worker) ?? '');
    const loaded = new Set([page, worker, scenario].flatMap((name) => [...withImports(name)]));
    expect(kilobytes(loaded)).toBeLessThanOrEqual(120);
  });
});
