/** Scenario modules that nobody should write: each is refused in one line, or its violation is found. None is SAFE. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '@shootdown/machine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { honestModule, mixture, singles } from './fuzz/modules.test-support.ts';

const DEEP = process.env['SHOOTDOWN_DEEP'] === '1';
const MODULES = 300;
/** Of the single pieces, one in so many is tried by `npm test`. */
const SLICE = 64;
const HANG_MS = 180_000;
const lab = new URL('../', import.meta.url).pathname;
const api = new URL('../../../packages/machine/dist/index.js', import.meta.url).href;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-hostile-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Said {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

function explored(text: string, index: number): Promise<Said> {
  const path = join(folder, `hostile-${index}.mjs`);
  writeFileSync(path, text);
  const args = [join(lab, 'bin/shootdown.mjs'), 'explore', path, '--max-states', '2000', '--timeout', '3'];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: HANG_MS, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : (error.code ?? String(error.signal)), stdout, stderr });
    });
  });
}

/** What is wrong with an answer; nothing if it is as it should be. */
function complaint({ status, stdout, stderr }: Said): string | null {
  const progress = /^(?:\d+ (?:states|random steps)|getting ready|variant .*, one of \d+|.*: searching).*\n/gm;
  if (![2, 10, 11, 12].includes(status as number)) return `ends with ${status}`;
  if (/\n\s+at |bug in shootdown/.test(stderr)) return 'shows a stack, or confesses a bug';
  if (/[^\P{Cc}\n]/u.test(stdout + stderr)) return 'prints control characters';
  if (status === 10 && !/^[^\n]+\n$/.test(stderr.replaceAll(progress, ''))) return 'is not refused in one line';
  return null;
}

async function complaints(modules: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  const left = modules.map((text, index) => ({ text, index }));
  const worker = async (): Promise<void> => {
    for (let next = left.shift(); next; next = left.shift()) {
      const said = await explored(next.text, next.index);
      const wrong = complaint(said);
      if (wrong !== null)
        found.push(`${wrong}: ${said.stderr.slice(0, 500)}${said.stdout.slice(0, 300)}\n${next.text}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  return found;
}

describe('a hostile module', () => {
  it('is made of one whose violation is found', async () => {
    expect(await explored(honestModule(api), 1000)).toMatchObject({ status: 12 });
  });

  it('is refused in one line or violated, and never safe', { timeout: 3_600_000 }, async () => {
    const one = singles(api);
    const mixed = Array.from({ length: MODULES }, (_, seed) => mixture(new Random(seed), api));
    const modules = DEEP ? [...one, ...mixed] : one.filter((_, i) => i % SLICE === 0);
    expect(await complaints(modules)).toEqual([]);
  });
});
