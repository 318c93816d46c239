import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const command = new URL('../bin/shootdown.mjs', import.meta.url).pathname;
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function explore(path: string, ...flags: string[]) {
  const words = [command, 'explore', 'ptdump-vmalloc', '--variant', 'v6-one-dumper', '--replace', path, ...flags];
  return spawnSync(process.execPath, words, { encoding: 'utf8' });
}

const WITHOUT_THE_WAIT = `
export function* pud_free_pmd_page(kernel, cpu, pudp) {
  const pud = yield* kernel.get(pudp, 'pudp_get');
  yield* kernel.clear(pudp, 'pud');
  yield* kernel.__flush_tlb_kernel_pgtable();
  yield* kernel.free(pud >>> 12, 'pmd_free');
  return 1;
}`;

describe('--replace with a module', () => {
  it('takes its routines in place of the variant and says so', () => {
    const path = file('mine.mjs', WITHOUT_THE_WAIT);
    const { status, stdout } = explore(path);
    expect(status).toBe(12);
    expect(stdout).toContain(`replaced: pud_free_pmd_page() (${path})`);
    expect(stdout.replaceAll(/ *\\\n */g, ' ')).toContain(`--replace ${path}`);
    expect(stdout).not.toContain('as expected');
  });

  it('builds the same in worker threads', () => {
    const path = file('mine.mjs', WITHOUT_THE_WAIT);
    const one = JSON.parse(explore(path, '--json').stdout) as Record<string, unknown>;
    const two = JSON.parse(explore(path, '--json', '--workers', '2').stdout) as Record<string, unknown>;
    expect([two['verdict'], two['property'], two['replaced']]).toEqual([
      one['verdict'],
      one['property'],
      ['pud_free_pmd_page'],
    ]);
  });

  it.each([
    ['a name that the kernel has not', 'export function* pud_free_pmd_pgae() {}', 'did you mean pud_free_pmd_page?'],
    ['no routine', 'export const x = 1;', 'exports no routine (has: x)'],
    ['no JavaScript', 'export function* (', 'cannot be loaded (SyntaxError'],
  ])('refuses %s', (_, text, said) => {
    const { status, stderr, stdout } = explore(file(`bad-${said.length}.mjs`, text));
    expect([status, stdout]).toEqual([10, '']);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain(said);
  });
});
