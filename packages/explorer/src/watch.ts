/** The clock of a search: yields to the event loop, reports progress, notices timeouts and cancellation. */
import { MemoryLimit } from './memory.ts';
import type { Progress, SearchPhase, StopReason } from './result.ts';

/** Time between two looks at the event loop: signals, timers, messages of workers. */
const YIELD_MILLISECONDS = 50;
const PROGRESS_MILLISECONDS = 500;
/** Asking the system takes a while: in that time a search takes some tens of megabytes. */
const MEMORY_MILLISECONDS = 100;

/** Calls back when everything that is due now has run. A browser has no setImmediate. */
const letOthersRun: (then: (value?: unknown) => void) => void =
  typeof setImmediate === 'function' ? setImmediate : (then) => void setTimeout(then, 0);

/** What a search says about itself. */
export type Count = Pick<Progress, 'states' | 'transitions' | 'depth' | 'queue'>;

/** Where a phase ends at the latest. */
type Limits = Partial<Pick<Progress, 'depthMax' | 'statesMax'>>;

const NOTHING: Count = { states: 0, transitions: 0, depth: 0, queue: 0 };

/** Stops the time of one search. */
export class Watch {
  readonly #start = performance.now();
  readonly #timeoutSeconds: number;
  readonly #signal: AbortSignal | undefined;
  readonly #onProgress: ((progress: Progress) => void) | undefined;
  readonly #memory: MemoryLimit;
  #lastYield = this.#start;
  #lastProgress = this.#start;
  #lastMemory = Number.NEGATIVE_INFINITY;
  #phase: SearchPhase = 'getting ready';
  #phaseStart = this.#start;
  #limits: Limits = {};
  /** The most of each phase: it may begin again, and its numbers with it. */
  readonly #most = new Map<SearchPhase, Count>();
  #told = false;
  #wish: StopReason | null = null;

  constructor(options: {
    readonly timeoutSeconds?: number | undefined;
    readonly maxMemoryBytes?: number | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly onProgress?: ((progress: Progress) => void) | undefined;
  }) {
    this.#timeoutSeconds = options.timeoutSeconds ?? Number.POSITIVE_INFINITY;
    this.#memory = new MemoryLimit(options.maxMemoryBytes);
    this.#signal = options.signal;
    this.#onProgress = options.onProgress;
  }

  /** The phase under way, for {@link enter} to come back to. */
  get place(): readonly [SearchPhase, Limits] {
    return [this.#phase, this.#limits];
  }

  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /** True if {@link pause} has something to do; cheap enough to ask every few thousand states. */
  get due(): boolean {
    return this.#wish !== null || performance.now() - this.#lastYield >= YIELD_MILLISECONDS;
  }

  /** Somebody wants the search to end. */
  wish(reason: StopReason): void {
    this.#wish ??= reason;
  }

  /** What somebody has wished for has been heard. */
  forget(): void {
    this.#wish = null;
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
      this.#tell(count());
    }
    return this.stopReason;
  }

  /**
   * Begins a phase. One that says nothing by itself is told of at once, if the search is long enough for that.
   * @param silent the phase does not call {@link tick}
   */
  enter(phase: SearchPhase, limits: Limits = {}, silent = false): void {
    if (phase !== this.#phase) this.#phaseStart = performance.now();
    this.#phase = phase;
    this.#limits = limits;
    if (silent && this.#told) this.#tell(NOTHING);
  }

  #tell(counted: Count): void {
    const now = performance.now();
    this.#lastProgress = now;
    this.#told = true;
    const most = this.#most.get(this.#phase) ?? NOTHING;
    const { depthMax = null, statesMax = null } = this.#limits;
    // Successors that turn out to be known states are counted as well until then.
    const states = Math.min(counted.states, statesMax ?? counted.states);
    const count = {
      ...counted,
      states: Math.max(most.states, states),
      transitions: Math.max(most.transitions, counted.transitions),
      depth: Math.max(most.depth, counted.depth),
    };
    this.#most.set(this.#phase, count);
    const statesPerSecond = counted.states / ((now - this.#phaseStart) / 1000);
    this.#onProgress?.({ phase: this.#phase, ...count, depthMax, statesMax, seconds: this.seconds, statesPerSecond });
  }

  /** Why the search must end now, or null. */
  get stopReason(): StopReason | null {
    if (this.#wish !== null) return this.#wish;
    if (this.#signal?.aborted === true) return 'cancelled';
    if (this.seconds > this.#timeoutSeconds) return 'timeout';
    const now = performance.now();
    if (now - this.#lastMemory < MEMORY_MILLISECONDS) return null;
    this.#lastMemory = now;
    return this.#memory.exceeded ? 'memory' : null;
  }
}
