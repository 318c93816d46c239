/** The command as it is installed: what it loads when a command is called is there, bundled or not. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { startShootdown } from './one-process.test-support.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'shootdown-bundle-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const litmus = join(folder, 'SB+mbs.litmus');
writeFileSync(
  litmus,
  `C SB+mbs

{}

P0(int *x, int *y)
{
	int r0;

	WRITE_ONCE(*x, 1);
	smp_mb();
	r0 = READ_ONCE(*y);
}

P1(int *x, int *y)
{
	int r0;

	WRITE_ONCE(*y, 1);
	smp_mb();
	r0 = READ_ONCE(*x);
}

exists (0:r0=0 /\\ 1:r0=0)
`,
);
type Line = readonly [status: number, ...words: string[]];
const unbundled: readonly Line[] = [
  [0, 'litmus', litmus, '--json'],
  [0, 'explore', litmus],
  [0, 'list', '--c', 'ptdump-vmalloc'],
  [0, 'machines'],
  [0, 'schema', 'topology'],
  [0, 'completion', 'bash'],
  [0, 'init', join(folder, 'mine')],
];
const bundled: readonly Line[] = [
  [0, 'hazards', 'copy_pte_range', '--arch', 'arm64', '--generation', 'current'],
  [0, 'check', 'lazy-order'],
  [0, 'mutate', 'lazy-order', '--variant', 'x86-native', '--json'],
  [2, 'run', 'lazy-tlb', '--max-steps', '2000', '--report', join(folder, 'report.html')],
];

describe.each([
  ['as files', unbundled, true],
  ['as a bundle', bundled, false],
] as const)('%s', (_, lines, loadsCode) => {
  const shootdown = startShootdown({ cwd: () => root, loadsCode });
  it.each(lines.map(([status, ...words]) => ({ status, words, what: words.slice(0, 2).join(' ') })))(
    '$what',
    async ({ status, words }) => {
      const result = await shootdown(...words);
      expect(result.stderr).not.toContain('a bug in shootdown');
      expect(result.status).toBe(status);
    },
  );
});

it('bin/shootdown.mjs replays what was saved of a program in C, whose grammar no bundle has', () => {
  const [program, saved] = [join(folder, 'one.c'), join(folder, 'saved.json')];
  writeFileSync(program, 'int x;\nvoid P0(void)\n{\n\tWRITE_ONCE(x, 1);\n}\n');
  const scenario = { name: program, variant: 'program', memoryModel: 'sc', parameters: {} };
  writeFileSync(saved, JSON.stringify({ shootdown: 1, scenario, schedule: '0' }));
  const { status, stderr } = spawnSync(process.execPath, [join(root, 'apps/lab/bin/shootdown.mjs'), 'replay', saved], {
    encoding: 'utf8',
    env: { ...process.env, SHOOTDOWN_STACK: '' },
  });
  expect(stderr).not.toContain('a bug in shootdown');
  expect(status).toBe(0);
});

it('bin/shootdown.mjs runs the bundle, without the files that it is made of', () => {
  const installed = join(folder, 'installed');
  mkdirSync(join(installed, 'dist'), { recursive: true });
  for (const part of ['package.json', 'bin', 'dist/bundle'])
    cpSync(join(root, 'apps/lab', part), join(installed, part), { recursive: true });
  // It has to be there, and is not loaded.
  writeFileSync(join(installed, 'dist/shootdown.js'), 'throw new Error();');
  const words = [join(installed, 'bin/shootdown.mjs'), 'check', 'lazy-order'];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, expect.not.stringContaining('Error')]);
  expect(stdout).toContain('lazy-order');
});
