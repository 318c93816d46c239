/** A newcomer's machine: a topology and a routine file of one's own, in a folder outside of the repository. */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startShootdown } from './one-process.test-support.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-own-'));
  writeFileSync(join(folder, 'mine.mjs'), MINE);
  writeFileSync(join(folder, 'broken.mjs'), 'export function* mapper( {');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The files of docs/runs.md. */
const page = readFileSync(new URL('../../../docs/runs.md', import.meta.url), 'utf8');
const fileOf = (name: string): string => page.split(` ${name}\n`)[1]?.split('```')[0] ?? '';
const MINE = fileOf('mine.mjs');

function topology(name: string, changes: object): string {
  const path = join(folder, `${name}.json`);
  const threads = [{ cpu: 0, routine: 'mapper' }];
  writeFileSync(
    path,
    JSON.stringify({
      name,
      architecture: 'x86-64-4l',
      cpus: 1,
      tlb: { l1: '1x1', l2: '1x1', walkCache: 1 },
      memory: { tables: 5, pages: 1 },
      routines: './mine.mjs',
      processes: [{ name: 'p', threads }],
      ...changes,
    }),
  );
  return path;
}

const shootdown = startShootdown({ cwd: () => folder, loadsCode: true });

test('it runs and is explored', async () => {
  const path = topology('own', {});
  const { stdout, stderr, status } = await shootdown('run', path, '--json');
  // On a busy machine it says how far it is.
  expect(stderr).toMatch(/^([\d,]+ steps, .*\n)*$/);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ end: 'done', violation: null, total: { pgfault: [1] } });
  const explored = await shootdown('explore', path, '--json', '--max-states', '20000');
  expect(JSON.parse(explored.stdout)).toMatchObject({ scenario: 'own', property: null });
  expect([0, 2]).toContain(explored.status);
});

test('any routine of the kernel can be replaced, and those that nobody calls are named', async () => {
  writeFileSync(join(folder, 'patch.mjs'), 'export function* fork() {}');
  writeFileSync(join(folder, 'typo.mjs'), 'export function* frok() {}');
  const path = topology('patched', { routines: undefined, processes: [{ name: 'p', threads: [{ cpu: 0 }] }] });
  const explore = (patch: string) =>
    shootdown('explore', path, '--replace', join(folder, patch), '--max-states', '100');
  const [patched, mistaken] = [await explore('patch.mjs'), await explore('typo.mjs')];
  expect(patched.stdout).toContain('replaced: fork()');
  expect(patched.stderr).toMatch(/patch\.mjs: patched has not called fork\(\)\n$/);
  expect([patched.status === 0 || patched.status === 2, mistaken.status]).toEqual([true, 10]);
  expect(mistaken.stderr.trim()).toMatch(/no routine of patched \/ machine frok: did you mean fork\?$/);
});

test('a thread makes the references of a recorded trace', async () => {
  const references = ['I  04000000,4', ' S 1ffeffe7e0,8', ' L 04222c08,8', ' M 04222c08,8', ' S 04000ffc,8'];
  writeFileSync(join(folder, 'ls.lackey'), `${references.join('\n')}\n`);
  const memory = { tables: 32, pages: 8 };
  const threads = (thread: object) => ({ memory, processes: [{ name: 'p', threads: [{ cpu: 0, ...thread }] }] });
  const run = await shootdown('run', topology('traced', threads({ trace: './ls.lackey' })), '--json');
  expect(run.stderr).toBe('');
  // Four pages: two of them are read first and written later, and the last store goes on in the next page.
  expect(JSON.parse(run.stdout)).toMatchObject({ end: 'done', violation: null, total: { pgfault: [6] } });
  const refused = async (thread: object): Promise<string> =>
    (await shootdown('run', topology('traced', threads(thread)))).stderr.trim();
  expect(await refused({ trace: './none.lackey' })).toMatch(/^trace: read: no such file \(.*none.lackey\)$/);
  expect(await refused({ trace: './ls.lackey', run: [{ do: 'spin' }] })).toMatch(
    /processes.0.threads.0: a trace and a run or routine \(.\/ls.lackey\): give one of them$/,
  );
});

test('as docs/runs.md has it', async () => {
  writeFileSync(join(folder, 'machine.json'), fileOf('machine.json'));
  expect(await shootdown('run', 'machine.json', '--json')).toMatchObject({ status: 0 });
  const { stdout, status } = await shootdown('explore', 'machine.json', '--json', '--max-states', '20000');
  expect(JSON.parse(stdout)).toMatchObject({ scenario: 'mine', property: null });
  expect([0, 2]).toContain(status);
});

test('its file may have any name', async () => {
  const path = join(folder, 'plain');
  renameSync(topology('named-otherwise', {}), path);
  expect(await shootdown('run', path, '--json')).toMatchObject({ status: 0 });
});

test('what is too long for the name of a file is none', async () => {
  const { stderr, status } = await shootdown('replay', 'no-such', '--schedule', '0,'.repeat(300));
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).not.toContain('ENAMETOOLONG');
  expect(status).toBe(10);
});

test.each([
  ['an unknown subsystem', { subsystem: 'swap' }, [], /^topology: .*: top level: Unrecognized key: "subsystem"$/],
  [
    'a routine file with a syntax error',
    { routines: './broken.mjs' },
    [],
    /^routines: .*broken\.mjs: cannot be loaded \(.+\)$/,
  ],
  [
    'a routine that nobody exports',
    { processes: [{ name: 'p', threads: [{ cpu: 0, routine: 'unmapper' }] }] },
    [],
    /^routines: .*mine\.mjs: p on CPU 0: exports no routine unmapper \(has: mapper\)$/,
  ],
  [
    'more processes than memory',
    {
      routines: undefined,
      cpus: 2,
      processes: ['p', 'q'].map((name, cpu) => ({ name, threads: [{ cpu, run: [] }] })),
    },
    [],
    /^topology: .*: memory\.tables: 2 processes need at least 8 frames for page tables \(5\)$/,
  ],
  [
    'a cycle of forks',
    {
      routines: undefined,
      processes: [
        { name: 'p', threads: [{ cpu: 0, run: [{ do: 'fork', child: 'q' }] }] },
        { name: 'q', threads: [{ cpu: 0, run: [{ do: 'fork', child: 'p' }] }] },
      ],
    },
    [],
    /^topology: .*: fork: process \w is its own ancestor$/,
  ],
] as const)('%s ends in one line', async (name, changes, flags, message) => {
  const { stdout, stderr, status } = await shootdown(
    'run',
    topology(name.replaceAll(' ', '-'), changes),
    ...flags,
    '--json',
  );
  expect(stderr.trim()).toMatch(message);
  expect(stdout).toBe('');
  expect(status).toBe(10);
});
