import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const NAME = /\b(?:routine(?:<[^(]*>)?\(\s*'([^']+)'|inlined(?:<[^(]*>)?\(\s*function\s*\*\s*(\w+))/g;

/** Names that a file gives to routines. */
function namesIn(file: string): readonly string[] {
  const text = readFileSync(`${root}/packages/${file}`, 'utf8');
  return [...text.matchAll(NAME)].flatMap(([, routine, inlined]) => routine ?? inlined ?? []);
}

/** Where a file's versions belong: an architecture has its own of what every kernel has. */
function houseOf(file: string): string {
  const [, below] = /^mm\/src\/arch\/(.+)$/.exec(file) ?? [];
  if (below === undefined) return 'every kernel';
  return /^([^/]+)\//.exec(below)?.[1] ?? 'the TLBs';
}

test('no routine stands twice: versions of a kernel function live side by side in one file', () => {
  const files = new Map<string, Set<string>>();
  for (const file of readdirSync(`${root}/packages`, { recursive: true, encoding: 'utf8' })) {
    if (!/^[^/]+\/src\/.*\.ts$/.test(file) || /\.test\.ts$|test-support/.test(file)) continue;
    for (const name of namesIn(file)) files.set(name, (files.get(name) ?? new Set()).add(file));
  }
  expect(files.size).toBeGreaterThan(200);
  const twice = [...files].flatMap(([name, where]) => {
    const houses = [...where].map(houseOf);
    const ofOne = houses.some((house, i) => house !== 'the TLBs' && houses.indexOf(house) !== i);
    // What is an architecture's own is not written again by those who use it.
    const outside = [...where].filter((file) => !file.startsWith('mm/'));
    return ofOne || (outside.length > 0 && where.size > 1) ? [[name, ...where]] : [];
  });
  expect(twice).toEqual([]);
});
