/** What comes out of the command: all of it, in the form that was asked for, or the word that it is not all. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { startShootdown, type Said } from './one-process.test-support.ts';
import { oneThread, ownFolder } from './own-folder.test-support.ts';

const lab = new URL('../', import.meta.url).pathname;
const data = join(lab, 'data/traces');
const shootdown = startShootdown();
const unlocked = ['explore', 'ptdump-vmalloc', '--variant', 'unlocked'];
const { at, file, topologyFile } = ownFolder();

describe('what has come out is said, and all of it', () => {
  const starving = {
    ...oneThread({ do: 'mmap', area: 'a', pages: 64 }, { do: 'touch', area: 'a' }),
    memory: { pages: 8 },
  };
  const waiting = {
    ...oneThread(),
    cpus: 2,
    processes: [
      {
        name: 'p',
        threads: [
          { cpu: 0, run: [{ do: 'wait-for-others' }] },
          { cpu: 1, run: [{ do: 'wait-for-others' }] },
        ],
      },
    ],
  };
  let said: Readonly<Record<string, Said>> = {};
  beforeAll(async () => {
    const lines: Readonly<Record<string, readonly string[]>> = {
      saved: [...unlocked, '--save-schedule', at('found.json'), '--json'],
      replayed: ['replay', at('found.json'), '--json'],
      nothingToSave: [
        'explore',
        'ptdump-vmalloc',
        '--variant',
        'v1',
        '--save-schedule',
        at('none.json'),
        '--format',
        'perfetto',
      ],
      safe: ['explore', 'ptdump-vmalloc', '--variant', 'v1', '--json'],
      fuzzed: [...unlocked, '--fuzz', 'random', '--save-schedule', at('fuzzed.json'), '--json'],
      fuzzedInVain: [
        'explore',
        'ptdump-vmalloc',
        '--variant',
        'v1',
        '--fuzz',
        'pct',
        '--runs',
        '3',
        '--seed',
        '7',
        '--json',
      ],
      starving: ['run', topologyFile('starving.json', starving)],
      compared: ['compare', topologyFile('waiting.json', waiting), at('starving.json'), 'shootdown', '--json'],
      json: ['run', 'shootdown', '--json', '--format', 'text'],
      timeline: ['run', 'shootdown', '--format', 'text', '--phase', 'munmap'],
      summary: ['run', 'flush-counts', '--summary', '--pages', '1', '--state', 'none'],
      help: ['tour', '--help'],
    };
    const results = await Promise.all(Object.values(lines).map((words) => shootdown(...words)));
    said = Object.fromEntries(Object.keys(lines).map((name, i) => [name, results[i] as Said]));
  });
  const of = (name: string): Said => said[name] as Said;

  it('a counterexample as a document and as a file that replays', () => {
    expect(of('saved').status).toBe(12);
    const { schedule } = JSON.parse(of('saved').stdout) as { schedule: string };
    const { sometimes } = JSON.parse(of('safe').stdout) as { sometimes: { schedule: string | null }[] };
    expect(JSON.parse(readFileSync(at('found.json'), 'utf8'))).toMatchObject({ schedule });
    expect(sometimes[0]?.schedule).toMatch(/^[\dx.,]+$/);
    expect(JSON.parse(of('replayed').stdout)).toMatchObject({ format: 'shootdown-trace', end: { kind: 'violation' } });
    expect(readdirSync(at()).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('that there is no counterexample to print or save', () => {
    const { stdout, stderr } = of('nothingToSave');
    expect(stdout).toBe('');
    expect(stderr).toMatch(/no counterexample to print as perfetto: safe\nno counterexample to save: safe\n$/);
  });

  it('of random schedules what a search says too', () => {
    const keys = { states: null, transitions: null, depth: null, complete: false, interleavings: null };
    expect(JSON.parse(of('fuzzed').stdout)).toMatchObject({ ...keys, verdict: 'violation', agrees: true });
    expect(of('fuzzed').status).toBe(12);
    expect(readFileSync(at('fuzzed.json'), 'utf8')).toContain('"variant":"unlocked"');
    expect(JSON.parse(of('fuzzedInVain').stdout)).toMatchObject({ ...keys, verdict: 'bounded', seed: 7, runs: 3 });
  });

  it('that accesses failed, and that machines did not come to their end', () => {
    expect(of('starving').stdout).toContain('*** 56 accesses failed: out of memory');
    expect(of('compared').status).toBe(11);
    const { rows } = JSON.parse(of('compared').stdout) as { rows: unknown[] };
    expect(rows).toMatchObject([
      { end: 'deadlock' },
      { end: 'done', failedAccesses: 56 },
      { end: 'done', failedAccesses: 0 },
    ]);
  });

  it('as one document if a document is asked for, and as the tour shows it', () => {
    expect(JSON.parse(of('json').stdout)).toMatchObject({ name: 'shootdown' });
    expect(of('timeline').stdout).toMatch(/^ *ns .*\n/);
    expect(of('summary').stdout).toContain('2 sleep');
    expect(of('help').stdout).toContain('usage: shootdown tour');
  });
});
it('a full disk ends the command in one line; progress that cannot be written ends nothing', () => {
  const command = [process.execPath, join(lab, 'bin/shootdown.mjs')].join(' ');
  const { stdout, stderr } = spawnSync(
    'bash',
    [
      '-c',
      `${command} list >/dev/full; echo $?; ${command} ${unlocked.join(' ')} --save-schedule /dev/null --format json 2>/dev/full | tail -c 3; echo \${PIPESTATUS[0]}`,
    ],
    { encoding: 'utf8' },
  );
  expect(stderr).toBe('shootdown: the output cannot be written (ENOSPC)\n');
  expect(stdout).toBe('74\n\n}\n12\n');
});

it('workers are sent the name of a variant and its parameters, and find what one thread finds', async () => {
  const found = async (workers: string) => {
    const words = ['--variant', 'read-then-clear', '--set', 'preemptions=1', '--workers', workers, '--json'];
    const { status, stdout } = await shootdown('explore', 'kvm-pv-flush', ...words);
    const { verdict, property, states, transitions, schedule } = JSON.parse(stdout) as Record<string, unknown>;
    return { status, verdict, property, states, transitions, schedule };
  };
  const [one, two] = [await found('1'), await found('2')];
  expect(two).toEqual(one);
  expect(two).toMatchObject({ status: 12, verdict: 'violation' });
});

it('a reader that has seen enough ends the command in silence, as SIGPIPE does', () => {
  const command = [
    process.execPath,
    join(lab, 'bin/shootdown.mjs'),
    'explore',
    'ptdump-vmalloc',
    '--variant',
    'unlocked',
    '--json',
  ];
  // `exec <&-`: a reader that reads nothing and is gone before the command writes.
  const { stdout, stderr } = spawnSync(
    'bash',
    ['-c', '"$@" | { exec <&-; sleep 0.1; }; echo "${PIPESTATUS[0]}"', 'bash', ...command],
    { encoding: 'utf8' },
  );
  expect(stderr.split('\n').filter((line) => /EPIPE|at /.test(line))).toEqual([]);
  expect(stdout.trim()).toBe('141');
});

describe('shootdown tlb', () => {
  const expected = {
    l1i: { hits: 1_212_051, misses: 732 },
    l1d: { hits: 439_725, misses: 677 },
    l2: { hits: 1_087, misses: 322 },
  };

  it('counts the same from text and packed records, gzipped or not', async () => {
    const text = gunzipSync(readFileSync(join(data, 'ls.lackey.txt.gz')));
    const plain = await shootdown('tlb', file('ls.lackey.txt', text), '--json');
    const sizes = ['--l1i', '64x4', '--l1d', '64x4', '--l2', '1536x12'];
    const zipped = await shootdown('tlb', join(data, 'ls.lackey.txt.gz'), ...sizes, '--json');
    expect(JSON.parse(plain.stdout)).toMatchObject(expected);
    expect(JSON.parse(zipped.stdout)).toMatchObject(expected);
    const packed = gunzipSync(readFileSync(join(data, 'gups-1m.u64.gz')));
    const counts = async (path: string) => {
      const { stdout } = await shootdown('tlb', path, '--json');
      return { ...(JSON.parse(stdout) as Record<string, unknown>), seconds: 0 };
    };
    expect(await counts(file('gups.u64', packed))).toEqual(await counts(join(data, 'gups-1m.u64.gz')));
  });
});
