/** What was found is not lost: whatever ends the command, the output is whole or the exit code says that it is not. */
import { spawn, spawnSync } from 'node:child_process';
import { createWriteStream, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const lab = new URL('../', import.meta.url).pathname;
const command = join(lab, 'bin/shootdown.mjs');
const machine = new URL('../../../packages/machine/dist/index.js', import.meta.url).href;

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shootdown-lost-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

/** Runs the command and sends it a signal when it first says something on stderr. */
async function signalled(
  signal: NodeJS.Signals,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly stdout: string }> {
  const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.once('data', () => child.kill(signal));
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout };
}

const endless = {
  name: 'endless',
  architecture: 'x86-64-4l',
  cpus: 1,
  memory: { pages: 8192 },
  processes: [
    {
      name: 'p',
      threads: [
        {
          cpu: 0,
          run: [
            { do: 'mmap', area: 'a', pages: 64 },
            {
              do: 'repeat',
              times: 1_000_000,
              body: [
                { do: 'touch', area: 'a' },
                { do: 'madvise-dontneed', area: 'a' },
              ],
            },
          ],
        },
      ],
    },
  ],
};

describe('Ctrl-C, and what else asks the command to end', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('prints what a run has counted so far: %s', async (signal) => {
    const { code, stdout } = await signalled(signal, ['run', file('endless.json', JSON.stringify(endless)), '--json']);
    expect(code).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'endless', end: 'stopped' });
  });

  it('prints what a search has seen so far', async () => {
    const { code, stdout } = await signalled('SIGTERM', [
      'explore',
      'reference-ptdump',
      '--set',
      'n=3',
      '--set',
      'm=4',
      '--no-reduction',
      '--json',
    ]);
    expect(code).toBe(130);
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'bounded', complete: false });
  });

  it('says of a TLB count that it is partial', async () => {
    // A trace that is still being recorded, and that would never end.
    const pipe = join(folder, 'recording.txt');
    spawnSync('bash', ['-c', 'mkfifo "$0"', pipe]);
    const recorder = createWriteStream(pipe).on('error', () => undefined);
    const recording = setInterval(() => recorder.write(' L 7ffd2000,8\n'.repeat(20_000)), 100);
    const { code, stdout } = await signalled('SIGINT', ['tlb', pipe]);
    clearInterval(recording);
    recorder.destroy();
    expect(code).toBe(130);
    expect(stdout).toMatch(/\npartial: interrupted after \d+ references, and the trace has more\n$/);
  });

  it('ends the command at once while there is nothing to print yet', async () => {
    const slow = file(
      'slow.mjs',
      "console.error('loading'); await new Promise((resolve) => setTimeout(resolve, 30000));",
    );
    expect(await signalled('SIGINT', ['explore', slow])).toEqual({ code: 130, stdout: '' });
  });
});

/** What a command has said, but for the progress of one that takes its time on a busy machine. */
const said = (stderr: string): string[] =>
  stderr.split('\n').filter((line) => line !== '' && !/^[\d,]+ (steps|states), /.test(line));

describe('output for which there is no room', () => {
  it.each([
    ['a document', ['list', '--json']],
    ['a timeline', ['run', 'shootdown', '--format', 'text']],
  ])('in a file that may not grow: %s', (_, args) => {
    const { stdout, stderr } = spawnSync(
      'bash',
      ['-c', 'ulimit -f 1; "$@" >"$OUT"; echo $?', 'bash', process.execPath, command, ...args],
      { encoding: 'utf8', env: { ...process.env, OUT: join(folder, 'short') } },
    );
    expect(stdout).toBe('74\n');
    expect(said(stderr)).toEqual(['shootdown: the output cannot be written (EFBIG)']);
  });

  it('leaves a schedule that was there as it was, and nothing beside it', () => {
    const saved = join(folder, 'schedules', 'long.json');
    const script = 'mkdir "$0"; ulimit -f 1; "$@" >/dev/null; echo $?';
    const { stdout, stderr } = spawnSync(
      'bash',
      ['-c', script, join(folder, 'schedules'), process.execPath, command, 'run', 'fork-cow', '--save-schedule', saved],
      { encoding: 'utf8' },
    );
    expect(stdout).toBe('74\n');
    expect(said(stderr)).toEqual([`schedule: ${saved}: cannot be written (the file is longer than is allowed here)`]);
    expect(readdirSync(join(folder, 'schedules'))).toEqual([]);
  });
});

describe('a schedule of fifty million steps', () => {
  const spinning = (): string =>
    file(
      'spinning.mjs',
      `import { load, point, program, routine, store, SystemBuilder } from ${JSON.stringify(machine)};
       const spin = routine('spin', function* (word) {
         for (;;) { yield* point('again'); yield* load(word.at(0)); yield* store(word.at(0), 1); }
       });
       export const spinning = { name: 'spinning', title: 't', seed: 's',
         variants: [{ name: 'v', expected: 'safe', source: 's', summary: 's' }],
         build() {
           const builder = new SystemBuilder({ memoryModel: 'sc' });
           builder.processor({ name: 'CPU0', tasks: [program(spin, builder.region('w', 1))] });
           return builder.build();
         } };`,
    );

  it.each([
    ['that ends early', () => 'reference-ptdump', /^schedule: step \d+: CPU0 is not enabled there\n$/m],
    [
      'that goes on',
      spinning,
      /^schedule: 50000000 steps: a replay shows at most 1000000, and all of those can happen\n$/,
    ],
  ])('is replayed in bounded memory: one %s', (_, scenario, said) => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--max-old-space-size=512', command, 'replay', scenario(), '--schedule', '0x50000000'],
      { encoding: 'utf8' },
    );
    expect(stderr).toMatch(said);
    expect(stdout).toBe('');
    expect(status).toBe(10);
  });
});
