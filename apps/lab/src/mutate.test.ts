import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startShootdown } from './one-process.test-support.ts';

const bin = join(new URL('../', import.meta.url).pathname, 'bin/shootdown.mjs');
const v1 = ['ptdump-vmalloc', '--variant', 'v1'];
const clear = 'pud_free_pmd_page/pud_clear:leave-out';

const shootdown = startShootdown();

interface Mutant {
  readonly routine: string;
  readonly step: string;
  readonly change: string;
  readonly result: string;
  readonly property: string | null;
  readonly schedule: string | null;
  readonly witnessGone: boolean;
  readonly command: string;
}

describe('shootdown mutate', () => {
  it('prints one JSON document with what each line is needed for, and exits with 0', async () => {
    const { status, stdout } = await shootdown('mutate', ...v1, '--json', '--workers', '2');
    const { mutants, ...head } = JSON.parse(stdout) as { mutants: readonly Mutant[] };
    expect(status).toBe(0);
    expect(head).toMatchObject({ scenario: 'ptdump-vmalloc', variant: 'v1', memoryModel: 'sc', complete: true });
    const find = (name: string): Mutant | undefined =>
      mutants.find(({ routine, step, change }) => `${routine}/${step}:${change}` === name);
    expect(find(clear)).toMatchObject({
      result: 'needed',
      property: 'no table is freed while a walk cache may point to it',
      witnessGone: false,
      command: `npx shootdown explore ptdump-vmalloc --variant v1 --mutate '${clear}'`,
    });
    expect(find(clear)?.schedule).toMatch(/^[\d,.x]+$/);
    expect(find('pud_free_pmd_page/isb:leave-out')).toMatchObject({ result: 'no difference', property: null });
    expect(find('ptdump_show/ptdump_walk_pgd:leave-out')).toMatchObject({
      result: 'needed',
      property: 'the lock is contended',
      schedule: null,
      witnessGone: true,
    });
    expect(new Set(mutants.map((m) => m.result))).toEqual(new Set(['needed', 'not needed', 'no difference']));
    expect(new Set(mutants.map((m) => `${m.routine}/${m.step}:${m.change}`)).size).toBe(mutants.length);
    const lines = mutants.filter((m) => m.routine === 'pud_free_pmd_page').map((m) => m.step);
    expect([...new Set(lines)]).toEqual([
      'pudp_get',
      'mmap_read_lock',
      'pud_clear',
      'mmap_read_unlock',
      '__flush_tlb_kernel_pgtable',
      'isb',
      'pmd_free',
    ]);
  });

  it('prints a table by routine and line otherwise, and progress on stderr', async () => {
    const { status, stdout, stderr } = await shootdown('mutate', ...v1, '--workers', '1');
    expect(status).toBe(0);
    expect(stdout).toContain(`pmd_free_pte_page()  [CPU1]
  mmap_read_lock(init_mm)                       pair left out     NEEDED: no access to a freed frame or table`);
    // The walk caches are modelled here, so nothing is said to be missing of their invalidation.
    expect(stdout).toMatch(
      /__flush_tlb_kernel_pgtable\(\) +left out +NEEDED: no table is freed while a walk cache may point to it/,
    );
    expect(stdout).not.toContain('not modelled');
    expect(stdout).toMatch(/a witness is gone: the lock is contended/);
    expect(stderr).toMatch(/^1 of \d+: /m);
  });

  it('says of a line what of it is not modelled', async () => {
    // Without its barrier the flush is that of a machine whose walk caches hold nothing.
    const { stdout } = await shootdown('mutate', 'ptdump-vmalloc', '--variant', 'v6-no-barrier', '--workers', '1');
    expect(stdout).toMatch(/__flush_tlb_kernel_pgtable\(\) .* no difference.*not modelled: the invalidation/);
  });

  it('stops each search at a bound, and says so', async () => {
    const { status, stdout } = await shootdown('mutate', ...v1, '--max-states', '165', '--json', '--workers', '1');
    const { mutants } = JSON.parse(stdout) as { mutants: readonly Mutant[] };
    expect(status).toBe(2);
    expect(mutants.some((m) => m.result === 'bounded')).toBe(true);
  });

  it('changes nothing of what is not safe as it is', async () => {
    const { status, stdout } = await shootdown('mutate', 'ptdump-vmalloc', '--variant', 'unlocked');
    expect(status).toBe(12);
    expect(stdout).toMatch(/VIOLATION as it is \(no access to a freed frame or table\)/);
  });

  it('takes the path of a module', async () => {
    const module = join(new URL('../dist/examples/my-patch.js', import.meta.url).pathname);
    const { status, stdout } = await shootdown(
      'mutate',
      module,
      '--variant',
      'clear-check-free',
      '--json',
      '--workers',
      '1',
    );
    expect(status).toBe(0);
    const { mutants } = JSON.parse(stdout) as { mutants: readonly Mutant[] };
    const trylock = mutants.find(({ step }) => step === 'mmap_read_trylock');
    expect(trylock).toMatchObject({ routine: 'pud_free_pmd_page', change: 'leave-out-pair', result: 'needed' });
  });

  it('prints what it knows when it is interrupted', async () => {
    const child = spawn(process.execPath, [
      bin,
      'mutate',
      'ptdump-vmalloc',
      '--variant',
      'v6',
      '--json',
      '--workers',
      '1',
    ]);
    let stdout = '';
    child.stdout.on('data', (data: Buffer) => (stdout += data.toString()));
    // Before the first line is judged, the search of the code as it is may have said how far it is.
    child.stderr.on('data', (data: Buffer) => /^\d+ of \d+: /m.test(data.toString()) && child.kill('SIGINT'));
    const status = await new Promise((resolve) => child.once('close', resolve));
    expect(status).toBe(130);
    const results = (JSON.parse(stdout) as { mutants: readonly Mutant[] }).mutants.map(({ result }) => result);
    expect(results).toContain('not judged');
  });
});

describe('one line changed', () => {
  it('is searched by explore, the same by several workers, and what it finds is replayed', async () => {
    const explored = await shootdown('explore', ...v1, '--mutate', clear, '--json');
    expect(explored.status).toBe(12);
    const found = JSON.parse(explored.stdout) as { schedule: string; states: number; expected: unknown };
    const { schedule, states } = found;
    expect(found.expected).toBeNull();
    const together = await shootdown('explore', ...v1, '--mutate', clear, '--json', '--workers', '2');
    expect(JSON.parse(together.stdout)).toMatchObject({ schedule, states });
    const replayed = await shootdown('replay', ...v1, '--mutate', clear, '--schedule', schedule);
    expect(replayed.status).toBe(12);
    expect(replayed.stdout).toContain('(no pud_clear(0x0[0]))');
    const { stdout: text } = await shootdown('explore', ...v1, '--mutate', clear);
    expect(text).toContain(`with one line changed: ${clear}`);
    expect(text.replaceAll(/[\\\s]+/g, ' ')).toContain(`--mutate '${clear}' --schedule ${schedule}`);
  });

  it.each([
    [
      'lazy_mmu_mode_enable/enable_cuont:leave-out',
      /no step of lazy_mmu_mode_enable enable_cuont \(have: enable_count/,
    ],
    ['pud_free/pud_clear:leave-out', /no routine pud_free \(have: /],
    ['lazy_mmu_mode_enable/enable_count:weaken', /no change of \S+ weaken \(have: leave-out/],
    ['pud_clear', /expected routine\/step:change/],
  ])('%s names none', async (name, message) => {
    // The lines that there are come of a search: of a small one.
    const { status, stderr } = await shootdown('explore', 'lazy-order', '--variant', 'x86-native', '--mutate', name);
    expect(status).toBe(10);
    expect(stderr).toMatch(message);
    expect(stderr.trim()).not.toContain('\n');
  });
});
