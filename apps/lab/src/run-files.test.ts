import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

const bin = fileURLToPath(new URL('../bin/shootdown.mjs', import.meta.url));
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-run-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...args: string[]) => spawnSync(process.execPath, [bin, 'run', ...args], { encoding: 'utf8' });

test('a run writes its page and its timeline, and both tell of the seed it had', () => {
  const [page, timeline] = [join(folder, 'out.html'), join(folder, 'out.json')];
  const { stdout, status } = run('shootdown', '--seed', '3', '--report', page, '--timeline', timeline, '--json');
  expect(status).toBe(0);
  const { fingerprint, seed } = JSON.parse(stdout) as { fingerprint: string; seed: number };
  expect(seed).toBe(3);
  const html = readFileSync(page, 'utf8');
  expect(html).toContain(fingerprint);
  expect(html).toContain('uPlot');
  expect(html).not.toMatch(/<(script|link|img)[^>]+(src|href)=/);
  expect(JSON.parse(readFileSync(timeline, 'utf8'))).toHaveProperty('traceEvents');
});

test.each([
  ['--report', 'report'],
  ['--timeline', 'timeline'],
])('%s to where nothing can be written ends in one line before the run, and leaves nothing', (flag, what) => {
  const { stdout, stderr, status } = run('shootdown', flag, join(folder, 'none/out'));
  expect(status).toBe(10);
  expect(stderr.trim()).toBe(`${what}: ${join(folder, 'none/out')}: cannot be written (no such folder)`);
  expect(stdout).toBe('');
  expect(existsSync(join(folder, 'none'))).toBe(false);
  expect(run('shootdown', flag, folder).stderr.trim()).toBe(`${what}: ${folder}: a directory, not a file`);
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});
