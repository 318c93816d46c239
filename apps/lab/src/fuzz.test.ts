/**
 * Input that nobody meant: thousands of mutated topologies, traces and schedules, from fixed seeds. Whatever it is, the
 * command says in one line what is wrong with it, or does what it says. `npm run test:deep` tries all of them.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { Random } from '@shootdown/machine';
import { packReferences, ReferenceTrace } from '@shootdown/mmu';
import { demos } from '@shootdown/scenarios';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeCase, runAll, type Case, type Said } from './fuzz/driver.test-support.ts';
import { mutatedBytes, mutatedJson, pick } from './fuzz/mutate.test-support.ts';

const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
const lab = new URL('../', import.meta.url).pathname;
const STEPS_MAX = '300';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-fuzz-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base64 = (content: string | Uint8Array): string => Buffer.from(content).toString('base64');

const topologies: readonly unknown[] = [
  ...['arm64-munmap', 'kvm-two-vms', 'two-processes-tso'].map((name): unknown =>
    JSON.parse(readFileSync(join(lab, `topologies/${name}.json`), 'utf8')),
  ),
  ...demos.map((demo) => demo.topology),
];

function topologyCase(random: Random): Case {
  const text = JSON.stringify(mutatedJson(random, pick(random, topologies), 1 + random.below(3)));
  const content = random.below(5) === 0 ? mutatedBytes(random, Buffer.from(text), 2) : text;
  return { args: ['run', 'FILE', '--max-steps', STEPS_MAX, '--json'], name: 'machine.json', base64: base64(content) };
}

const lackeyText = gunzipSync(readFileSync(join(lab, 'data/traces/ls.lackey.txt.gz'))).subarray(0, 4000);
const reference = { kind: 'load', address: 0x7ffd2000n, sizeBytes: 8 } as const;
const traces: readonly (readonly [name: string, content: Uint8Array])[] = [
  ['t.txt', lackeyText],
  ['t.txt.gz', gzipSync(lackeyText)],
  ['t.u64', packReferences(ReferenceTrace.from(Array.from({ length: 300 }, () => reference)))],
  ['t.out', Buffer.from('0x401000: R 0x7ffd2000\n0x401004: W 0x7ffd2008  8 0x2a\n'.repeat(40))],
  ['t', Buffer.from('readi 0x00401000 4\nreadd 0x7FFD2000 8\nwrite 0x7FFD2008 8\n'.repeat(40))],
  ['champsim', Buffer.alloc(64 * 50, Buffer.from('0010400000000000', 'hex').toString('latin1'), 'latin1')],
  ['view', Buffer.from('   3    1:    3001 ifetch       4 byte(s) @ 0x0000000000401000 non-branch\n'.repeat(40))],
];

function traceCase(random: Random): Case {
  const [name, content] = pick(random, traces);
  const flags = random.below(10) === 0 ? ['--l1d', mutatedBytes(random, Buffer.from('64x4'), 1).toString('utf8')] : [];
  return {
    args: ['tlb', 'FILE', '--json', ...flags],
    name,
    base64: base64(mutatedBytes(random, content, 1 + random.below(4))),
  };
}

/** What `explore` and `run` save: a counterexample, and a run of a demo. */
function schedules(said: readonly Said[]): unknown[] {
  const { schedule } = JSON.parse((said[0] as Said).stdout) as { schedule: string };
  const scenario = { name: 'ptdump-vmalloc', variant: 'unlocked', memoryModel: 'sc', parameters: {} };
  return [
    { shootdown: 1, scenario, schedule },
    { shootdown: 1, machine: { topology: topologies[0] }, schedule: '0x20,1x3', fingerprint: '0123456789abcdef' },
    { shootdown: 1, machine: { demo: 'fork-cow' }, schedule: '0x30' },
  ];
}

function scheduleCase(random: Random, saved: readonly unknown[]): Case {
  const one = mutatedJson(random, pick(random, saved), random.below(3)) as { schedule?: unknown } | null;
  const text = typeof one?.schedule === 'string' ? one.schedule : '0x4,1x4';
  const mutated = mutatedBytes(random, Buffer.from(text), random.below(3)).toString('utf8');
  if (random.below(2) === 0 && !mutated.includes('\0'))
    return {
      args: ['replay', 'ptdump-vmalloc', '--variant', 'unlocked', `--schedule=${mutated}`],
      name: 'unused',
      base64: '',
    };
  const content = JSON.stringify(typeof one === 'object' && one !== null ? { ...one, schedule: mutated } : one);
  return { args: ['replay', 'FILE'], name: 'schedule.json', base64: base64(content) };
}

/** Whatever the input was: no bug is confessed, no stack is shown, and a refusal is one line and nothing else. */
function expectPlain(one: Case, { status, stdout, stderr }: Said, allowed: readonly number[]): void {
  const shown = describeCase(one);
  expect([status, stderr.slice(0, 300), shown]).toEqual([
    expect.toSatisfy((code) => allowed.includes(code as number)),
    expect.not.stringMatching(/\n\s+at |bug in shootdown/),
    shown,
  ]);
  expect(stdout + stderr, shown).not.toMatch(/[^\P{Cc}\n]/u);
  if (status !== 10 && status !== 64) return;
  expect(stderr, shown).toMatch(/^[^\n]+\n$/);
  expect(stdout, shown).toBe('');
}

function cases(kind: number, count: number, make: (random: Random) => Case): Case[] {
  return Array.from({ length: count }, (_, i) => make(new Random(kind * 1_000_000 + i)));
}

describe('input that nobody meant', () => {
  it('topologies', { timeout: 600_000 }, async () => {
    const tried = cases(1, DEEP ? 4000 : 60, topologyCase);
    const said = await runAll(folder, tried);
    said.forEach((result, i) => {
      const one = tried[i] as Case;
      expectPlain(one, result, [0, 2, 10, 11, 12]);
      // A machine that ends has done something.
      if (result.status === 0) expect(result.stdout, describeCase(one)).toMatch(/"end":"\w+","steps":[1-9]/);
    });
  });

  it('traces', { timeout: 600_000 }, async () => {
    const tried = cases(2, DEEP ? 3500 : 60, traceCase);
    const said = await runAll(folder, tried);
    said.forEach((result, i) => {
      expectPlain(tried[i] as Case, result, [0, 10, 64]);
      if (result.status !== 0) return;
      const { lookups, l1i, l1d, references } = JSON.parse(result.stdout) as Record<string, number> &
        Record<'l1i' | 'l1d', { hits: number; misses: number }>;
      expect(l1i.hits + l1i.misses + l1d.hits + l1d.misses).toBe(lookups);
      expect(references).toBeGreaterThan(0);
    });
  });

  it('schedules', { timeout: 600_000 }, async () => {
    const explored = {
      args: ['explore', 'ptdump-vmalloc', '--variant', 'unlocked', '--json'],
      name: 'unused',
      base64: '',
    };
    const saved = schedules(await runAll(folder, [explored]));
    const tried = cases(3, DEEP ? 2500 : 30, (random) => scheduleCase(random, saved));
    const said = await runAll(folder, tried);
    said.forEach((result, i) => expectPlain(tried[i] as Case, result, [0, 10, 11, 12, 64]));
  });
});
