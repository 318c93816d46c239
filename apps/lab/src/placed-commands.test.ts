/** Commands on a machine that runs in parts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startShootdown, type Said } from './one-process.test-support.ts';

/** One that is small enough to explore. */
const small = {
  name: 'small',
  architecture: 'x86-64-4l',
  cpus: 1,
  tlb: { l1: '1x1', l2: '1x1', walkCache: 1 },
  memory: { tables: 5, pages: 1 },
  processes: [
    {
      name: 'p',
      threads: [{ cpu: 0, run: [{ do: 'measure', phase: 'all' }] }],
      secondaryMmus: [{ name: 'nic', kind: 'device', placement: 'process' }],
    },
  ],
};
const folder = mkdtempSync(join(tmpdir(), 'shootdown-placed-'));
const lines = {
  run: 'run placed-device',
  document: 'run placed-device --json',
  compare: 'compare placed-device two-cpu-shootdown --json',
  replaced: 'compare placed-device --replace mine.mjs',
  explore: 'explore small.json --no-pct',
};
const shootdown = startShootdown({ cwd: () => folder });
let said: ReadonlyMap<string, Said>;

beforeAll(async () => {
  writeFileSync(join(folder, 'small.json'), JSON.stringify(small));
  const results = await Promise.all(Object.values(lines).map((line) => shootdown(...line.split(' '))));
  said = new Map(Object.keys(lines).map((name, i) => [name, results[i] as Said]));
});
afterAll(() => rmSync(folder, { recursive: true }));

const of = (name: keyof typeof lines): Said => said.get(name) as Said;

test('run prints what its parts have counted, and how long they took', () => {
  expect(of('run').status).toBe(0);
  expect(of('run').stdout).toMatch(/^page_request +0 +223 +0 +0 +223$/m);
  expect(of('run').stdout).toMatch(/^madvise_dontneed\(\)\nn 6 {2}min \d/m);
  const { histograms } = JSON.parse(of('document').stdout) as { histograms: object };
  expect(Object.keys(histograms)).toEqual(expect.arrayContaining(['csd_lock_wait', 'lock wait', 'madvise_dontneed']));
});

test('compare runs it in parts too, so that it takes as long', () => {
  const { rows } = JSON.parse(of('compare').stdout) as { rows: { variant: string; microseconds: number }[] };
  const { nanoseconds } = JSON.parse(of('document').stdout) as { nanoseconds: number };
  expect(rows[0]).toMatchObject({ variant: 'placed-device', microseconds: nanoseconds / 1000 });
  expect(of('replaced').stderr).toBe(
    'shootdown compare: --replace does not go with a machine that runs in parts (placed-device)\n',
  );
});

test('explore says that it leaves the placement out', () => {
  expect(of('explore').stderr).toContain('explore: small: the placement of its device is left out');
});
