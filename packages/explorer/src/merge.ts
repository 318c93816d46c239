/** Puts the shards of a parallel search together: one graph, numbered level by level, as if one thread had searched. */
import type { System, TabulatedExecutor } from '@shootdown/machine';
import { judgeLongRun } from './components.ts';
import { StateGraph } from './graph.ts';
import { outcomeOf, type Outcome, type Searched } from './outcome.ts';
import { Findings, type Finding } from './properties.ts';
import type { StopReason } from './result.ts';
import type { Harvest } from './shard-worker.ts';
import { NO_ROOM, type PendingFinally } from './shard.ts';
import { FingerprintTable } from './storage.ts';

/**
 * Makes one outcome of what the shards have found. @param statesMax states beyond that are left out, the last ones
 * first
 */
export function merged(
  model: System,
  executor: TabulatedExecutor,
  harvests: readonly Harvest[],
  stopped: StopReason | null,
  statesMax: number,
): Outcome {
  const numbering = new Numbers(harvests, statesMax);
  const pending: PendingFinally[] = [];
  const findings = new Findings();
  const witnesses = new Findings();
  addAll(
    findings,
    harvests.flatMap((harvest) => harvest.findings),
    numbering,
  );
  addAll(
    witnesses,
    harvests.flatMap((harvest) => harvest.witnesses),
    numbering,
  );
  for (const entry of harvests.flatMap((harvest) => harvest.pending))
    pending.push({ ...entry, state: numbering.of(entry.state) });
  const graph = mergedGraph(model.choices.length, harvests, numbering);
  if (stopped === null) judgeLongRun(model, executor, graph, pending, findings);
  const taken = new Float64Array(model.choices.length);
  for (const harvest of harvests)
    harvest.taken.forEach((count, choice) => (taken[choice] = (taken[choice] as number) + count));
  const sum = (value: (harvest: Harvest) => number): number =>
    harvests.reduce((total, harvest) => total + value(harvest), 0);
  const searched: Searched = {
    graph,
    findings,
    witnesses,
    taken,
    transitions: sum((h) => h.transitions),
    violatingTransitions: sum((h) => h.violatingTransitions),
    bytes: sum((h) => h.bytes),
    find: finder(harvests, numbering),
  };
  return outcomeOf(model, executor, searched, stopped);
}

/** Numbers of the states in the merged graph. A state is known to the shards as `index * owners + owner`. */
class Numbers {
  readonly levelStart: number[] = [];
  readonly #owners: number;
  readonly #ids: Int32Array[];
  states = 0;

  constructor(harvests: readonly Harvest[], statesMax: number) {
    this.#owners = harvests.length;
    this.#ids = harvests.map(({ graph }) => new Int32Array(graph.states));
    const levels = Math.max(...harvests.map(({ graph }) => graph.levelStart.length));
    for (let level = 0; level < levels; level++) {
      this.levelStart.push(this.states);
      harvests.forEach(({ graph }, owner) => {
        const ids = this.#ids[owner] as Int32Array;
        for (
          let index = graph.levelStart[level] ?? graph.states;
          index < (graph.levelStart[level + 1] ?? graph.states);
          index++
        )
          ids[index] = this.states < statesMax ? this.states++ : NO_ROOM;
      });
    }
  }

  of(known: number): number {
    if (known === NO_ROOM) return NO_ROOM;
    return (this.#ids[known % this.#owners] as Int32Array)[Math.floor(known / this.#owners)] as number;
  }
}

function mergedGraph(choices: number, harvests: readonly Harvest[], numbers: Numbers): StateGraph {
  const graph = new StateGraph(choices);
  graph.states = numbers.states;
  graph.levelStart.push(...numbers.levelStart);
  const idOf = (target: number): number => numbers.of(target);
  for (let level = 0; level < numbers.levelStart.length; level++) {
    for (const { graph: part } of harvests) {
      const end = Math.min(part.levelStart[level + 1] ?? part.states, part.firstEdge.length);
      for (let index = part.levelStart[level] ?? part.states; index < end; index++) graph.copyState(part, index, idOf);
    }
  }
  return graph;
}

/** Adds the findings of all shards. Several may have come to the same state in the same level: it counts once. */
function addAll(to: Findings, from: readonly Finding[], numbers: Numbers): void {
  const seen = new Set<string>();
  for (const { kind, property, length, goals } of from) {
    for (const goal of goals) {
      const { state: known, entry } = numbers.of(goal.state) === NO_ROOM && goal.via ? goal.via : goal;
      const state = numbers.of(known);
      if (state === NO_ROOM) continue;
      const key = `${kind} ${property} ${length} ${state} ${entry}`;
      if (!seen.has(key)) to.add(kind, property, length, { state, entry });
      seen.add(key);
    }
  }
}

function finder(harvests: readonly Harvest[], numbers: Numbers): (lo: number, hi: number) => number {
  const table = new FingerprintTable();
  const ids: number[] = [];
  harvests.forEach(({ fingerprints }, owner) => {
    for (let i = 0; fingerprints && i < fingerprints.length; i += 2) {
      if (table.add(fingerprints[i] as number, fingerprints[i + 1] as number) < 0)
        ids.push(numbers.of((i / 2) * harvests.length + owner));
    }
  });
  return (lo, hi) => ids[table.find(lo, hi)] ?? -1;
}
