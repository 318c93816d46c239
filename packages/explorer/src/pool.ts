/**
 * Shards in worker threads. comlink carries the calls, two per level and worker; rows of states travel as transferred
 * arrays; wishes and counts go through shared memory.
 */
import { transfer } from 'comlink';
import type { Outcome } from './outcome.ts';
import { ParallelSearch, type ShardApi } from './parallel.ts';
import type { Plan } from './plan.ts';
import type { SystemSource } from './result.ts';
import { Shared } from './shard-worker.ts';
import type { Watch } from './watch.ts';
import { WorkerThread } from './worker-thread.ts';
import type { WorkerApi } from './worker.ts';

const POLL_MILLISECONDS = 100;

/** Searches in `plan.workers` threads, each of which builds the system from `source`. */
export async function searchInWorkers(plan: Plan, source: SystemSource, watch: Watch): Promise<Outcome> {
  const { reduction, symmetry, all, preemptions, warmUp, bounds, workers } = plan;
  const shared = new Float64Array(new SharedArrayBuffer(8 * (Shared.first + workers * Shared.perWorker)));
  const threads = Array.from({ length: workers }, (_, index) => new ShardThread(index));
  try {
    const search = new ParallelSearch(plan, threads);
    const timer = setInterval(() => poll(search, shared, workers, watch), POLL_MILLISECONDS);
    try {
      await Promise.all(
        threads.map((thread, i) =>
          thread.start(source, { reduction, symmetry, all, preemptions, warmUp, bounds }, i, workers, shared),
        ),
      );
      return await search.run();
    } finally {
      clearInterval(timer);
    }
  } finally {
    await Promise.all(threads.map((thread) => thread.stop()));
  }
}

function poll(search: ParallelSearch, shared: Float64Array, workers: number, watch: Watch): void {
  const sum = (offset: number): number => {
    let total = 0;
    for (let i = 0; i < workers; i++) total += shared[Shared.first + i * Shared.perWorker + offset] as number;
    return total;
  };
  search.stopWish ??= watch.tick(() => ({ states: sum(0), transitions: sum(1), depth: search.level, queue: sum(2) }));
  if (search.stopWish !== null) shared[Shared.stop] = 1;
}

/** A worker thread with one shard. */
class ShardThread extends WorkerThread implements ShardApi {
  constructor(index: number) {
    super('explore', index);
  }

  start(...request: Parameters<WorkerApi['start']>): Promise<void> {
    return this.raced(this.api.start(...request));
  }

  expand(answers: Parameters<ShardApi['expand']>[0]): ReturnType<ShardApi['expand']> {
    return this.raced(this.api.expand(answers));
  }

  accept(
    discoveries: Parameters<ShardApi['accept']>[0],
    batches: Parameters<ShardApi['accept']>[1],
  ): ReturnType<ShardApi['accept']> {
    const buffers = batches.flatMap((batch) => (batch ? [batch.rows.buffer, batch.pairs.buffer] : []));
    return this.raced(this.api.accept(discoveries, transfer([...batches], buffers)));
  }

  knowledge(): ReturnType<ShardApi['knowledge']> {
    return this.raced(this.api.knowledge());
  }

  restart(knowledge: Parameters<ShardApi['restart']>[0]): Promise<void> {
    return this.raced(this.api.restart(knowledge));
  }

  finish(answers: Parameters<ShardApi['finish']>[0]): ReturnType<ShardApi['finish']> {
    return this.raced(this.api.finish(answers));
  }
}
