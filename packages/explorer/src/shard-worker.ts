/** One shard in a worker thread: what the pool may ask of it. Every call but `start` is made once per level. */
import {
  ModelError,
  mutated,
  Numbering,
  NOTHING_DISCOVERED,
  TabulatedExecutor,
  type Discovered,
  type Discoveries,
  type System,
} from '@shootdown/machine';
import type { GraphArrays } from './graph.ts';
import type { Plan } from './plan.ts';
import type { Finding } from './properties.ts';
import { RecordingExecutor, type AccessArrays } from './recording.ts';
import { Reduction } from './reduction.ts';
import type { SystemSource } from './result.ts';
import { resolveScenario, type Scenario } from './scenario.ts';
import { Shard, type Batch, type PendingFinally } from './shard.ts';
import { translator, type Translate } from './translation.ts';
import { warmUp } from './warm-up.ts';

/** The parts of a plan that are plain data. */
export type PlanData = Pick<Plan, 'reduction' | 'symmetry' | 'all' | 'preemptions' | 'warmUp' | 'bounds'>;

/**
 * Words of the memory that workers and pool share: the pool's wish to stop, then per worker states, transitions and
 * queue.
 */
export const Shared = { stop: 0, first: 1, perWorker: 3 } as const;

/** A level expanded. */
export interface Expanded {
  readonly discoveries: Discoveries;
  /** Candidates by owner; the shard's own are not sent. */
  readonly batches: readonly (Batch | null)[];
  readonly hasFindings: boolean;
  readonly pruned: boolean;
}

/** Candidates settled. */
export interface Accepted {
  /** By sender: the index of every candidate it sent. */
  readonly indices: readonly Int32Array<ArrayBuffer>[];
  readonly queue: number;
  readonly states: number;
  readonly stale: boolean;
}

/** Everything a shard has found. */
export interface Harvest {
  readonly graph: GraphArrays;
  readonly findings: readonly Finding[];
  readonly witnesses: readonly Finding[];
  readonly pending: readonly PendingFinally[];
  readonly transitions: number;
  readonly violatingTransitions: number;
  readonly taken: Float64Array;
  readonly bytes: number;
  /** Two halves per state, if symmetry is in force. */
  readonly fingerprints: Int32Array<ArrayBuffer> | null;
}

/** What one worker sends to another between two searches. */
export interface Knowledge {
  readonly discoveries: Discoveries;
  readonly accesses: AccessArrays | null;
}

/** States between two looks at the shared memory: few, for some systems take milliseconds for one. */
const SLICE = 64;

/** The worker's side of a parallel search. */
export class ShardWorker {
  readonly #own: number;
  readonly #owners: number;
  readonly #plan: PlanData;
  readonly #model: System;
  readonly #shared: Float64Array;
  readonly #executor: TabulatedExecutor;
  readonly #recording: RecordingExecutor | null;
  readonly #reduction: Reduction | null;
  readonly #numberings: readonly Numbering[];
  readonly #translate: Translate;
  #sent: Discovered = NOTHING_DISCOVERED;
  #shard: Shard;
  #ownBatch: Batch | null = null;

  constructor(model: System, plan: PlanData, own: number, owners: number, shared: Float64Array) {
    this.#own = own;
    this.#owners = owners;
    this.#plan = plan;
    this.#model = model;
    this.#shared = shared;
    this.#recording = plan.reduction ? new RecordingExecutor(model) : null;
    this.#executor = this.#recording ?? new TabulatedExecutor(model);
    if (plan.warmUp && (plan.reduction || plan.symmetry)) this.#warmUp();
    this.#reduction = this.#recording && new Reduction(model, this.#recording);
    this.#numberings = Array.from({ length: owners }, () => new Numbering());
    this.#translate = translator(model);
    this.#shard = this.#newShard();
  }

  #warmUp(): void {
    for (const steps of warmUp(this.#model, this.#executor, this.#plan.bounds.maxStates)) {
      this.#tell(0, steps, 0);
      if (this.#shared[Shared.stop] !== 0) break;
    }
    this.#executor.reset();
  }

  /** What the pool reads when it reports progress. */
  #tell(states: number, transitions: number, queue: number): void {
    const at = Shared.first + this.#own * Shared.perWorker;
    this.#shared[at] = states;
    this.#shared[at + 1] = transitions;
    this.#shared[at + 2] = queue;
  }

  #newShard(): Shard {
    const { all, preemptions } = this.#plan;
    this.#reduction?.learn();
    return new Shard(this.#model, this.#executor, {
      all,
      exact: false,
      // The pool counts the states of all shards; what is too much is left out when they are put together.
      statesMax: Number.POSITIVE_INFINITY,
      preemptions,
      reduction: this.#reduction,
      own: this.#own,
      owners: this.#owners,
    });
  }

  /** Begins again with what is known now. */
  restart(knowledge: readonly Knowledge[]): void {
    knowledge.forEach(({ discoveries, accesses }, sender) => {
      if (sender === this.#own) return;
      const numbering = this.#numberings[sender] as Numbering;
      this.#executor.adopt(discoveries, numbering);
      if (accesses) this.#recording?.accesses.adopt(accesses, numbering.nodes);
    });
    this.#shard = this.#newShard();
  }

  /** All that this worker has learnt. */
  knowledge(): Knowledge {
    return {
      discoveries: this.#news(),
      accesses: this.#recording?.accesses.toArrays(this.#executor.nodes.count) ?? null,
    };
  }

  #news(): Discoveries {
    const discoveries = this.#executor.discoveriesSince(this.#sent);
    this.#sent = this.#executor.discovered;
    return discoveries;
  }

  /** Ends the level before with the owners' answers (null: there was none) and expands the next one. */
  expand(answers: readonly Int32Array[] | null): Expanded {
    if (answers !== null) this.#shard.finishLevel(answers);
    const tell = (): void =>
      this.#tell(
        this.#shard.states + this.#shard.candidates,
        this.#shard.transitions,
        this.#shard.queue + this.#shard.candidates,
      );
    while (this.#shard.expandSome(SLICE) && this.#shared[Shared.stop] === 0) tell();
    tell();
    const discoveries = this.#news();
    const batches = this.#shard.outgoing();
    this.#ownBatch = batches[this.#own] ?? null;
    return {
      discoveries,
      batches: batches.map((batch, owner) => (owner === this.#own ? null : batch)),
      hasFindings: this.#shard.hasFindings,
      pruned: this.#shard.expander.pruned,
    };
  }

  /** Takes in what the others have discovered and settles the candidates sent here, by sender. */
  accept(discoveries: readonly Discoveries[], batches: readonly (Batch | null)[]): Accepted {
    discoveries.forEach((discovered, sender) => {
      if (sender !== this.#own) this.#executor.adopt(discovered, this.#numberings[sender] as Numbering);
    });
    const rows = batches.map((batch, sender) => {
      if (batch === null) return this.#ownBatch ?? { rows: new Int32Array(0), pairs: new Int32Array(0) };
      this.#translate(batch.rows, this.#shard.width, this.#numberings[sender] as Numbering);
      return batch;
    });
    const indices = this.#shard.accept(rows);
    this.#tell(this.#shard.states, this.#shard.transitions, this.#shard.accepted);
    return { indices, queue: this.#shard.accepted, states: this.#shard.states, stale: this.#reduction?.stale ?? false };
  }

  /** Ends the last level and hands everything over. */
  finish(answers: readonly Int32Array[]): Harvest {
    const shard = this.#shard;
    shard.finishLevel(answers);
    return {
      graph: shard.graph.toArrays(),
      findings: shard.findings.all,
      witnesses: shard.witnesses.all,
      pending: shard.pending,
      transitions: shard.transitions,
      violatingTransitions: shard.violatingTransitions,
      taken: shard.expander.taken,
      bytes: shard.bytes,
      fingerprints: this.#plan.symmetry ? shard.fingerprints() : null,
    };
  }
}

/**
 * Loads the module of a source and builds its system. Throws ModelError if there is no such export, or no such variant.
 */
export async function buildSystem(source: SystemSource): Promise<System> {
  const system = await builtFrom(source);
  return (source.mutations ?? []).reduce((changed, mutation) => mutated(changed, mutation).system, system);
}

async function builtFrom(source: SystemSource): Promise<System> {
  const module = (await import(source.module)) as Record<string, unknown>;
  const found = module[source.export];
  if (typeof found === 'function')
    return await (found as (request: SystemSource['request']) => System | Promise<System>)(source.request);
  if (typeof found === 'object' && found !== null && 'build' in found) {
    const scenario = found as Scenario;
    return resolveScenario([scenario], { scenario: scenario.name, ...source.request }).build();
  }
  throw new ModelError(
    `explore: worker: ${source.module} exports no scenario or function ${source.export} (have: ${Object.keys(module).join(', ') || 'none'})`,
  );
}
