/**
 * What the parser understands beside what it refuses (command.test.ts): short flags, help, the version, and what a
 * shell completes.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseArguments, UsageError } from './arguments.ts';
import { runAll, type Said } from './fuzz/driver.test-support.ts';
import { startShootdown } from './one-process.test-support.ts';

const lab = new URL('../', import.meta.url).pathname;
const command = join(lab, 'bin/shootdown.mjs');

const shootdown = startShootdown();
const flags = {
  variant: { type: 'string', help: 'h' },
  set: { type: 'string', multiple: true, help: 'h' },
  'no-reduction': { type: 'boolean', help: 'h' },
  json: { type: 'boolean', help: 'h' },
  max: { type: 'string', help: 'h' },
} as const;
const parsed = (...argv: string[]) => parseArguments('test', argv, flags, 2);

describe('arguments', () => {
  it('may be long or short, before or after what they are about', () => {
    const args = parsed('-v', 'a', 'x', '-j', '--set=n=1', '-s', 'm=2', 'y');
    expect(args.positionals).toEqual(['x', 'y']);
    expect([args.text('variant'), args.has('json'), args.texts('set')]).toEqual(['a', true, ['n=1', 'm=2']]);
    expect(parsed('--', '--json').positionals).toEqual(['--json']);
  });

  it('that say no are there when they are given, and only then', () => {
    expect([parsed().has('no-reduction'), parsed('--no-reduction').has('no-reduction')]).toEqual([false, true]);
    expect(() => parsed('--no-reduction').refuse(['no-reduction'], 'why')).toThrow('--no-reduction why');
    parsed().refuse(['no-reduction', 'json', 'variant', 'set'], 'why');
  });

  it('that are negative are named, and not taken for flags', () => {
    expect(() => parsed('--max', '-1').whole('max', 1)).toThrow(UsageError);
    expect(() => parsed('--max', '-1').whole('max', 1)).toThrow('--max: expected a whole number of at least 1 (-1)');
  });
});

describe('what the command prints of itself', () => {
  const lines = {
    long: ['explore', '--help'],
    short: ['explore', '-h'],
    word: ['help', 'explore'],
    version: ['--version'],
    versionShort: ['-V'],
    list: ['list'],
    narrow: ['list', '--width', '60'],
    scenario: ['list', 'gup-fast-vs-unmap'],
    json: ['list', 'gup-fast-vs-unmap', '--json'],
  } as const;
  let said = {} as Readonly<Record<keyof typeof lines, Said>>;
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'shootdown-parser-'));
    const all = await runAll(
      folder,
      Object.values(lines).map((args) => ({ args, name: 'unused', base64: '' })),
    );
    said = Object.fromEntries(Object.keys(lines).map((name, i) => [name, all[i]])) as typeof said;
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const widest = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));

  it('is help for --help, -h and help <command>', () => {
    expect(said.long).toMatchObject({ status: 0, stderr: '' });
    expect(said.long.stdout).toMatch(/^usage: shootdown explore <scenario/);
    expect(said.long.stdout).toContain('-v, --variant <value>');
    expect([said.short, said.word]).toEqual([said.long, said.long]);
  });

  it('is the version for --version and -V', () => {
    const { version } = JSON.parse(readFileSync(join(lab, 'package.json'), 'utf8')) as { version: string };
    expect(said.version).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
    expect(said.versionShort).toEqual(said.version);
  });

  it('fits 100 columns, or as many as are asked for, and has no colours in a pipe', () => {
    for (const { stdout } of [said.long, said.list, said.scenario]) expect(widest(stdout)).toBeLessThanOrEqual(100);
    expect(widest(said.narrow.stdout)).toBeLessThanOrEqual(60);
    expect(said.list.stdout + said.scenario.stdout).not.toContain('\u001b');
  });

  it('is all of one scenario if it is named', () => {
    for (const text of ['kvm-pv/page-batch: violation', 'source: 1fb3d8c20bfa, v7.1'])
      expect(said.scenario.stdout).toContain(text);
    const entries = JSON.parse(said.json.stdout) as { scenario: string }[];
    expect(entries.map(({ scenario }) => scenario)).toEqual(['gup-fast-vs-unmap']);
  });
});

describe('completion in bash', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'shootdown-bash-'));
    writeFileSync(join(folder, 'shootdown'), `#!/bin/sh\nexec "${process.execPath}" "${command}" "$@"\n`);
    chmodSync(join(folder, 'shootdown'), 0o755);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** What bash offers for the last word of each line. */
  function offered(lines: readonly string[]): string[] {
    const each =
      'read -ra COMP_WORDS <<<"$line"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shootdown; echo "${COMPREPLY[*]}"';
    const script = `source <(shootdown completion bash); complete -p shootdown >/dev/null || exit; for line; do ${each}; done`;
    const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', script, 'bash', ...lines], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${folder}:${process.env['PATH'] ?? ''}` },
    });
    expect(stderr).toBe('');
    return stdout.split('\n').slice(0, -1);
  }

  it('offers commands, names, flags and their values', () => {
    const expected = {
      'shootdown ex': 'explore',
      'shootdown explore ptdump-vmalloc --variant v6-pm': 'v6-pmd',
      'shootdown run fork': 'fork-cow fork-server',
      'shootdown tlb ./x': '',
    };
    expect(offered(Object.keys(expected))).toEqual(Object.values(expected));
  });

  it('says as much as the command does when it is asked for words', async () => {
    const words = async (line: string): Promise<string> => {
      const [, ...rest] = line.split(' ');
      return (await shootdown('completion', '--words', String(rest.length), ...rest)).stdout
        .trim()
        .replaceAll('\n', ' ');
    };
    const expected = {
      'shootdown explore ptd': 'ptdump-vmalloc',
      'shootdown explore ptdump-vmalloc --max-': '--max-states --max-memory --max-depth',
      'shootdown explore ptdump-vmalloc --format pe': 'perfetto',
    };
    expect(await Promise.all(Object.keys(expected).map(words))).toEqual(Object.values(expected));
  });

  it('has a script for zsh and for fish, too, which ask the same', async () => {
    for (const shell of ['zsh', 'fish'])
      expect(await shootdown('completion', shell)).toMatchObject({
        status: 0,
        stdout: expect.stringContaining('completion --words') as string,
      });
  });
});
