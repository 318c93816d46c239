/**
 * Watches over a command that runs code of the user's, from another thread: a routine that loops for ever, a module
 * that never settles or ends the process, and memory that runs out are noticed from outside only.
 */
import { readFileSync } from 'node:fs';
import { getHeapStatistics } from 'node:v8';
import { isMainThread, Worker } from 'node:worker_threads';
import type { Progress } from '@shootdown/explorer';
import { oneLine } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import type { Searching, Told } from './host-link.ts';
import { interruption } from './interrupt.ts';
import { namesModule } from './modules.ts';
import { Silence } from './silence.ts';

/** A heap of less than that is soon full. */
const HEAP_SMALL_BYTES = 512 * 2 ** 20;
const MILLISECONDS = 1000;
/** A search looks at the clock itself: what has not ended so much later may never come back. */
const GRACE_SECONDS = 2;
/** Building runs the routines: one that loops shows there. So much of a processor even a big machine does not take. */
const BUILD_SECONDS = 5;
/** Time to load a module, on top of what --timeout allows for the search; and for what takes no time at all. */
const LOAD_SECONDS = 60;
/** So much of it a thread of the command has had that loops, on a machine with nothing else to do. */
const LOAD_CPU_MICROSECONDS = 45_000_000;
/** A thread that does less for so long waits. */
const IDLE_UTILIZATION = 0.05;
const IDLE_SECONDS = 10;
/** Commands that make one search after another tell between them that they are alive. */
const SILENT_GRACE_SECONDS = 10;
/** Commands that never take long once the module has been loaded. */
const SHORT_SECONDS = 30;
const SHORT_COMMANDS: readonly (string | undefined)[] = ['list', 'replay'];

const LOOPS = 'a routine, a check or an operation does not come back: it loops for ever';

/** True if a command is better run in a thread of its own. */
export function needsHost([command, ...rest]: readonly string[]): boolean {
  if (!isMainThread || command === undefined || rest.includes('--help') || littleAddressSpace()) return false;
  if (rest.some((word) => !word.startsWith('-') && namesModule(word))) return true;
  // A change of the code may make it loop for ever.
  if (rest.some((word) => word === '--mutate' || word.startsWith('--mutate='))) return true;
  return command === 'explore' && getHeapStatistics().heap_size_limit < HEAP_SMALL_BYTES;
}

/** A second thread reserves a gigabyte or two for code and heap, and ends the process if it cannot have them. */
const ADDRESS_SPACE_BYTES = 6 * 2 ** 30;

/** True if a second thread is better not begun. */
export function littleAddressSpace(): boolean {
  try {
    const limit = /^Max address space +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit !== undefined && Number(limit) < ADDRESS_SPACE_BYTES;
  } catch {
    return false;
  }
}

/** Runs a command in a thread of its own; returns the exit code. */
export async function hosted(argv: readonly string[]): Promise<number> {
  return await new Host(argv).run();
}

class Host {
  readonly #argv: readonly string[];
  readonly #worker: Worker;
  readonly #started = performance.now();
  readonly #timeoutSeconds: number | null;
  #searching: Searching | null = null;
  #progress: Progress | null = null;
  #code: number | null = null;
  #ended = false;
  #loaded = false;
  #built = false;
  readonly #silence = new Silence();
  #onBuilt: () => void = () => undefined;

  constructor(argv: readonly string[]) {
    this.#argv = argv;
    const timeout = Number(argv[argv.indexOf('--timeout') + 1]);
    const joined = Number(argv.find((word) => word.startsWith('--timeout='))?.slice('--timeout='.length));
    this.#timeoutSeconds = [argv.includes('--timeout') ? timeout : Number.NaN, joined].find((n) => n > 0) ?? null;
    this.#worker = new Worker(new URL('./guest-worker.js', import.meta.url), { workerData: { argv }, execArgv: [] });
  }

  async run(): Promise<number> {
    const { signal, ignore } = interruption();
    const ended = new Promise<number>((resolve) => {
      this.#worker.on('message', (told: Told) => this.#hear(told));
      this.#worker.once('error', (error: NodeJS.ErrnoException) => resolve(this.#failed(error)));
      this.#worker.once('exit', () => {
        if (!this.#ended) resolve(this.#code ?? this.#leftEarly());
      });
      signal.addEventListener('abort', () => {
        this.#worker.postMessage('stop');
        const end = (): void => resolve(this.#code ?? ExitCode.interrupted);
        this.#after(GRACE_SECONDS, () => (this.#searching === null ? end() : this.#await(end)));
      });
      this.#after(LOAD_SECONDS - IDLE_SECONDS, () => this.#watchLoading(resolve));
      this.#listen(resolve);
      this.#onBuilt = () => {
        const seconds = this.#timeoutSeconds;
        const end = (): void => resolve(this.#bounded('timeout'));
        if (seconds !== null) this.#after(seconds + GRACE_SECONDS, () => this.#await(end));
      };
    });
    const code = await ended;
    this.#ended = true;
    ignore();
    await this.#worker.terminate();
    return signal.aborted && code === ExitCode.invalidInput && this.#code === null ? ExitCode.interrupted : code;
  }

  #after(seconds: number, work: () => void): void {
    const unlessEnded = (): void => {
      if (!this.#ended && this.#code === null) work();
    };
    setTimeout(unlessEnded, seconds * MILLISECONDS).unref();
  }

  /** What is late and may come back has its own result, which says more. */
  #await(end: () => void): void {
    // What the thread has said meanwhile is heard first.
    setImmediate(() => {
      if (this.#ended || this.#code !== null) return;
      if (this.#silence.forEver) end();
      else this.#after(1, () => this.#await(end));
    });
  }

  /** A thread that loops for ever says nothing any more. */
  #listen(resolve: (code: number) => void): void {
    const short = SHORT_COMMANDS.includes(this.#argv[0]);
    const timeout = this.#timeoutSeconds;
    if (!short && timeout === null) return;
    const limit = (): number => {
      if (timeout === null) return SHORT_SECONDS;
      const builds = this.#searching !== null && !this.#built;
      return builds ? Math.max(timeout + GRACE_SECONDS, BUILD_SECONDS) : timeout + SILENT_GRACE_SECONDS;
    };
    const again = (): void =>
      void setImmediate(() => {
        if (this.#loaded && !this.#ended && this.#code === null && this.#silence.longerThan(limit()))
          resolve(this.#silent(short));
        else this.#after(1, again);
      });
    this.#after(1, again);
  }

  #silent(short: boolean): number {
    if (short) return this.#mistake(LOOPS);
    if (this.#searching !== null) return this.#bounded('timeout');
    process.stderr.write(`stopped: ${LOOPS}\n`);
    return ExitCode.bounded;
  }

  /** On a busy machine loading may take longer: late is what waits for nothing, or what has had the time. */
  #watchLoading(resolve: (code: number) => void): void {
    if (this.#loaded || this.#searching !== null) return;
    const before = this.#worker.performance.eventLoopUtilization();
    this.#after(IDLE_SECONDS, () => {
      if (this.#loaded || this.#searching !== null) return;
      const { utilization } = this.#worker.performance.eventLoopUtilization(before);
      const { user, system } = process.cpuUsage();
      if (utilization >= IDLE_UTILIZATION && user + system < LOAD_CPU_MICROSECONDS) this.#watchLoading(resolve);
      else resolve(this.#mistake(`has not been loaded after ${LOAD_SECONDS} seconds: it loops or waits for ever`));
    });
  }

  #hear(told: Told): void {
    this.#silence.hear(told.type !== 'alive');
    switch (told.type) {
      case 'alive':
        return;
      case 'loaded':
        this.#loaded = true;
        return;
      case 'write':
        process[told.to].write(told.text);
        return;
      case 'searching':
        this.#searching = told.searching;
        return;
      case 'built':
        this.#built = true;
        this.#onBuilt();
        return;
      case 'progress':
        this.#progress = told.progress;
        return;
      case 'code':
        this.#code = told.code;
    }
  }

  #failed(error: NodeJS.ErrnoException): number {
    if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') return this.#bounded('memory');
    return this.#mistake(`ended with an error: ${oneLine(String(error.message ?? error))}`);
  }

  #leftEarly(): number {
    return this.#mistake('ended the command before it had an answer: process.exit, or a promise that is never settled');
  }

  #mistake(what: string): number {
    const module = this.#argv.find((word) => namesModule(word)) ?? this.#argv.join(' ');
    process.stderr.write(`scenario: ${oneLine(module)}: ${what}\n`);
    return ExitCode.invalidInput;
  }

  /** What is known so far. */
  #bounded(stoppedBy: 'timeout' | 'memory'): number {
    const seconds = (performance.now() - this.#started) / MILLISECONDS;
    const { states = 0, transitions = 0, depth = 0 } = this.#progress ?? {};
    const why = stoppedBy === 'memory' ? 'out of memory' : LOOPS;
    if (this.#searching?.json === true) {
      const { json: _, ...asked } = this.#searching;
      const document = { ...asked, verdict: 'bounded', property: null, kind: null, states, transitions, depth };
      const rest = {
        complete: false,
        stoppedBy,
        limit: null,
        seconds,
        interleavings: null,
        schedule: null,
        trace: null,
        agrees: null,
      };
      process.stdout.write(`${JSON.stringify({ ...document, ...rest })}\n`);
    } else {
      process.stdout.write(`BOUNDED: no violation within bounds (stopped by ${stoppedBy})\n`);
      process.stdout.write(
        `\n${states} states, ${transitions} transitions, depth ${depth}, not complete, ${seconds.toFixed(2)} s\n`,
      );
    }
    process.stderr.write(`stopped: ${why}\n`);
    return ExitCode.bounded;
  }
}
