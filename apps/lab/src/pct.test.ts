import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { parseArguments } from './arguments.ts';
import { besides, pctFlag } from './pct.ts';

const bin = fileURLToPath(new URL('../bin/shootdown.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'shootdown-pct-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Six processors that are always at it, and an alarm after fifteen steps of a seventh: no search comes so far soon. */
const crowded = `
import { load, program, routine, store, SystemBuilder } from '@shootdown/machine';
export const crowded = {
  name: 'crowded',
  title: 'does anybody raise the alarm?',
  variants: [{ name: 'seven', summary: 'seven CPUs', expected: 'violation', source: 'a test' }],
  build({ memoryModel }) {
    const builder = new SystemBuilder({ memoryModel });
    const [shared, alarm] = ['shared', 'alarm'].map((name) => builder.region(name, 1).at(0));
    const busy = routine('busy', function* (me) {
      for (let i = 0; i < 6; i++) yield* store(shared, ((yield* load(shared)) * 7 + me + i) % 1009);
    });
    const breaks = routine('breaks', function* () {
      for (let i = 0; i < 14; i++) yield* load(shared);
      yield* store(alarm, 1);
    });
    for (let i = 0; i < 6; i++) builder.processor({ name: 'CPU' + i, tasks: [program(busy, i)] });
    builder.processor({ name: 'last', tasks: [program(breaks)] });
    builder.property({ name: 'no alarm', kind: 'always', why: 'a test', check: (read) => read(alarm) === 0 });
    return builder.build();
  },
};
`;

it('PCT is asked for where a processor is idle, and not where it is refused', () => {
  const args = (...argv: string[]) => parseArguments('explore', argv, pctFlag, 0);
  expect(besides(args('--no-pct'), 1)).toEqual({});
  expect(besides(args(), 1_000)).toEqual({});
});

describe.runIf(process.env['SHOOTDOWN_DEEP'] === '1')('PCT beside a search in another thread', () => {
  it('finds what the search would not come to, and the verdict says so', () => {
    const file = join(folder, 'crowded.mjs');
    writeFileSync(file, crowded);
    const { status, stdout } = spawnSync(process.execPath, [bin, 'explore', file, '--timeout', '300'], {
      encoding: 'utf8',
    });
    expect(status).toBe(12);
    expect(stdout).toMatch(/^VIOLATION: no alarm$/m);
    expect(stdout).toMatch(/^found by PCT beside the search, with its schedule \d+; then shortened: /m);
  });
});
