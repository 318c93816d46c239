import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startShootdown } from './one-process.test-support.ts';

const page = readFileSync(new URL('../../../docs/contpte.md', import.meta.url), 'utf8');
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shootdown = startShootdown({ loadsCode: true });

describe('docs/contpte.md', () => {
  it('shows a patch of one file that brings back a bug of v6.17-rc', async () => {
    const patch = /```js mine\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
    expect(patch.split('\n').length).toBeLessThanOrEqual(20);
    const path = join(folder, 'mine.mjs');
    writeFileSync(path, patch);
    const words = ['explore', 'contpte-mremap', '--variant', 'batched/mixed'];
    expect((await shootdown(...words)).status).toBe(0);
    const { status, stdout } = await shootdown(...words, '--replace', path);
    expect(status).toBe(12);
    expect(stdout).toContain('mremap() makes no page writable');
  });
});

describe('shootdown tlb --contpte', () => {
  it('shows the reach gained by contiguous entries on a real trace', async () => {
    const { status, stdout } = await shootdown('tlb', 'apps/lab/data/traces/sort-3m.u64.gz', '--contpte', '--json');
    expect(status).toBe(0);
    const { mappings, l2 } = JSON.parse(stdout) as {
      readonly l2: { readonly misses: number };
      readonly mappings: readonly { readonly l2ReachBytes: number; readonly l2: { readonly misses: number } }[];
    };
    const [pages, folios] = mappings;
    expect(pages?.l2).toEqual(l2);
    expect(folios?.l2ReachBytes).toBe(16 * (pages?.l2ReachBytes ?? 0));
    expect(folios?.l2.misses).toBeLessThan((pages?.l2.misses ?? 0) / 4);
  });
});
