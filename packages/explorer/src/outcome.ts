/** What the engines hand over when a search has ended, and the two drivers that run them in this thread. */
import { isLimit, ModelError, TabulatedExecutor, thrown, type System } from '@shootdown/machine';
import { judgeLongRun } from './components.ts';
import { shortestPath } from './counterexample.ts';
import { DepthFirst } from './depth-first.ts';
import { StateFlag, type StateGraph } from './graph.ts';
import type { Plan } from './plan.ts';
import { Findings, type Finding } from './properties.ts';
import { RecordingExecutor } from './recording.ts';
import { Reduction } from './reduction.ts';
import { isOutOfMemory } from './memory.ts';
import { followMerged } from './replay.ts';
import type { StopReason } from './result.ts';
import { Staleness } from './staleness.ts';
import { Shard, type ShardOptions } from './shard.ts';
import { unprojected } from './unprojected.ts';
import { warmUp } from './warm-up.ts';
import type { Watch } from './watch.ts';

/** A search that has ended. */
export interface Outcome {
  readonly executor: TabulatedExecutor;
  readonly findings: Findings;
  /** Schedules to the nearest witnesses found, by property. */
  readonly witnesses: ReadonlyMap<string, readonly number[]>;
  readonly stopped: StopReason | null;
  /** What the model cannot do, if that is why it has stopped. */
  readonly limit?: string | undefined;
  readonly states: number;
  readonly transitions: number;
  readonly violatingTransitions: number;
  readonly depth: number;
  readonly bytes: number;
  readonly taken: Float64Array;
  readonly livelockChecked: boolean;
  /** Some state was at rest. */
  readonly rested: boolean;
  /** Breadth-first only. */
  readonly graph: StateGraph | null;
  /** The schedule to a finding, in the system as it was searched. */
  scheduleTo(finding: Finding): readonly number[];
}

/** States or steps between two looks at the clock: few, for some systems take milliseconds for one. */
const SLICE = 64;
/** Why a search stops: `stale` means that its reduction has learnt better, and it begins again. */
type Broken = StopReason | 'stale';

/** The executor of a plan, and its reduction if one is in force. */
async function equip(plan: Plan, watch: Watch): Promise<{ executor: TabulatedExecutor; reduction: Reduction | null }> {
  const recording = plan.reduction ? new RecordingExecutor(plan.model) : null;
  const executor = recording ?? new TabulatedExecutor(plan.model);
  if (plan.warmUp && (plan.reduction || plan.symmetry)) {
    const before = watch.place;
    watch.enter('getting ready');
    for (const steps of warmUp(plan.model, executor, plan.bounds.maxStates)) {
      if (watch.due && (await watch.pause(() => ({ states: 0, transitions: steps, depth: 0, queue: 0 }))) !== null)
        break;
    }
    executor.reset();
    watch.enter(...before);
  }
  return { executor, reduction: recording && new Reduction(plan.model, recording) };
}

/** Searches breadth first in this thread. */
export async function searchLevels(plan: Plan, watch: Watch): Promise<Outcome> {
  const { executor, reduction } = await equip(plan, watch);
  for (let breaks = 0; ; breaks++) {
    reduction?.learn();
    const options: ShardOptions = {
      all: plan.all,
      exact: plan.exact,
      statesMax: plan.bounds.maxStates,
      preemptions: plan.preemptions,
      reduction,
      own: 0,
      owners: 1,
    };
    const shard = new Shard(plan.model, executor, options);
    const { stopped, limit } = await guarded(reduction, () =>
      runLevels(shard, plan, watch, new Staleness(breaks, () => reduction?.stale === true)),
    );
    if (isToBeginAgain(stopped, reduction)) continue;
    return { ...shardOutcome(plan.model, executor, reduction, shard, stopped), limit };
  }
}

/** Ends that say nothing of how far the search has come. */
const ENDS: ReadonlySet<Broken | null> = new Set([null, 'max-states', 'max-depth', 'preemptions']);

/**
 * Whether a search has to be made again with what is known now. A violation is one, whatever was known, unless states
 * left something out that was of use after all: then it may be none.
 */
function isToBeginAgain(stopped: Broken | null, reduction: Reduction | null): stopped is 'stale' {
  if (stopped === 'stale') return true;
  if (reduction?.stale !== true) return false;
  return ENDS.has(stopped) || (stopped === 'violation' && reduction.projects);
}

/** Whether what was found may come from states that have left out too much: it is not to be relied on. */
function isDoubtful(reduction: Reduction | null): boolean {
  return reduction !== null && reduction.projects && reduction.stale;
}

/** How a search has ended. */
interface Ended {
  readonly stopped: Broken | null;
  readonly limit?: string;
}

/**
 * A search that cannot have more memory, or comes to a limit of the model, ends there: what it has found so far stands.
 * A state that has left out too much may be none that can be, in which a routine throws: the search begins again.
 */
async function guarded(reduction: Reduction | null, run: () => Promise<Broken | null>): Promise<Ended> {
  try {
    return { stopped: await run() };
  } catch (error) {
    if (isOutOfMemory(error)) return { stopped: 'memory' };
    if (error instanceof ModelError && isDoubtful(reduction)) return { stopped: 'stale' };
    if (isLimit(error)) return { stopped: 'limit', limit: thrown(error) };
    throw error;
  }
}

/** Expands level after level; null when every state has been expanded. A stale reduction breaks the search off. */
async function runLevels(shard: Shard, plan: Plan, watch: Watch, staleness: Staleness): Promise<Broken | null> {
  const count = () => ({
    states: shard.states + shard.candidates,
    transitions: shard.transitions,
    depth: shard.level,
    queue: shard.queue + shard.candidates,
  });
  shard.settle();
  for (;;) {
    if (!plan.all && shard.hasFindings) return 'violation';
    if (shard.queue === 0 && !shard.full) return shard.expander.pruned ? 'preemptions' : null;
    if (staleness.ends(shard.states)) return 'stale';
    if (shard.full) return 'max-states';
    if (shard.level >= plan.maxDepth) return 'max-depth';
    while (shard.expandSome(SLICE)) {
      const reason = watch.due ? await watch.pause(count) : null;
      if (reason === null) continue;
      shard.settle();
      return reason;
    }
    shard.settle();
    const reason = watch.due ? await watch.pause(count) : null;
    if (reason !== null) return reason;
  }
}

function shardOutcome(
  model: System,
  executor: TabulatedExecutor,
  reduction: Reduction | null,
  shard: Shard,
  stopped: StopReason | null,
): Outcome {
  const { graph, findings, witnesses, transitions, violatingTransitions, bytes } = shard;
  if (stopped === null) judgeLongRun(model, executor, graph, shard.pending, findings);
  const find = (lo: number, hi: number): number => shard.find(lo, hi);
  return outcomeOf(
    model,
    executor,
    { graph, findings, witnesses, transitions, violatingTransitions, bytes, taken: shard.expander.taken, find },
    stopped,
    reduction,
  );
}

/** What a breadth-first search leaves behind, in one thread or in several. */
export interface Searched {
  readonly graph: StateGraph;
  readonly findings: Findings;
  readonly witnesses: Findings;
  readonly transitions: number;
  readonly violatingTransitions: number;
  readonly bytes: number;
  readonly taken: Float64Array;
  /** The number of the state with this fingerprint, or -1. */
  find(lo: number, hi: number): number;
}

/** Packs up a breadth-first search. */
export function outcomeOf(
  model: System,
  executor: TabulatedExecutor,
  searched: Searched,
  stopped: StopReason | null,
  reduction: Reduction | null = null,
): Outcome {
  const { graph, findings, witnesses, transitions, violatingTransitions, bytes, taken } = searched;
  const merged = model.symmetric.length > 0;
  const scheduleTo = (finding: Finding): readonly number[] => {
    const path = shortestPath(model, graph, finding.goals);
    return merged
      ? followMerged(model, executor, path, (lo, hi) => searched.find(lo, hi))
      : unprojected(
          executor,
          reduction,
          path.map((step) => step.entry),
        );
  };
  return {
    transitions,
    violatingTransitions,
    bytes,
    taken,
    executor,
    findings: isDoubtful(reduction) ? new Findings() : findings,
    witnesses: new Map(
      (isDoubtful(reduction) ? [] : witnesses.all).map((finding) => [finding.property, scheduleTo(finding)]),
    ),
    stopped,
    states: graph.states,
    depth: graph.levelOf(graph.states - 1),
    livelockChecked: stopped === null,
    rested: graph.hasFlag(StateFlag.rest),
    graph,
    scheduleTo,
  };
}

/** Searches depth first in this thread. */
export async function searchDepthFirst(plan: Plan, watch: Watch): Promise<Outcome> {
  const { executor, reduction } = await equip(plan, watch);
  for (let breaks = 0; ; breaks++) {
    reduction?.learn();
    const search = new DepthFirst(plan.model, executor, {
      all: plan.all,
      statesMax: plan.bounds.maxStates,
      reduction,
    });
    const { stopped, limit } = await guarded(reduction, () =>
      runDepthFirst(search, plan, watch, new Staleness(breaks, () => reduction?.stale === true)),
    );
    if (isToBeginAgain(stopped, reduction)) continue;
    return { ...depthFirstOutcome(executor, reduction, search, stopped), limit };
  }
}

async function runDepthFirst(
  search: DepthFirst,
  plan: Plan,
  watch: Watch,
  staleness: Staleness,
): Promise<Broken | null> {
  const count = () => ({
    states: search.states,
    transitions: search.transitions,
    depth: search.depth,
    queue: search.depth + 1,
  });
  while (search.advance(SLICE)) {
    if (staleness.ends(search.states)) return 'stale';
    if (search.full) return 'max-states';
    const reason = watch.due ? await watch.pause(count) : null;
    if (reason !== null) return reason;
  }
  if (!plan.all && !search.findings.empty) return 'violation';
  return search.full ? 'max-states' : null;
}

function depthFirstOutcome(
  executor: TabulatedExecutor,
  reduction: Reduction | null,
  search: DepthFirst,
  stopped: StopReason | null,
): Outcome {
  const plainly = (schedule: readonly number[]): readonly number[] => unprojected(executor, reduction, schedule);
  return {
    executor,
    findings: isDoubtful(reduction) ? new Findings() : search.findings,
    witnesses: new Map(
      (isDoubtful(reduction) ? [] : [...search.witnesses]).map(([property, schedule]) => [property, plainly(schedule)]),
    ),
    stopped,
    states: search.states,
    transitions: search.transitions,
    violatingTransitions: search.violatingTransitions,
    depth: search.depthMax,
    bytes: search.bytes,
    taken: search.expander.taken,
    livelockChecked: stopped === null,
    rested: search.rested,
    graph: null,
    scheduleTo: () => plainly(search.schedule ?? []),
  };
}
