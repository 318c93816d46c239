/** Many command lines in one process: most of the time goes into starting one. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll } from 'vitest';

/** What a command line came to. */
export interface Said {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line when those before it are done. */
export type Shootdown = (...words: readonly string[]) => Promise<Said>;

/** How a {@link Shootdown} is started. */
interface StartOptions {
  /** Folder that it runs in. A function, since tests make theirs before they begin. Default: this one. */
  readonly cwd?: () => string;
  /**
   * Lines load code of the user's, C or a module, for which the command is not bundled. Then it takes a second to
   * start, else a quarter of that. Default false.
   */
  readonly loadsCode?: boolean;
}

const bundle = new URL('../dist/bundle/shootdown.cjs', import.meta.url);
const program = new URL('../dist/shootdown.js', import.meta.url);

const LOAD_BUNDLE = `
  const { readFileSync } = await import('node:fs');
  const { createRequire } = await import('node:module');
  const { dirname } = await import('node:path');
  const path = ${JSON.stringify(bundle.pathname)};
  const module = { exports: {} };
  // One expression: see build/bundle.mjs.
  (0, eval)(readFileSync(path, 'latin1'))(module.exports, createRequire(path), module, path, dirname(path));
  const { main } = module.exports;`;

const driver = (load: string): string => `
  ${load}
  let before = Promise.resolve();
  process.on('message', (words) => { before = before.then(() => perform(words)); });
  process.on('disconnect', () => process.exit());
  async function perform(words) {
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'])
      process[name].write = (text, ...rest) => { said[name] += text; rest.at(-1)?.(); return true; };
    process.send({ status: await main(words), ...said });
  }`;

/** Starts the command when it is first asked for, and ends it after the tests of the file. */
export function startShootdown({ cwd, loadsCode = false }: StartOptions = {}): Shootdown {
  let child: ChildProcess | null = null;
  let stderr = '';
  let before: Promise<unknown> = Promise.resolve();
  let asking: { words: readonly string[]; answer: (said: Said) => void; fail: (error: Error) => void } | null = null;
  const start = (): ChildProcess => {
    const load = loadsCode ? `const { main } = await import(${JSON.stringify(program.href)});` : LOAD_BUNDLE;
    const started = spawn(process.execPath, ['--input-type=module', '-e', driver(load)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      cwd: cwd?.(),
    });
    started.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    started.on('message', (said) => asking?.answer(said as Said));
    started.on('exit', (code) =>
      asking?.fail(new Error(`shootdown ${asking.words.join(' ')}: has ended the process (${code}) ${stderr}`)),
    );
    return started;
  };
  afterAll(async () => {
    asking = null;
    if (child?.kill('SIGKILL')) await once(child, 'exit');
  });
  return (...words) => {
    const said = before.then(
      () =>
        new Promise<Said>((answer, fail) => {
          asking = { words, answer, fail };
          child ??= start();
          child.send(words);
        }),
    );
    before = said.catch(() => undefined);
    return said;
  };
}
