/** The clock of a search: yields to the event loop, reports progress, notices timeouts and cancellation. */
import { MemoryLimit } from './memory.ts';
import type { Progress, StopReason } from './result.ts';

/** Time between two looks at the event loop: signals, timers, messages of workers. */
const YIELD_MILLISECONDS = 50;
const PROGRESS_MILLISECONDS = 500;
/** Asking the system takes a while: in that time a search takes some tens of megabytes. */
const MEMORY_MILLISECONDS = 250;

/** Calls back when everything that is due now has run. A browser has no setImmediate. */
const letOthersRun: (then: (value?: unknown) => void) => void =
  typeof setImmediate === 'function' ? setImmediate : (then) => void setTimeout(then, 0);

/** What a search says about itself. */
export type Count = Pick<Progress, 'states' | 'transitions' | 'depth' | 'queue'>;

/** Stops the time of one search. */
export class Watch {
  readonly #start = performance.now();
  readonly #timeoutSeconds: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #memory = new MemoryLimit();
  #lastYield = this.#start;
  #lastProgress = this.#start;
  #lastMemory = this.#start;

  constructor(options: {
    readonly timeoutSeconds?: number | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: ((progress: Progress) => void) | undefined;
  }) {
    this.#timeoutSeconds = options.timeoutSeconds ?? Number.POSITIVE_INFINITY;
    this.#signal = options.signal;
    this.#onProgress = options.onProgress;
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** True if {@link pause} has something to do; cheap enough to ask every few thousand states. */
  get due(): boolean {
    return performance.now() - this.#lastYield >= YIELD_MILLISECONDS;
  }

  /** Lets the event loop run and reports progress; returns why the search must end now, or null. */
  async pause(count: () => Count): Promise<StopReason | null> {
    await new Promise((resolve) => letOthersRun(resolve));
    return this.tick(count);
  }

  /** The same without letting the event loop run. */
  tick(count: () => Count): StopReason | null {
    const now = performance.now();
    this.#lastYield = now;
    if (now - this.#lastProgress >= PROGRESS_MILLISECONDS) {
      this.#lastProgress = now;
      const { seconds } = this;
      const counted = count();
      this.#onProgress?.({ ...counted, seconds, statesPerSecond: counted.states / seconds });
    }
    return this.stopReason;
  }

  /** Why the search must end now, or null. */
  get stopReason(): StopReason | null {
    if (this.#signal?.aborted === true) return 'cancelled';
    if (this.seconds > this.#timeoutSeconds) return 'timeout';
    const now = performance.now();
    if (now - this.#lastMemory < MEMORY_MILLISECONDS) return null;
    this.#lastMemory = now;
    return this.#memory.exceeded ? 'memory' : null;
  }
}
