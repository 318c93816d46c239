/**
 * A breadth-first search by several shards. Every state is owned by the shard that its fingerprint names, and levels
 * are finished together, so the number of shards changes nothing but the time. Where the shards run is not known here.
 */
import { Numbering, TabulatedExecutor, type Discoveries } from '@shootdown/machine';
import { merged } from './merge.ts';
import type { Outcome } from './outcome.ts';
import type { Plan } from './plan.ts';
import type { StopReason } from './result.ts';
import type { Accepted, Expanded, Harvest, Knowledge } from './shard-worker.ts';
import type { Batch } from './shard.ts';
import { Staleness } from './staleness.ts';

/** A shard, wherever it runs; see `ShardWorker`. */
export interface ShardApi {
  expand(answers: readonly Int32Array[] | null): Promise<Expanded>;
  accept(discoveries: readonly Discoveries[], batches: readonly (Batch | null)[]): Promise<Accepted>;
  knowledge(): Promise<Knowledge>;
  restart(knowledge: readonly Knowledge[]): Promise<void>;
  finish(answers: readonly Int32Array[]): Promise<Harvest>;
}

/** Drives the shards level by level. */
export class ParallelSearch {
  /** Level that the shards expand. */
  level = -1;
  /** Set to end the search after this level. */
  stopWish: StopReason | null = null;
  readonly #plan: Plan;
  readonly #shards: readonly ShardApi[];
  /** Adopts what all shards discover: routine nodes for coverage and for judging the long run. */
  readonly #executor: TabulatedExecutor;
  readonly #numberings: readonly Numbering[];

  constructor(plan: Plan, shards: readonly ShardApi[]) {
    this.#plan = plan;
    this.#shards = shards;
    this.#executor = new TabulatedExecutor(plan.model);
    this.#numberings = shards.map(() => new Numbering());
  }

  async run(): Promise<Outcome> {
    for (let breaks = 0; ; breaks++) {
      const { stopped, stale, answers } = await this.#levels(breaks);
      const settled =
        stopped !== null && stopped !== 'max-states' && stopped !== 'max-depth' && stopped !== 'preemptions';
      if (settled || !stale) {
        const harvests = await this.#each((shard, i) => shard.finish(answers[i] as Int32Array[]));
        return merged(this.#plan.model, this.#executor, harvests, stopped, this.#plan.bounds.maxStates);
      }
      const knowledge = await this.#each((shard) => shard.knowledge());
      this.#adopt(knowledge.map((k) => k.discoveries));
      await this.#each((shard) => shard.restart(knowledge));
    }
  }

  /** Expands level after level. `answers`: what the owners said last, by sender. */
  async #levels(breaks: number): Promise<{ stopped: StopReason | null; stale: boolean; answers: Int32Array[][] }> {
    let answers: Int32Array[][] = [];
    let stale = false;
    const staleness = new Staleness(breaks, () => stale);
    for (this.level = -1; ; this.level++) {
      const before = answers;
      const expanded = await this.#each((shard, i): Promise<Expanded> => shard.expand(before[i] ?? null));
      const discoveries = expanded.map((e) => e.discoveries);
      this.#adopt(discoveries);
      const accepted = await this.#each((shard, owner) =>
        shard.accept(
          discoveries,
          expanded.map(({ batches }) => batches[owner] ?? null),
        ),
      );
      answers = this.#shards.map((_, sender) => accepted.map(({ indices }) => indices[sender] as Int32Array));
      stale = accepted.some((a) => a.stale);
      const verdict = this.#verdict(expanded, accepted, staleness);
      if (verdict !== 'go on') return { stopped: verdict, stale, answers };
    }
  }

  /** The same questions, in the same order, as a search in one thread asks between two levels. */
  #verdict(
    expanded: readonly Expanded[],
    accepted: readonly Accepted[],
    staleness: Staleness,
  ): StopReason | null | 'go on' {
    const { all, bounds, maxDepth } = this.#plan;
    const states = accepted.reduce((sum, a) => sum + a.states, 0);
    if (!all && expanded.some((e) => e.hasFindings)) return 'violation';
    if (this.stopWish !== null) return this.stopWish;
    if (states <= bounds.maxStates && accepted.every((a) => a.queue === 0))
      return expanded.some((e) => e.pruned) ? 'preemptions' : null;
    if (staleness.ends(states) || states > bounds.maxStates) return 'max-states';
    return this.level + 1 >= maxDepth ? 'max-depth' : 'go on';
  }

  #adopt(discoveries: readonly Discoveries[]): void {
    discoveries.forEach((discovered, sender) =>
      this.#executor.adopt(discovered, this.#numberings[sender] as Numbering),
    );
  }

  #each<T>(call: (shard: ShardApi, index: number) => Promise<T>): Promise<T[]> {
    return Promise.all(this.#shards.map(call));
  }
}
