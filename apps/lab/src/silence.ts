/**
 * Whether a thread that is late comes back. A busy machine gives a thread little time: what counts is the time that the
 * process had on a processor while the thread said nothing.
 */

/** Time on the wall, and on processors. */
export interface Spent {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** What says nothing for so long loops: nothing between two looks at the clock takes that. */
const SILENT_SECONDS = 2;
const SILENT_CPU_SECONDS = 4;
/** What is alive and gets nowhere for so long waits for a thread that loops. */
const STILL_CPU_SECONDS = 10;
/** What loops has had some time of a processor by then; what has not waits for nothing. */
const WAIT_SECONDS = 60;

/** Listens to a thread. */
export class Silence {
  readonly #clock: () => Spent;
  #heard: Spent;
  #moved: Spent;

  constructor(clock: () => Spent = spent) {
    this.#clock = clock;
    this.#heard = this.#moved = clock();
  }

  /** @param moved it has said more than that it is alive */
  hear(moved: boolean): void {
    this.#heard = this.#clock();
    if (moved) this.#moved = this.#heard;
  }

  /** True of a thread that should have ended by now, and does not come back. */
  get forEver(): boolean {
    const silent = this.#since(this.#heard);
    if (silent.seconds >= SILENT_SECONDS && silent.cpuSeconds >= SILENT_CPU_SECONDS) return true;
    const still = this.#since(this.#moved);
    return still.cpuSeconds >= STILL_CPU_SECONDS || still.seconds >= WAIT_SECONDS;
  }

  /** True of a thread that may go on, if it has said nothing for so long. */
  longerThan(seconds: number): boolean {
    const silent = this.#since(this.#heard);
    return silent.cpuSeconds > seconds || silent.seconds > seconds + WAIT_SECONDS;
  }

  #since(then: Spent): Spent {
    const now = this.#clock();
    return { seconds: now.seconds - then.seconds, cpuSeconds: now.cpuSeconds - then.cpuSeconds };
  }
}

/** What this process has had. */
function spent(): Spent {
  const { user, system } = process.cpuUsage();
  return { seconds: performance.now() / 1e3, cpuSeconds: (user + system) / 1e6 };
}
