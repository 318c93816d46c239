/** What a shell waits for: CPU time, so that a busy machine does not matter. */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';

const command = new URL('../bin/shootdown.mjs', import.meta.url).pathname;
const first = [command, 'explore', 'ptdump-vmalloc', '--variant', 'unlocked'];

/** Least CPU seconds of some runs, as bash counts it. */
function cpuOf(argv: readonly string[]): number {
  const runs = Array.from({ length: 7 }, () => {
    const { stderr } = spawnSync(
      'bash',
      ['-c', `TIMEFORMAT='%U %S'; time "$0" "$@" >/dev/null 2>&1`, process.execPath, ...argv],
      {
        encoding: 'utf8',
      },
    );
    const [user = 0, system = 0] = stderr.trim().split(/\s+/).map(Number);
    return user + system;
  });
  return Math.min(...runs);
}

describe.runIf(process.env['SHOOTDOWN_DEEP'] === '1')('a cold shell', () => {
  it('has the first counterexample for at most three times the CPU of a program that does nothing', () => {
    expect(cpuOf(first) / cpuOf(['-e', '0'])).toBeLessThanOrEqual(3);
  });
});

it('the bundle says the same as the files it is made of', () => {
  const said = (argv: readonly string[]) => {
    const { status, stdout } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
    return [status, stdout.replace(/[\d.]+ s$/m, '')];
  };
  const program = new URL('../dist/shootdown.js', import.meta.url).href;
  const unbundled = `const { main } = await import(${JSON.stringify(program)}); process.exitCode = await main(process.argv.slice(1));`;
  expect(said(first)).toEqual(said(['--input-type=module', '-e', unbundled, ...first.slice(1)]));
});
