/** Serves one shard of a parallel search to the pool: comlink over the `port` in `workerData`. */
import { ModelError } from '@shootdown/machine';
import { expose, transfer } from 'comlink';
import { workerData, type MessagePort } from 'node:worker_threads';
import { modelOf } from './plan.ts';
import type { SystemSource } from './result.ts';
import {
  buildSystem,
  ShardWorker,
  type Accepted,
  type Expanded,
  type Harvest,
  type Knowledge,
  type PlanData,
} from './shard-worker.ts';
import type { Batch } from './shard.ts';
import type { Discoveries } from '@shootdown/machine';

let shard: ShardWorker | undefined;

function started(): ShardWorker {
  if (shard === undefined) throw new ModelError('explore: worker: no search yet; call start() first');
  return shard;
}

const api = {
  /** Builds the system and gets ready to search. Throws ModelError if the source cannot be built. */
  async start(source: SystemSource, plan: PlanData, own: number, owners: number, shared: Float64Array): Promise<void> {
    const { plain, symmetric } = modelOf(await buildSystem(source));
    shard = new ShardWorker(plan.symmetry ? symmetric : plain, plan, own, owners, shared);
  },
  expand(answers: readonly Int32Array[] | null): Expanded {
    const expanded = started().expand(answers);
    const buffers = expanded.batches.flatMap((batch) => (batch ? [batch.rows.buffer, batch.pairs.buffer] : []));
    return transfer(expanded, buffers);
  },
  accept(discoveries: readonly Discoveries[], batches: readonly (Batch | null)[]): Accepted {
    const accepted = started().accept(discoveries, batches);
    return transfer(
      accepted,
      accepted.indices.map((indices) => indices.buffer),
    );
  },
  knowledge(): Knowledge {
    return started().knowledge();
  },
  restart(knowledge: readonly Knowledge[]): void {
    started().restart(knowledge);
  },
  finish(answers: readonly Int32Array[]): Harvest {
    const harvest = started().finish(answers);
    const { firstEdge, target, entry, flags } = harvest.graph;
    return transfer(harvest, [
      firstEdge.buffer,
      target.buffer,
      entry.buffer,
      flags.buffer,
      ...(harvest.fingerprints ? [harvest.fingerprints.buffer] : []),
    ]);
  },
};

/** What `wrap` of comlink sees on the other side. */
export type ShardWorkerApi = typeof api;

const { port } = workerData as { port: MessagePort };
expose(api, port);
