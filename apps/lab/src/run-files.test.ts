import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { startShootdown, type Said } from './one-process.test-support.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-run-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const shootdown = startShootdown();
const run = (...words: string[]) => shootdown('run', ...words);

test('a run writes its page and its timeline, and both tell of the seed it had', async () => {
  const [page, timeline] = [join(folder, 'out.html'), join(folder, 'out.json')];
  const { stdout, status } = await run('shootdown', '--seed', '3', '--report', page, '--timeline', timeline, '--json');
  expect(status).toBe(0);
  const { fingerprint, seed } = JSON.parse(stdout) as { fingerprint: string; seed: number };
  expect(seed).toBe(3);
  const html = readFileSync(page, 'utf8');
  expect(html).toContain(fingerprint);
  expect(html).toContain('uPlot');
  expect(html).not.toMatch(/<(script|link|img)[^>]+(src|href)=/);
  expect(JSON.parse(readFileSync(timeline, 'utf8'))).toHaveProperty('traceEvents');
});

test('a run that ends when its time is up has a timeline of all its steps', async () => {
  const path = join(folder, 'timed.json');
  const thread = { cpu: 0, run: [{ do: 'compute', cycles: 90_000 }] };
  const processes = [{ name: 'p', threads: [thread] }];
  const machine = { name: 'timed', architecture: 'x86-64-4l', cpus: 1, runMicroseconds: 5, processes };
  writeFileSync(path, JSON.stringify(machine));
  const { stdout, status } = await run(path, '--format', 'json');
  expect(status).toBe(0);
  const { steps } = JSON.parse(stdout) as { steps: unknown[] };
  const ran = await run(path, '--json');
  expect(JSON.parse(ran.stdout)).toMatchObject({ end: 'time', steps: steps.length });
});

test('files that it writes are not one another', async () => {
  const path = join(folder, 'one.html');
  expect(await run('shootdown', '--report', path, '--timeline', path)).toMatchObject({
    status: 64,
    stdout: '',
    stderr: `shootdown run: --timeline: the same file as --report (${path})\n`,
  });
  expect(existsSync(path)).toBe(false);
});

test('a run repeated over seeds prints means and how far they may be off', async () => {
  const { stdout, status } = await run('two-cpu-shootdown', '--seeds', '3', '--json');
  expect(status).toBe(0);
  const { seeds, end, counters, microseconds, fingerprints } = JSON.parse(stdout) as {
    seeds: number[];
    end: string[];
    fingerprints: string[];
    counters: Record<string, { mean: number; interval: number }>;
    microseconds: { mean: number; interval: number };
  };
  expect({ seeds, end, prints: fingerprints.length }).toEqual({ seeds: [1, 2, 3], end: ['done'], prints: 3 });
  expect(counters['nr_tlb_remote_flush']).toEqual({ mean: expect.any(Number) as number, interval: 0 });
  expect(microseconds.interval).toBeGreaterThan(0);
  expect(microseconds.interval).toBeLessThan(microseconds.mean);
  expect(await run('two-cpu-shootdown', '--seeds', '3', '--seed', '1')).toMatchObject({ status: 64, stdout: '' });
  expect((await run('two-cpu-shootdown', '--seeds', '1')).stderr.trim()).toBe(
    'shootdown run: --seeds: expected a whole number of at least 2 and at most 10000 (1)',
  );
});

test.each([
  ['--report', 'report'],
  ['--timeline', 'timeline'],
])('%s to where nothing can be written ends in one line before the run, and leaves nothing', async (flag, what) => {
  const { stdout, stderr, status } = await run('shootdown', flag, join(folder, 'none/out'));
  expect(status).toBe(10);
  expect(stderr.trim()).toBe(`${what}: ${join(folder, 'none/out')}: cannot be written (no such folder)`);
  expect(stdout).toBe('');
  expect(existsSync(join(folder, 'none'))).toBe(false);
  expect((await run('shootdown', flag, folder)).stderr.trim()).toBe(`${what}: ${folder}: a directory, not a file`);
  expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

const windows = {
  all: ['--format', 'json'],
  within: ['--format', 'json', '--from', '10us', '--to', '0.02ms'],
  last: ['--format', 'json', '--last', '7'],
  lastWithin: ['--format', 'json', '--from', '10000ns', '--to', '20us', '--last', '3'],
  large: ['--format', 'perfetto', '--last', '9000'],
} as const;

const refused = [
  [['--format', 'json', '--from', '10'], 64, 'shootdown run: --from: expected a time with its unit: 250ns, 10us'],
  [['--format', 'json', '--from', '-1us'], 64, 'shootdown run: --from: expected a time with its unit'],
  [['--format', 'json', '--from', '2us', '--to', '1us'], 10, 'shootdown run: --from: expected a time before --to'],
  [['--format', 'ftrace', '--from', '1s'], 10, 'run: no step begins in that time (--from, --to): the run has 1,6'],
  [['--format', 'ftrace', '--phase', 'x'], 10, 'run: no phase x (have: '],
  [['--last', '3'], 64, 'shootdown run: --last belongs to a timeline: give a --format too'],
] as const;

describe('a window of a run', () => {
  let said: readonly Said[];
  beforeAll(async () => {
    const lines = [
      ...Object.entries(windows).map(([name, flags]) => [
        'run',
        name === 'large' ? 'lazy-tlb' : 'two-cpu-shootdown',
        ...(name === 'large' ? ['--max-steps', '10000'] : []),
        ...flags,
      ]),
      ...refused.map(([flags]) => ['run', 'two-cpu-shootdown', ...flags]),
    ];
    said = await Promise.all(lines.map((words) => shootdown(...words)));
  });
  const of = (name: keyof typeof windows): Said => said[Object.keys(windows).indexOf(name)] as Said;
  const stepsOf = (name: keyof typeof windows) =>
    (JSON.parse(of(name).stdout) as { steps: { startCycles: number; text: string }[] }).steps;

  it('has the steps that begin in it, and the last of them on request', () => {
    const all = stepsOf('all');
    // Three cycles of this machine are a nanosecond.
    const within = all.filter(({ startCycles }) => startCycles >= 30_000 && startCycles < 60_000);
    expect(within.length).toBeGreaterThan(10);
    expect(stepsOf('within')).toEqual(within);
    expect(stepsOf('last')).toEqual(all.slice(-7));
    expect(stepsOf('lastWithin')).toEqual(within.slice(-3));
  });

  it('that is large says how large it gets', () => {
    const { stdout, stderr } = of('large');
    const size = /^timeline: 9000 steps as perfetto: about ([\d.]+) MB$/m.exec(stderr)?.[1];
    const written = /^timeline: 9000 steps as perfetto: ([\d.]+) MB written$/m.exec(stderr)?.[1];
    expect(Number(written)).toBeCloseTo(Buffer.byteLength(stdout) / 1e6, 1);
    expect(Number(size)).toBeGreaterThan(Number(written) / 2);
  });

  it.each(refused.map((row, i) => [...row, i] as const))('%j is refused in one line', (_flags, code, message, i) => {
    const { status, stdout, stderr } = said[Object.keys(windows).length + i] as Said;
    expect([status, stdout]).toEqual([code, '']);
    expect(stderr.split('\n').at(-2)).toContain(message);
  });
});
