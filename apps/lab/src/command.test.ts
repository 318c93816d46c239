import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const lab = new URL('../', import.meta.url).pathname;
const data = join(lab, 'data/traces');
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function shootdown(...args: string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(lab, 'bin/shootdown.mjs'), ...args], { encoding: 'utf8', maxBuffer: 1 << 28 });
  return { status, stdout, stderr };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

describe('what is wrong is said in one line, with the right exit code', () => {
  const topology = { name: 't', architecture: 'x86-64-4l', cpus: 1, processes: [{ name: 'p', threads: [{ cpu: 0, run: [] }] }] };
  it.each([
    ['a truncated trace', () => ['tlb', file('cut.u64', new Uint8Array(27))], 10, /truncated record at byte 24: 3 of 8 bytes/],
    ['a missing trace', () => ['tlb', '/nowhere/x.u64'], 10, /\/nowhere\/x\.u64/],
    ['63 entries in 4 ways', () => ['tlb', join(data, 'gups-1m.u64.gz'), '--l1d', '63x4'], 10, /63x4/],
    ['an unknown key', () => ['run', file('key.json', JSON.stringify({ ...topology, colour: 'blue' }))], 10, /top level: .*colour/],
    ['a CPU that is not there', () => ['run', file('cpu.json', JSON.stringify({ ...topology, processes: [{ name: 'p', threads: [{ cpu: 3, run: [] }] }] }))], 10, /CPU 3 of 1/],
    ['text that is no JSON', () => ['run', file('bad.json', '{')], 10, /not JSON/],
    ['an area nobody mapped', () => ['run', file('area.json', JSON.stringify({ ...topology, processes: [{ name: 'p', threads: [{ cpu: 0, run: [{ do: 'touch', area: 'x' }] }] }] }))], 10, /no area x/],
    ['an unknown demo', () => ['run', 'no-such-demo'], 10, /no demo no-such-demo \(have: flush-counts/],
    ['an unknown command', () => ['fly'], 64, /no command fly/],
    ['an unknown flag', () => ['list', '--colour'], 64, /--colour/],
    ['a flag of another demo', () => ['run', 'shootdown', '--pages', '3'], 64, /--pages belongs to/],
    ['a number that is none', () => ['run', 'flush-counts', '--pages', 'many'], 64, /--pages: expected a whole number/],
    ['a page count out of range', () => ['run', 'flush-counts', '--pages', '100000'], 10, /--pages: expected 1 \.\. 512/],
    ['a schedule that is none', () => ['replay', file('s.json', '{"shootdown":1,"schedule":"a"}')], 10, /schedule|names neither/],
    ['a schedule of another machine', () => ['replay', file('s2.json', '{"shootdown":1,"machine":{"demo":"fork-cow"},"schedule":"1,1,1,77"}')], 10, /is not enabled there|no choice/],
    ['an unknown scenario', () => ['explore', 'nothing'], 10, /no scenario nothing \(have: /],
    ['an unknown variant', () => ['explore', 'reference-ptdump', '--variant', 'x'], 10, /no variant of reference-ptdump x/],
    ['a scenario in a module that is not there', () => ['explore', './nowhere.mjs'], 10, /nowhere\.mjs: cannot be loaded/],
    ['a module without a scenario', () => ['explore', file('empty.mjs', 'export const x = 1;')], 10, /empty\.mjs: exports no object with name, variants and build\(\) \(has: x\)/],
    ['a scenario in TypeScript', () => ['explore', 'mine.ts'], 10, /mine\.ts: this Node runs JavaScript: compile it/],
    ['a parameter out of range', () => ['explore', 'reference-ptdump', '--set', 'n=99'], 10, /n must be/],
  ] as const)('%s', (_what, args, status, line) => {
    const result = shootdown(...args());
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(result.stderr).toMatch(line);
    expect(result.status).toBe(status);
    expect(result.stdout).toBe('');
  });
});

it('workers are sent the name of a variant and its parameters, and find what one thread finds', () => {
  const [one, two] = ['1', '2'].map((workers) => {
    const { status, stdout } = shootdown('explore', 'kvm-pv-flush', '--variant', 'read-then-clear', '--set', 'preemptions=1', '--workers', workers, '--json');
    const { verdict, property, states, transitions, schedule } = JSON.parse(stdout) as Record<string, unknown>;
    return { status, verdict, property, states, transitions, schedule };
  });
  expect(two).toEqual(one);
  expect(two).toMatchObject({ status: 12, verdict: 'violation' });
});

it('a reader that has seen enough ends the command in silence, as SIGPIPE does', () => {
  const command = [process.execPath, join(lab, 'bin/shootdown.mjs'), 'explore', 'ptdump-vmalloc', '--variant', 'unlocked', '--json'];
  // `exec <&-`: a reader that reads nothing and is gone before the command writes.
  const { stdout, stderr } = spawnSync('bash', ['-c', '"$@" | { exec <&-; sleep 0.1; }; echo "${PIPESTATUS[0]}"', 'bash', ...command], { encoding: 'utf8' });
  expect(stderr.split('\n').filter((line) => /EPIPE|at /.test(line))).toEqual([]);
  expect(stdout.trim()).toBe('141');
});

describe('shootdown tlb', () => {
  const expected = { l1i: { hits: 1_212_051, misses: 732 }, l1d: { hits: 439_725, misses: 677 }, l2: { hits: 1_087, misses: 322 } };

  it('counts the same from text and packed records, gzipped or not', () => {
    const text = gunzipSync(readFileSync(join(data, 'ls.lackey.txt.gz')));
    const plain = shootdown('tlb', file('ls.lackey.txt', text), '--json');
    const zipped = shootdown('tlb', join(data, 'ls.lackey.txt.gz'), '--l1i', '64x4', '--l1d', '64x4', '--l2', '1536x12', '--json');
    expect(JSON.parse(plain.stdout)).toMatchObject(expected);
    expect(JSON.parse(zipped.stdout)).toMatchObject(expected);
    const packed = gunzipSync(readFileSync(join(data, 'gups-1m.u64.gz')));
    const counts = (path: string) => ({ ...(JSON.parse(shootdown('tlb', path, '--json').stdout) as Record<string, unknown>), seconds: 0 });
    expect(counts(file('gups.u64', packed))).toEqual(counts(join(data, 'gups-1m.u64.gz')));
  });
});

describe('shootdown run and replay', () => {
  it('replays a saved schedule to the same fingerprint, with either executor', () => {
    const saved = join(folder, 'saved.json');
    const run = JSON.parse(shootdown('run', 'shootdown', '--save-schedule', saved, '--json').stdout) as { fingerprint: string; end: string; steps: number };
    expect(run.end).toBe('done');
    for (const executor of ['tabulated', 'live']) {
      const replayed = shootdown('replay', saved, '--executor', executor);
      expect(replayed.stderr).toContain(`${run.steps} steps, fingerprint ${run.fingerprint}`);
      expect(replayed.status).toBe(0);
    }
  });

  it('runs the topology files that ship, on every executor to the same end', () => {
    const deep = process.env['SHOOTDOWN_DEEP'] === '1';
    for (const name of ['arm64-munmap', 'two-processes-tso', 'kvm-two-vms']) {
      const executors = deep || name === 'arm64-munmap' ? ['direct', 'tabulated', 'live'] : ['direct', 'live'];
      const ends = executors.map((executor) => {
        const { stdout } = shootdown('run', join(lab, `topologies/${name}.json`), '--executor', executor, '--json');
        const { end, steps, cycles, fingerprint } = JSON.parse(stdout) as Record<string, unknown>;
        return { end, steps, cycles, fingerprint };
      });
      expect(ends[0]).toMatchObject({ end: 'done' });
      expect(new Set(ends.map((e) => JSON.stringify(e))).size).toBe(1);
    }
  });

  it.each([
    ['a deadlock', 'ptdump-vmalloc', 'trylock-2026-plus-v6', [], 11, /\*\*\* deadlock\n +\*\*\* waits in/],
    ['a broken promise at rest', 'zap-vs-writeback', 'v3.14/mapped-twice', [], 12, /\*\*\* no lost accessed\/dirty bit/],
    ['a state that must not be', 'ksm-vs-secondary', 'write-protection-in-silence', [], 12, /\*\*\* J4/],
    ['a step with others after it', 'ptdump-vmalloc', 'unlocked', [',0'], 12, /\*\*\* /],
  ] as const)('replays what explore has found to the same verdict: %s', (_what, scenario, variant, [more = ''], status, line) => {
    const found = JSON.parse(shootdown('explore', scenario, '--variant', variant, '--json').stdout) as { schedule: string };
    const replayed = shootdown('replay', scenario, '--variant', variant, '--schedule', found.schedule + more);
    expect(replayed.stdout).toMatch(line);
    expect(replayed.status).toBe(status);
    if (more !== '') expect(replayed.stderr).toMatch(/violated at step \d+ of \d+: no access to a freed/);
  });

  it('explores a scenario of the user\'s own, with workers too, and replays what comes out', () => {
    const path = join(lab, 'dist/examples/my-patch.js');
    const saved = join(folder, 'mine.json');
    const { stdout, status } = shootdown('explore', path, '--variant', 'check-clear-free', '--workers', '2', '--save-schedule', saved);
    expect(status).toBe(12);
    expect(stdout).toContain('--schedule 1x4,0x3,1x4,0');
    for (const replayed of [['replay', saved], ['replay', path, '--variant', 'check-clear-free', '--schedule', '1x4,0x3,1x4,0']]) expect(shootdown(...replayed).status).toBe(12);
  });

  it('runs a host of virtual machines, and prints the same as text and as a document', () => {
    const document = JSON.parse(shootdown('run', 'kvm-host', '--json').stdout) as { end: string; host: { exits: Record<string, number[]>; ipis: Record<string, number[]>; secondStage: { faults: number }; stealMicroseconds: number[]; flushLatency: { unit: string; histogram: { count: number } } } };
    const total = (row: number[] | undefined): number => (row ?? []).reduce((a, b) => a + b, 0);
    expect(document.end).toBe('time');
    expect(total(document.host.ipis['elided'])).toBeGreaterThan(0);
    expect(document.host.stealMicroseconds).toHaveLength(8);
    expect(document.host.flushLatency.histogram.count).toBeGreaterThan(100);
    const twin = shootdown('run', 'kvm-host-ipi', '--max-steps', '60000');
    expect(twin.status).toBe(2);
    for (const part of ['exits by reason', 'msr_write', 'elided', 'steal time', 'second stage:', 'flush_tlb_mm_range()']) expect(twin.stdout).toContain(part);
    expect(shootdown('run', 'kvm-host', '--format', 'text', '--max-steps', '300').stdout).toContain('vm0.CPU0');
  });

  it('sends no IPI on arm64', () => {
    const run = JSON.parse(shootdown('run', 'shootdown-arm64', '--json').stdout) as { total: Record<string, number[]> };
    expect(run.total['irq_tlb_count']).toBeUndefined();
    expect(run.total['tlbi_va']?.[0]).toBe(4);
  });

  it('prints what was found so far on Ctrl-C', async () => {
    const endless = { name: 'endless', architecture: 'x86-64-4l', cpus: 1, memory: { pages: 8192 }, processes: [{ name: 'p', threads: [{ cpu: 0, run: [{ do: 'mmap', area: 'a', pages: 64 }, { do: 'repeat', times: 1_000_000, body: [{ do: 'touch', area: 'a' }, { do: 'madvise-dontneed', area: 'a' }] }] }] }] };
    const child = spawn(process.execPath, [join(lab, 'bin/shootdown.mjs'), 'run', file('endless.json', JSON.stringify(endless)), '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    await new Promise((resolve) => child.stderr.once('data', resolve));
    child.kill('SIGINT');
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'endless', end: 'stopped' });
  });
});
