import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

test('no routine stands twice: versions of a kernel function live side by side in one file', () => {
  const files = new Map<string, Set<string>>();
  for (const file of readdirSync(`${root}/packages`, { recursive: true, encoding: 'utf8' })) {
    // An architecture has its own version of what every architecture has.
    if (!/^[^/]+\/src\/.*\.ts$/.test(file) || /\.test\.ts$|test-support|\/arch\//.test(file)) continue;
    const text = readFileSync(`${root}/packages/${file}`, 'utf8');
    for (const [, name] of text.matchAll(/\b(?:routine|inlined)(?:<[^(]*>)?\(\s*'([A-Za-z_0-9]+)'/g)) {
      const known = files.get(name as string) ?? new Set();
      files.set(name as string, known.add(file));
    }
  }
  expect(files.size).toBeGreaterThan(100);
  expect([...files].filter(([, where]) => where.size > 1).map(([name, where]) => [name, ...where])).toEqual([]);
});
