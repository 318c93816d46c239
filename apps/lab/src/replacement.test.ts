import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startShootdown } from './one-process.test-support.ts';

const shootdown = startShootdown({ loadsCode: true });
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
  return shootdown('explore', 'ptdump-vmalloc', '--variant', 'v6-one-dumper', '--replace', path, ...flags);
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
  it('takes its routines in place of the variant and says so', async () => {
    const path = file('mine.mjs', WITHOUT_THE_WAIT);
    const { status, stdout } = await explore(path);
    expect(status).toBe(12);
    expect(stdout).toContain(`replaced: pud_free_pmd_page() (${path})`);
    expect(stdout.replaceAll(/ *\\\n */g, ' ')).toContain(`--replace ${path}`);
    expect(stdout).not.toContain('as expected');
  });

  it('builds the same in worker threads', async () => {
    const path = file('mine.mjs', WITHOUT_THE_WAIT);
    const one = JSON.parse((await explore(path, '--json')).stdout) as Record<string, unknown>;
    const two = JSON.parse((await explore(path, '--json', '--workers', '2')).stdout) as Record<string, unknown>;
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
  ])('refuses %s', async (_, text, said) => {
    const { status, stderr, stdout } = await explore(file(`bad-${said.length}.mjs`, text));
    expect([status, stdout]).toEqual([10, '']);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain(said);
  });
});

const C_FUNCTION = `int pud_free_pmd_page(pud_t *pudp, unsigned long addr)
{
	pmd_t *table = pmd_offset(pudp, addr);

	pud_clear(pudp);
	__flush_tlb_kernel_pgtable(addr);
	pmd_free(&init_mm, table);
	return 1;
}
`;
const WAIT = [
  'static_branch_unlikely(&arm64_ptdump_lock_key)',
  'mmap_read_lock(&init_mm)',
  'mmap_read_unlock(&init_mm)',
];
const PATCH = `--- a/arch/arm64/mm/mmu.c
+++ b/arch/arm64/mm/mmu.c
@@ -1500,9 +1500,13 @@ int before_it(void)
${C_FUNCTION.replaceAll(/^/gm, ' ')
  .trimEnd()
  .replace(' \tpmd_free', `+	if (${WAIT[0]}) {\n+		${WAIT[1]};\n+		${WAIT[2]};\n+	}\n \tpmd_free`)}
`;

describe('--replace with C', () => {
  it('says which line of the file does what', async () => {
    const { status, stdout } = await explore(file('my.c', C_FUNCTION));
    expect(status).toBe(12);
    expect(stdout).toContain('pmd_free(0x1) :7');
  });

  it('shows both sides of a patch, with the lines of the kernel file', async () => {
    const path = file('my.patch', PATCH);
    const { status, stdout } = await explore(path);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^before: VIOLATION, after: SAFE\n/);
    expect(stdout).toContain('pmd_free(0x1) :1506');
    const { before, after } = JSON.parse((await explore(path, '--json')).stdout) as Record<
      string,
      Record<string, unknown>
    >;
    expect([before?.['verdict'], after?.['verdict']]).toEqual(['violation', 'safe']);
  });

  it('replays the side that was wrong', async () => {
    const path = file('my.patch', PATCH);
    const { stdout } = await explore(path, '--side', 'before', '--json');
    const { schedule } = JSON.parse(stdout) as { schedule: string };
    const words = ['replay', 'ptdump-vmalloc', '--variant', 'v6-one-dumper', '--replace', path, '--side', 'before'];
    const replayed = await shootdown(...words, '--schedule', schedule);
    expect(replayed.status).toBe(12);
    expect(replayed.stdout).toContain('pmd_free(0x1) :1506');
  });

  it.each([
    ['', 'empty.c:1: no function here (can be replaced: '],
    ['int f(void) { return 1; }', 'f.c:1: nothing here has the name of a routine: f (have: '],
    [
      '\nint pud_free_pmd_page(pud_t *p) { return 1; }',
      'expected int pud_free_pmd_page(pud_t *pudp, unsigned long addr)',
    ],
    [
      'int pud_free_pmd_page(pud_t *p, unsigned long a)\n{\n\tpud_claer(p);\n\treturn 1;\n}',
      ':3: pud_claer() is not known here: is pud_clear meant?',
    ],
  ])('refuses %j', async (text, said) => {
    const name = /^\w+\.c/.exec(said)?.[0] ?? 'bad.c';
    const { status, stderr } = await explore(file(name, text));
    expect([status, stderr.trim().split('\n').length]).toEqual([10, 1]);
    expect(stderr).toContain(said);
  });

  it('prints what a scenario offers', async () => {
    const { status, stdout } = await shootdown('list', '--c', 'ptdump-vmalloc');
    expect(status).toBe(0);
    expect(stdout).toContain('void pud_clear(pud_t *pudp);');
    expect((await shootdown('list', '--c', 'kvm-pv-flush')).stderr).toContain(
      'offers nothing to C (have: ptdump-vmalloc',
    );
  });
});
