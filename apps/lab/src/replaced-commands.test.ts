import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const command = new URL('../bin/shootdown.mjs', import.meta.url).pathname;
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
  writeFileSync(join(folder, 'my.c'), C_FUNCTION);
  writeFileSync(join(folder, 'no-flush.mjs'), 'export function* flush_tlb_mm_range() {}\n');
  writeFileSync(join(folder, 'unknown.mjs'), 'export function* flush_tlb_mm_rnge() {}\n');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const C_FUNCTION = `int pud_free_pmd_page(pud_t *pudp, unsigned long addr)
{
	pmd_t *table = pmd_offset(pudp, addr);

	pud_clear(pudp);
	__flush_tlb_kernel_pgtable(addr);
	pmd_free(&init_mm, table);
	return 1;
}
`;

function shootdown(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...words], {
    cwd: folder,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

describe('--replace', () => {
  it('of check: every variant with the function gives the verdict that is expected of it, or does not', () => {
    const words = ['check', 'ptdump-vmalloc', '--variant', 'v2', '--memory-model', 'sc', '--replace', 'my.c'];
    const { status, stdout } = shootdown(...words, '--json');
    const [row] = JSON.parse(stdout) as Record<string, unknown>[];
    expect(row).toMatchObject({
      expected: 'safe',
      verdict: 'violation',
      agrees: false,
      replaced: ['pud_free_pmd_page'],
    });
    expect(status).toBe(12);
  });

  it('of run: a scenario runs once, with the lines of the file in its timeline', () => {
    const words = ['run', 'ptdump-vmalloc', '--variant', 'v6-one-dumper', '--replace', 'my.c'];
    expect(shootdown(...words, '--format', 'text').stdout).toContain('pud_clear(0x0[0]) :5');
  });

  it('of run: a machine without its flush sends no IPI', () => {
    const received = (...flags: string[]): unknown => {
      const { total } = JSON.parse(shootdown('run', 'shootdown', '--json', ...flags).stdout) as {
        total: Record<string, number[]>;
      };
      return (total['irq_tlb_count'] ?? []).reduce((sum, n) => sum + n, 0);
    };
    expect([received(), received('--replace', 'no-flush.mjs')]).toEqual([1, 0]);
  });

  it('of compare: machines and scenarios as they ship, and with the file', () => {
    const variants = (...words: string[]): unknown => {
      const { rows } = JSON.parse(shootdown('compare', ...words, '--json').stdout) as { rows: { variant: string }[] };
      return rows.map(({ variant }) => variant);
    };
    expect(variants('shootdown', '--replace', 'no-flush.mjs')).toEqual(['shootdown', 'shootdown with no-flush.mjs']);
  });

  it.each([
    ['run shootdown --replace my.c', 10, 'shootdown offers nothing to C: give a module'],
    ['run shootdown --replace unknown.mjs', 10, 'did you mean flush_tlb_mm_range?'],
    ['run shootdown --replace no-flush.mjs --save-schedule s', 64, '--save-schedule does not go with --replace'],
    ['compare change-pte --replace no-flush.mjs', 64, '--replace goes with contpte, ptdump-vmalloc'],
    ['check contpte-fold --replace my.c', 10, 'my.c:1: type pud_t is not known'],
  ])('%s: is refused', (words, code, said) => {
    const { status, stdout, stderr } = shootdown(...words.split(' '));
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr).toContain(said);
  });
});
