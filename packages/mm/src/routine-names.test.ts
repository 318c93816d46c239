import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/**
 * What still stands twice: `contpte` and `lazy-mmu` have versions of the kernel's functions for their own entries, and
 * tasks of several scenarios have the same name. The list may only become shorter.
 */
const KNOWN = [
  'DMA',
  '__contpte_try_fold',
  'change_pte_range',
  'clear_full_ptes',
  'contpte_convert',
  'contpte_ptep_set_access_flags',
  'copy_pte_range',
  'fork',
  'getsGlobalAsid',
  'gup_fast_pte_range',
  'handle_pte_fault',
  'madvise',
  'madvise_cold_or_pageout_pte_range',
  'mprotect',
  'ptep_get_lockless',
  'schedule',
  'swapper',
  'tlb_finish_mmu',
  'unmap_region',
  'user',
  'zap_page_range_single',
  'zap_pte_range',
] as const;

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
  const twice = [...files].filter(([, where]) => where.size > 1).map(([name]) => name);
  expect(twice.sort()).toEqual([...KNOWN]);
});
