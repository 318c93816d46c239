/**
 * Counterexamples: of all shortest schedules to a violation the one with the fewest context switches, and of those the
 * first in order of schedule entries. That is a function of the state graph alone, so it is the same for any number of
 * workers and any order of search.
 */
import { entryBranch, entryChoice, type System, type TabulatedExecutor } from '@shootdown/machine';
import type { StateGraph } from './graph.ts';
import type { Goal } from './properties.ts';
import type { MergedStep } from './replay.ts';

/** The processor a choice belongs to in the eyes of a reader; -1 for none. */
function columnOf(system: System, entry: number): number {
  const choice = system.choices[entryChoice(entry)];
  switch (choice?.kind) {
    case 'advance':
    case 'drain':
      return choice.processor;
    case 'deliver':
      return system.components[system.channels[choice.channel]?.toComponent ?? -1]?.processor ?? -1;
    case 'spontaneous':
      return system.components[system.spontaneous[choice.spontaneous]?.toComponent ?? -1]?.processor ?? -1;
    case undefined:
      return -1;
  }
}

const UNREACHED = 0x7fff;

/** Costs of going on from a state to a goal, per processor that moved last. */
class Costs {
  readonly #columns: number;
  readonly #slots = new Map<number, Int16Array>();

  constructor(processors: number) {
    this.#columns = processors + 1;
  }

  has(state: number): boolean {
    return this.#slots.has(state);
  }

  /** Context switches still to come when `last` (-1: none) moved last. */
  get(state: number, last: number): number {
    return this.#slots.get(state)?.[last + 1] ?? UNREACHED;
  }

  lower(state: number, last: number, cost: number): void {
    let row = this.#slots.get(state);
    if (row === undefined) this.#slots.set(state, (row = new Int16Array(this.#columns).fill(UNREACHED)));
    if (cost < (row[last + 1] as number)) row[last + 1] = cost;
  }
}

/** Moving in `column` after `last` is a context switch; steps of no processor (-1) neither are one nor end a stay. */
function switches(last: number, column: number): number {
  return last >= 0 && column >= 0 && column !== last ? 1 : 0;
}

/**
 * The path to one of `goals`, all of which lie at the same, shortest depth: fewest context switches, then first in
 * order of entries.
 */
export function shortestPath(system: System, graph: StateGraph, goals: readonly Goal[]): MergedStep[] {
  const columns = system.processors.length;
  const columnOfChoice = Int32Array.from(system.choices, (_, choice) => columnOf(system, choice));
  const costs = new Costs(columns);
  const finalEntries = new Map<number, number[]>();
  for (const { state, entry } of goals) {
    if (entry >= 0) finalEntries.set(state, [...(finalEntries.get(state) ?? []), entry]);
    for (let last = -1; last < columns; last++) {
      costs.lower(state, last, entry < 0 ? 0 : switches(last, columnOfChoice[entryChoice(entry)] as number));
    }
  }
  const goalLevel = graph.levelOf(goals[0]?.state ?? 0);
  for (let level = goalLevel - 1; level >= 0; level--) {
    for (let state = graph.levelStart[level] as number; state < (graph.levelStart[level + 1] as number); state++) {
      for (let edge = graph.firstOf(state); edge < graph.endOf(state); edge++) {
        const target = graph.target.get(edge);
        if (target < (graph.levelStart[level + 1] as number) || !costs.has(target)) continue;
        const column = columnOfChoice[entryChoice(graph.entry(edge))] as number;
        for (let last = -1; last < columns; last++) {
          costs.lower(state, last, switches(last, column) + costs.get(target, column < 0 ? last : column));
        }
      }
    }
  }
  return follow(graph, costs, columnOfChoice, goalLevel, finalEntries);
}

/** Walks from the initial state along the cheapest edges, first entry first. */
function follow(
  graph: StateGraph,
  costs: Costs,
  columnOfChoice: Int32Array,
  goalLevel: number,
  finalEntries: ReadonlyMap<number, readonly number[]>,
): MergedStep[] {
  const path: MergedStep[] = [];
  let state = 0;
  let last = -1;
  for (let level = 0; level < goalLevel; level++) {
    const wanted = costs.get(state, last);
    let best = -1;
    for (let edge = graph.firstOf(state); edge < graph.endOf(state); edge++) {
      const target = graph.target.get(edge);
      if (target < (graph.levelStart[level + 1] as number) || !costs.has(target)) continue;
      const column = columnOfChoice[entryChoice(graph.entry(edge))] as number;
      if (switches(last, column) + costs.get(target, column < 0 ? last : column) !== wanted) continue;
      if (best < 0 || graph.entry(edge) < graph.entry(best)) best = edge;
    }
    path.push({ entry: graph.entry(best), target: graph.target.get(best) });
    const column = columnOfChoice[entryChoice(graph.entry(best))] as number;
    if (column >= 0) last = column;
    state = graph.target.get(best);
  }
  const finals = (finalEntries.get(state) ?? []).filter(
    (entry) => switches(last, columnOfChoice[entryChoice(entry)] as number) === costs.get(state, last),
  );
  if (finals.length > 0) path.push({ entry: Math.min(...finals), target: -1 });
  return path;
}

/** Context switches of a schedule. */
export function contextSwitches(system: System, schedule: readonly number[]): number {
  let count = 0;
  let last = -1;
  for (const entry of schedule) {
    const column = columnOf(system, entry);
    count += switches(last, column);
    if (column >= 0) last = column;
  }
  return count;
}

/**
 * Rearranges and shortens a schedule without a state graph: drops steps and moves steps next to others of the same
 * processor, as long as replaying still ends in the same violation. For spaces too big for {@link shortestPath}.
 * @param holds whether the executor, after replaying, is where the counterexample must end
 */
export function tidySchedule(
  system: System,
  executor: TabulatedExecutor,
  schedule: readonly number[],
  holds: () => boolean,
): number[] {
  const works = (candidate: readonly number[]): boolean => replays(executor, candidate) && holds();
  let best = [...schedule];
  for (let i = best.length - 1; i >= 0; i--) {
    const candidate = best.toSpliced(i, 1);
    if (works(candidate)) best = candidate;
  }
  for (let improved = true; improved;) {
    improved = false;
    for (let i = 1; i < best.length; i++) {
      const candidate = joined(system, best, i);
      if (
        candidate === null ||
        contextSwitches(system, candidate) >= contextSwitches(system, best) ||
        !works(candidate)
      )
        continue;
      best = candidate;
      improved = true;
    }
  }
  return best;
}

/** Moves step `i` back behind the previous step of its column; null if it stands there already or is the first. */
function joined(system: System, schedule: readonly number[], i: number): number[] | null {
  const entry = schedule[i] as number;
  const column = columnOf(system, entry);
  let previous = i - 1;
  while (previous >= 0 && columnOf(system, schedule[previous] as number) !== column) previous--;
  if (previous < 0 || previous === i - 1) return null;
  const without = schedule.toSpliced(i, 1);
  without.splice(previous + 1, 0, entry);
  return without;
}

/** Replays a schedule; false if some entry is not enabled, or if a step before the last violates a property. */
function replays(executor: TabulatedExecutor, schedule: readonly number[]): boolean {
  executor.reset();
  return schedule.every(
    (entry, i) =>
      executor.step(entryChoice(entry), entryBranch(entry)) && (i === schedule.length - 1 || !executor.failed),
  );
}
