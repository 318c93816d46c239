import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startShootdown, type Said } from './one-process.test-support.ts';

const C_FUNCTION = `int pud_free_pmd_page(pud_t *pudp, unsigned long addr)
{
	pmd_t *table = pmd_offset(pudp, addr);

	pud_clear(pudp);
	__flush_tlb_kernel_pgtable(addr);
	pmd_free(&init_mm, table);
	return 1;
}
`;

const lines = {
  check: 'check ptdump-vmalloc --variant v2 --memory-model sc --replace my.c --json',
  run: 'run ptdump-vmalloc --variant v6-one-dumper --replace my.c --format text',
  counts: 'run ptdump-vmalloc --variant v6-one-dumper --replace my.c',
  flushes: 'run shootdown --json',
  'flushes not': 'run shootdown --json --replace no-flush.mjs',
  compare: 'compare shootdown --replace no-flush.mjs --json',
  called: 'run numa-balancing --replace no-scan.mjs --json',
  uncalled: 'run two-cpu-shootdown --replace no-scan.mjs --json',
};
const refused = [
  ['run shootdown --replace my.c', 10, 'shootdown offers nothing to C: give a module'],
  ['run shootdown --replace unknown.mjs', 10, 'did you mean flush_tlb_mm_range?'],
  ['run shootdown --replace no-flush.mjs --save-schedule s', 64, '--save-schedule does not go with --replace'],
  ['compare change-pte --replace no-flush.mjs', 64, '--replace goes with contpte, ptdump-vmalloc'],
] as const;

let folder = '';
const said = new Map<string, Said>();
const shootdown = startShootdown({ cwd: () => folder, loadsCode: true });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
  writeFileSync(join(folder, 'my.c'), C_FUNCTION);
  writeFileSync(join(folder, 'no-flush.mjs'), 'export function* flush_tlb_mm_range() {}\n');
  writeFileSync(join(folder, 'no-scan.mjs'), 'export function* task_numa_work() {}\n');
  writeFileSync(join(folder, 'unknown.mjs'), 'export function* flush_tlb_mm_rnge() {}\n');
  const all = Object.values(lines);
  const results = await Promise.all(all.map((line) => shootdown(...line.split(' '))));
  all.forEach((line, i) => said.set(line, results[i] as Said));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const of = (name: keyof typeof lines): Said => said.get(lines[name]) as Said;

describe('--replace', () => {
  it('of check: a variant with the function gives the verdict that is expected of it, or does not', () => {
    const { status, stdout } = of('check');
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
    expect(of('run').stdout).toContain('pud_clear(0x0[0]) :5');
    expect(of('counts').stdout).toMatch(
      /^replaced: pud_free_pmd_page\(\) \(my\.c\)\nptdump-vmalloc \/ v6-one-dumper: rest after \d+ steps/,
    );
  });

  it('of run: a machine without its flush sends no IPI', () => {
    const received = (name: keyof typeof lines): number => {
      const { total } = JSON.parse(of(name).stdout) as { total: Record<string, number[]> };
      return (total['irq_tlb_count'] ?? []).reduce((sum, n) => sum + n, 0);
    };
    expect([received('flushes'), received('flushes not')]).toEqual([1, 0]);
  });

  it('of compare: machines as they ship, and with the file', () => {
    const { rows } = JSON.parse(of('compare').stdout) as { rows: { variant: string }[] };
    expect(rows.map(({ variant }) => variant)).toEqual(['shootdown', 'shootdown with no-flush.mjs']);
  });

  it('of run: what a machine comes to call late is replaced, and what it never calls is said', () => {
    expect(of('called').stdout).toContain('"replaced":["task_numa_work"]');
    expect(of('called').stdout).not.toContain('"numa_hint_faults"');
    expect(of('called').stderr).not.toContain('replace:');
    expect(of('uncalled').status).toBe(0);
    expect(of('uncalled').stderr).toContain(
      'replace: no-scan.mjs: two-cpu-shootdown has not called task_numa_work()\n',
    );
  });

  it.each(refused)('%s: is refused', async (line, code, text) => {
    const { status, stdout, stderr } = await shootdown(...line.split(' '));
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr).toContain(text);
  });
});
