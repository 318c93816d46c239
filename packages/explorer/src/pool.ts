/**
 * A breadth-first search in several worker threads. comlink carries the calls, a few per level; rows of states travel as
 * transferred arrays. Every state is owned by the worker that its fingerprint names, and levels are finished together, so
 * the number of workers changes nothing but the time.
 */
import { ModelError, Numbering, TabulatedExecutor, type Discoveries } from '@shootdown/machine';
import { releaseProxy, transfer, wrap, type Remote } from 'comlink';
import { createRequire } from 'node:module';
import { MessageChannel, Worker } from 'node:worker_threads';
import { merged } from './merge.ts';
import { BREAKS_MAX, type Outcome } from './outcome.ts';
import type { Plan } from './plan.ts';
import type { StopReason, SystemSource } from './result.ts';
import { Shared, type Accepted, type Expanded } from './shard-worker.ts';
import type { Watch } from './watch.ts';
import type { ShardWorkerApi } from './worker.ts';

const POLL_MILLISECONDS = 100;

/** Searches in `plan.workers` threads, each of which builds the system from `source`. */
export async function searchInWorkers(plan: Plan, source: SystemSource, watch: Watch): Promise<Outcome> {
  const pool = new Pool(plan, watch);
  try {
    return await pool.search(source);
  } finally {
    await pool.stop();
  }
}

interface Member {
  readonly api: Remote<ShardWorkerApi>;
  readonly worker: Worker;
  /** Rejects when the worker ends before it should. */
  readonly gone: Promise<never>;
}

class Pool {
  readonly #plan: Plan;
  readonly #watch: Watch;
  readonly #members: readonly Member[];
  readonly #shared: Float64Array;
  /** Adopts what all workers discover: routine nodes for coverage and for judging the long run. */
  readonly #executor: TabulatedExecutor;
  readonly #numberings: readonly Numbering[];
  #level = -1;
  #transitions = 0;
  #stopWish: StopReason | null = null;

  constructor(plan: Plan, watch: Watch) {
    this.#plan = plan;
    this.#watch = watch;
    this.#shared = new Float64Array(new SharedArrayBuffer(8 * (Shared.first + plan.workers * Shared.perWorker)));
    this.#members = Array.from({ length: plan.workers }, startWorker);
    this.#executor = new TabulatedExecutor(plan.model);
    this.#numberings = this.#members.map(() => new Numbering());
  }

  async search(source: SystemSource): Promise<Outcome> {
    const { reduction, symmetry, all, preemptions, workers } = this.#plan;
    await this.#each((api, i) => api.start(source, { reduction, symmetry, all, preemptions }, i, workers, this.#shared));
    const timer = setInterval(() => this.#poll(), POLL_MILLISECONDS);
    try {
      for (let breaks = 0; ; breaks++) {
        const { stopped, stale, answers } = await this.#levels(breaks < BREAKS_MAX);
        const settled = stopped === 'violation' || stopped === 'timeout' || stopped === 'cancelled';
        if (settled || !stale) return merged(this.#plan.model, this.#executor, await this.#each((api, i) => api.finish(answers[i] as Int32Array[])), stopped);
        const knowledge = await this.#each((api) => api.knowledge());
        this.#adopt(knowledge.map((k) => k.discoveries));
        await this.#each((api) => api.restart(knowledge));
      }
    } finally {
      clearInterval(timer);
    }
  }

  async stop(): Promise<void> {
    for (const { api } of this.#members) api[releaseProxy]();
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()));
  }

  /** Expands level after level. `answers`: what the owners said last, by sender. */
  async #levels(breakWhenStale: boolean): Promise<{ stopped: StopReason | null; stale: boolean; answers: Int32Array[][] }> {
    let answers: Int32Array[][] | null = null;
    for (this.#level = -1; ; this.#level++) {
      const before: Int32Array[][] | null = answers;
      const expanded = await this.#each((api, i) => api.expand(before === null ? null : (before[i] as Int32Array[])));
      const accepted = await this.#exchange(expanded);
      answers = this.#members.map((_, sender) => accepted.map(({ indices }) => indices[sender] as Int32Array));
      const stale = accepted.some((a) => a.stale);
      const verdict = this.#verdict(expanded, accepted, breakWhenStale && stale);
      if (verdict !== 'go on') return { stopped: verdict, stale, answers };
    }
  }

  /** Gives every worker the discoveries of all, and the candidates that it owns. */
  #exchange(expanded: readonly Expanded[]): Promise<Accepted[]> {
    const discoveries = expanded.map((e) => e.discoveries);
    this.#adopt(discoveries);
    return this.#each((api, owner) => {
      const batches = expanded.map(({ batches: sent }) => sent[owner] ?? null);
      const buffers = batches.flatMap((batch) => (batch ? [batch.rows.buffer, batch.pairs.buffer] : []));
      return api.accept(discoveries, transfer(batches, buffers));
    });
  }

  #adopt(discoveries: readonly Discoveries[]): void {
    discoveries.forEach((discovered, sender) => this.#executor.adopt(discovered, this.#numberings[sender] as Numbering));
  }

  /** The same questions, in the same order, as a search in one thread asks between two levels. */
  #verdict(expanded: readonly Expanded[], accepted: readonly Accepted[], breakOff: boolean): StopReason | null | 'go on' {
    const { all, bounds, maxDepth } = this.#plan;
    const states = accepted.reduce((sum, a) => sum + a.states, 0);
    if (!all && expanded.some((e) => e.hasFindings)) return 'violation';
    if (this.#stopWish !== null) return this.#stopWish;
    if (accepted.every((a) => a.queue === 0)) return expanded.some((e) => e.pruned) ? 'preemptions' : null;
    if (breakOff || states >= bounds.maxStates) return 'max-states';
    return this.#level + 1 >= maxDepth ? 'max-depth' : 'go on';
  }

  #poll(): void {
    let states = 0;
    let transitions = 0;
    for (let i = 0; i < this.#members.length; i++) {
      states += this.#shared[Shared.first + i * Shared.perWorker] as number;
      transitions += this.#shared[Shared.first + i * Shared.perWorker + 1] as number;
    }
    this.#transitions = transitions;
    this.#stopWish ??= this.#watch.tick(() => ({ states, transitions: this.#transitions, depth: this.#level, queue: 0 }));
    if (this.#stopWish !== null) this.#shared[Shared.stop] = 1;
  }

  /** Calls all workers at once; a worker that dies fails the call. */
  async #each<T>(call: (api: Remote<ShardWorkerApi>, index: number) => Promise<T>): Promise<T[]> {
    try {
      return await Promise.all(this.#members.map(({ api, gone }, i) => Promise.race([call(api, i), gone])));
    } catch (error) {
      // Errors cross threads as plain Errors that only keep their names.
      throw error instanceof Error && error.name === 'ModelError' ? new ModelError(error.message) : error;
    }
  }
}

/** Loads the built worker through the package's own exports, so that sources and builds start the same one. */
function startWorker(_: unknown, index: number): Member {
  const { port1, port2 } = new MessageChannel();
  const path = createRequire(import.meta.url).resolve('@shootdown/explorer/worker');
  const worker = new Worker(path, { workerData: { port: port2 }, transferList: [port2], execArgv: [] });
  const gone = new Promise<never>((_resolve, reject) => {
    worker.once('error', (error) => reject(new ModelError(`explore: worker ${index}: ${error.message}`)));
    worker.once('exit', (code) => reject(new ModelError(`explore: worker ${index}: ended early (exit code ${code})`)));
  });
  gone.catch(() => undefined);
  return { api: wrap<ShardWorkerApi>(port1), worker, gone };
}
