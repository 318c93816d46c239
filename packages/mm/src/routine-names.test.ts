import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * Rooms that have versions of the kernel's functions for entries of their own; they wait for being brought together
 * with it.
 */
const ROOMS_OF_THEIR_OWN = /\/(?:contpte|lazy|lazy-mmu)\//;

/** Tasks of several scenarios that have the same name. The list may only become shorter. */
const KNOWN = ['getsGlobalAsid', 'madvise', 'schedule', 'unmap_region', 'user'];

test('no routine stands twice: versions of a kernel function live side by side in one file', () => {
  const files = new Map<string, Set<string>>();
  for (const file of readdirSync(`${root}/packages`, { recursive: true, encoding: 'utf8' })) {
    // An architecture has its own version of what every architecture has.
    if (!/^[^/]+\/src\/.*\.ts$/.test(file) || /\.test\.ts$|test-support|\/arch\//.test(file)) continue;
    if (ROOMS_OF_THEIR_OWN.test(file)) continue;
    const text = readFileSync(`${root}/packages/${file}`, 'utf8');
    for (const [, name] of text.matchAll(/\b(?:routine|inlined)(?:<[^(]*>)?\(\s*'([A-Za-z_0-9]+)'/g)) {
      const known = files.get(name as string) ?? new Set();
      files.set(name as string, known.add(file));
    }
  }
  expect(files.size).toBeGreaterThan(100);
  const twice = [...files].filter(([name, where]) => where.size > 1 && !KNOWN.includes(name));
  expect(twice.map(([name, where]) => [name, ...where])).toEqual([]);
});
