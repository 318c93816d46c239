/** Many command lines in one process: most of the time goes into starting one. */
import { spawn, type ChildProcess } from 'node:child_process';

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
  const home = process.cwd();
  let before = Promise.resolve();
  process.on('message', (asked) => { before = before.then(() => perform(asked)); });
  process.on('disconnect', () => process.exit());
  async function perform({ words, cwd }) {
    const said = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'])
      process[name].write = (text, ...rest) => { said[name] += text; rest.at(-1)?.(); return true; };
    process.chdir(cwd ?? home);
    process.send({ status: await main(words), ...said });
  }`;

/** A process that runs commands, one after another. */
class Commands {
  readonly #child: ChildProcess;
  #stderr = '';
  #before: Promise<unknown> = Promise.resolve();
  #asking: { words: readonly string[]; answer: (said: Said) => void; fail: (error: Error) => void } | null = null;
  ended = false;

  constructor(loadsCode: boolean) {
    const load = loadsCode ? `const { main } = await import(${JSON.stringify(program.href)});` : LOAD_BUNDLE;
    this.#child = spawn(process.execPath, ['--input-type=module', '-e', driver(load)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.#child.on('message', (said) => this.#asking?.answer(said as Said));
    this.#child.on('exit', (code) => {
      this.ended = true;
      const { words = [], fail } = this.#asking ?? {};
      fail?.(new Error(`shootdown ${words.join(' ')}: has ended the process (${code}) ${this.#stderr}`));
    });
  }

  run(words: readonly string[], cwd: string | undefined): Promise<Said> {
    const said = this.#before.then(
      () =>
        new Promise<Said>((answer, fail) => {
          this.#asking = { words, answer, fail };
          this.#child.send({ words, cwd });
        }),
    );
    this.#before = said.catch(() => undefined);
    return said;
  }
}

/** Those that have been started: files share them, which ends with the thread that runs these. */
const started = new Map<boolean, Commands>();

/** Runs commands in the process of their kind, which is started when it is first asked for. */
export function startShootdown({ cwd, loadsCode = false }: StartOptions = {}): Shootdown {
  return (...words) => {
    let commands = started.get(loadsCode);
    if (!commands || commands.ended) started.set(loadsCode, (commands = new Commands(loadsCode)));
    return commands.run(words, cwd?.());
  };
}
