/**
 * PCT beside a search: random schedules with few changes of priority, tried in another thread while the search goes on.
 * A deep bug of a large space is often found that way long before a search comes to it.
 */
import type { System } from '@shootdown/machine';
import { fuzz } from './fuzz.ts';
import type { Problem, SystemSource } from './result.ts';
import type { Watch } from './watch.ts';
import { WorkerThread } from './worker-thread.ts';

/** What PCT has found. */
export interface PctFinding {
  readonly problem: Problem;
  /** From the initial state to where the problem shows. */
  readonly schedule: readonly number[];
  /** How many schedules were tried, this one included. */
  readonly runs: number;
}

/** Tries schedules until one shows a problem; null: none did. */
export type Sampler = () => Promise<PctFinding | null>;

const RUNS_MAX = 1_000_000;
const STEPS_MAX = 10_000;

/**
 * Tries schedules of a system. The same seed gives the same finding on any machine.
 * @param seed of the first run; the next one has the next seed
 */
export async function sampleWithPct(system: System, seed: number): Promise<PctFinding | null> {
  const { schedule, kind, property, runs } = await fuzz(system, {
    kind: 'pct',
    seed,
    runs: RUNS_MAX,
    stepsMax: STEPS_MAX,
  });
  if (schedule === null || kind === null || property === null) return null;
  return { problem: { kind, property, length: schedule.length }, schedule, runs };
}

/** Samples in a thread of its own, once the search has taken a while; ends the search when something is found. */
export class Beside {
  /** What was found; null so far. */
  found: PctFinding | null = null;
  readonly #timer: ReturnType<typeof setTimeout>;
  #thread: PctThread | null = null;
  #ended = false;

  constructor(
    sampler: Sampler | { readonly source: SystemSource; readonly seed: number },
    afterMilliseconds: number,
    watch: Watch,
  ) {
    this.#timer = setTimeout(() => {
      const sample = typeof sampler === 'function' ? sampler : this.#inThread(sampler.source, sampler.seed);
      sample().then(
        (found) => {
          if (this.#ended || found === null) return;
          this.found = found;
          watch.wish('violation');
        },
        // Whatever is wrong with the model shows in the search as well.
        () => undefined,
      );
    }, afterMilliseconds);
  }

  /** Ends the sampling, too. Its thread is not waited for: nothing interrupts the loading of a module. */
  stop(): void {
    this.#ended = true;
    clearTimeout(this.#timer);
    void this.#thread?.stop();
  }

  #inThread(source: SystemSource, seed: number): Sampler {
    this.#thread = new PctThread('pct', 0);
    return () => this.#thread?.sample(source, seed) ?? Promise.resolve(null);
  }
}

class PctThread extends WorkerThread {
  sample(source: SystemSource, seed: number): Promise<PctFinding | null> {
    return this.raced(this.api.sample(source, seed));
  }
}
