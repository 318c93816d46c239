/** A worker thread that judges mutants, one at a time. */
import type { MutationName } from '@shootdown/machine';
import type { Bounds, SystemSource } from '../result.ts';
import { WorkerThread } from '../worker-thread.ts';
import { NOTHING_WRONG, type Judgement, type Mutant } from './mutant.ts';
import type { StateSet } from './same-states.ts';

/** What every mutant of one system is judged with. Plain data. */
export interface MutantWork {
  readonly source: SystemSource;
  readonly original: StateSet | null;
  readonly bounds: Bounds;
}

/** How long a mutant may take beyond its timeout before its thread is given up: a search looks at the clock itself. */
const GRACE_SECONDS = 5;
const MILLISECONDS = 1000;

/** One such thread. A mutant that loops for ever is given up, and the thread with it. */
export class MutantThread {
  readonly #index: number;
  #worker: Worker | null = null;

  constructor(index: number) {
    this.#index = index;
  }

  async judge({ line, mutation }: Mutant, { source, original, bounds }: MutantWork): Promise<Judgement> {
    const { timeoutSeconds } = bounds;
    const { routine, step } = line;
    this.#worker ??= new Worker('mutate', this.#index);
    await this.#worker.prepare(source, bounds);
    const judged = this.#worker.judge({ routine, step, change: mutation.change }, original, bounds);
    if (timeoutSeconds === undefined) return await judged;
    const late = new Alarm(timeoutSeconds + GRACE_SECONDS);
    try {
      const judgement = await Promise.race([judged, late.rung]);
      if (judgement !== null) return judgement;
    } finally {
      late.stop();
    }
    judged.catch(() => undefined);
    await this.stop();
    return { ...NOTHING_WRONG, result: 'bounded', stoppedBy: 'timeout', states: 0, seconds: timeoutSeconds };
  }

  async stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.stop();
  }
}

/** Resolves to null after so many seconds. */
class Alarm {
  readonly rung: Promise<null>;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(seconds: number) {
    this.rung = new Promise((resolve) => {
      this.#timer = setTimeout(() => resolve(null), seconds * MILLISECONDS);
    });
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}

class Worker extends WorkerThread {
  #prepared: Promise<void> | null = null;

  /** Finds the lines of the system, the first time. */
  async prepare(source: SystemSource, bounds: Bounds): Promise<void> {
    await (this.#prepared ??= this.raced(this.api.prepare(source, bounds)));
  }

  judge(name: MutationName, original: StateSet | null, bounds: Bounds): Promise<Judgement> {
    return this.raced(this.api.judge(name, original, bounds));
  }
}
