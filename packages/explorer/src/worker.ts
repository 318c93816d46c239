/**
 * Serves a shard of a parallel search, judges mutants, or samples with PCT: comlink over the `port` in `workerData`.
 */
import { ModelError } from '@shootdown/machine';
import { expose, transfer } from 'comlink';
import { workerData, type MessagePort } from 'node:worker_threads';
import { sampleWithPct, type PctFinding } from './beside.ts';
import { modelOf } from './plan.ts';
import { judge } from './mutants/judge.ts';
import { linesOf, mutationAmong } from './mutants/lines.ts';
import { takeAsVerified } from './verify.ts';
import type { Judgement } from './mutants/mutant.ts';
import type { StateSet } from './mutants/same-states.ts';
import type { Bounds, SystemSource } from './result.ts';
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
import type { CodeLine, Discoveries, MutationName, System } from '@shootdown/machine';

let shard: ShardWorker | undefined;
let mutable: { readonly system: System; readonly lines: readonly CodeLine[] } | undefined;

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
  /**
   * Builds the system whose mutants are to be judged. Throws ModelError if it cannot be built. Where lines are in the
   * code is found out here: the caller may have loaded other files of the same code.
   */
  async prepare(source: SystemSource, bounds: Bounds): Promise<void> {
    const { timeoutSeconds: _, ...unhurried } = bounds;
    const system = await buildSystem(source);
    // The caller has verified it.
    takeAsVerified(system);
    mutable = { system, lines: (await linesOf(system, { bounds: unhurried })).lines };
  },
  /** Judges one mutant of the system. */
  async judge(name: MutationName, original: StateSet | null, bounds: Bounds): Promise<Judgement> {
    if (mutable === undefined) throw new ModelError('mutate: worker: no system yet; call prepare() first');
    return await judge(mutable.system, mutationAmong(mutable.lines, name), original, bounds);
  },
  /** Tries schedules until one shows a problem. Throws ModelError if the source cannot be built. */
  async sample(source: SystemSource, seed: number): Promise<PctFinding | null> {
    return await sampleWithPct(await buildSystem(source), seed);
  },
};

/** What `wrap` of comlink sees on the other side. */
export type WorkerApi = typeof api;

const { port } = workerData as { port: MessagePort };
expose(api, port);
