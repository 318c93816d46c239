/**
 * `explore`: every interleaving of a system, or an honest account of how far the search got.
 *
 * The search itself may be reduced (fewer interleavings, interchangeable processors as one) and may be depth first.
 * What is reported of a violation is always what a plain breadth-first search finds, so that the counterexample is a
 * shortest one and does not depend on how it was found.
 */
import { isLimit, refuseReplacedUnknown, refuseStrays, TabulatedExecutor, type System } from '@shootdown/machine';
import { verifyAnew, verifyBuild } from './anew.ts';
import { Beside, type PctFinding, type Sampler } from './beside.ts';
import { coverageOf, scopeOf } from './coverage.ts';
import { tidySchedule } from './counterexample.ts';
import { countInterleavings, type Interleavings } from './interleavings.ts';
import { searchDepthFirst, searchLevels, type Outcome } from './outcome.ts';
import { planOf, type Plan } from './plan.ts';
import { searchInWorkers } from './pool.ts';
import { compareProblems, type Finding } from './properties.ts';
import {
  NO_DEADLOCK,
  type ExploreOptions,
  type ExploreResult,
  type Problem,
  type StopReason,
  type Verdict,
} from './result.ts';
import { endsIn, fingerprintAfter, hasRunOutOfRoom, nearestFrom } from './replay.ts';
import { collisionOdds } from './storage.ts';
import { rememberRuns, toVerify, verifyExample, verifyNodes, verifyRuns } from './verify.ts';
import { Watch } from './watch.ts';

/** States after which the plain search for a shortest counterexample gives up. */
const CONFIRM_STATES_MAX = 1_000_000;

/** Spaces that are searched without reduction: see {@link ExploreOptions.reduction}. */
const SMALL_STATES_MAX = 1_000;

/** Tests put others in place of timers later. */
const setTimer = globalThis.setTimeout;

/** When PCT begins to run beside a search. */
const PCT_AFTER_MILLISECONDS = 1000;

/** A counterexample. */
interface Example {
  readonly problem: Problem;
  readonly schedule: readonly number[] | null;
  readonly loopStart: number | null;
  readonly shortest: boolean;
  /** The plain search that has confirmed it, if it ended there. */
  readonly plain?: Outcome;
}

/** A search, whose result PCT may have been first to find. */
interface Searched {
  readonly plan: Plan;
  readonly outcome: Outcome;
  readonly byPct: PctFinding | null;
}

/**
 * Searches a system exhaustively. Throws ModelError on options that do not go together, and on mistakes of the model
 * that show on the way (a routine that throws). A limit of the model (a channel that is full) ends the search.
 */
export async function explore(system: System, options: ExploreOptions = {}): Promise<ExploreResult> {
  const { pct, source } = options;
  const sampler = pct && source ? { source, seed: pct.seed } : null;
  return await searchBeside(system, options, sampler, pct?.afterMilliseconds ?? PCT_AFTER_MILLISECONDS);
}

/** The same with any sampler beside it; null: none. */
export async function searchBeside(
  system: System,
  options: ExploreOptions,
  sampler: ConstructorParameters<typeof Beside>[0] | Sampler | null,
  afterMilliseconds: number,
): Promise<ExploreResult> {
  const asked = planOf(system, options);
  const again = options.verifyPoints === true ? system : toVerify(system);
  if (again) rememberRuns(again);
  const watch = new Watch({
    timeoutSeconds: asked.bounds.timeoutSeconds,
    maxMemoryBytes: asked.bounds.maxMemoryBytes,
    signal: options.signal,
    onProgress: options.onProgress,
  });
  const searched = await searchFor(asked, options, watch, asked.sampled ? sampler : null, afterMilliseconds);
  const searchSeconds = watch.seconds;
  let { plan, outcome } = searched;
  const { byPct } = searched;
  let problems = byPct ? [byPct.problem] : problemsOf(system, outcome);
  const example = problems[0] ? await exampleOf(plan, outcome, problems[0], byPct, watch) : null;
  const { plain } = example ?? {};
  // What PCT has found says nothing of how far the search had come by then: its result depends on no clock.
  if (plain && plan.fewestStates && (byPct !== null || plain.states <= outcome.states)) {
    plan = { ...plan, model: plan.plain, reduction: false, symmetry: false };
    outcome = plain;
    problems = problemsOf(system, outcome);
  }
  const stopped = stoppedBy(outcome);
  const complete = stopped === null;
  if (example?.schedule) verifyExample(plan.plain, outcome.executor.nodes, { ...example, schedule: example.schedule });
  if (again) {
    verifyNodes(again, outcome.executor.nodes, outcome.states, options.verifyPoints === true);
    await verifyAnew(again, outcome.executor.nodes, options.fresh);
    verifyBuild(again, outcome.states);
    verifyRuns(again, outcome.states);
  }
  await callbacks();
  refuseStrays('explore');
  refuseReplacedUnknown('explore', system);
  const found = example ? withShownFirst(problems, example) : problems;
  const interleavings =
    complete && (plan.all || problems.length === 0) ? await interleavingsOf(plan, outcome, watch) : null;
  return {
    verdict: verdictOf(example?.problem, complete),
    property: example?.problem.property ?? null,
    kind: example?.problem.kind ?? null,
    states: outcome.states,
    transitions: outcome.transitions,
    violatingTransitions: outcome.violatingTransitions,
    depth: outcome.depth,
    statesByDepth: outcome.graph?.statesByLevel() ?? null,
    complete,
    stoppedBy: stopped,
    limit: outcome.limit ?? null,
    seconds: watch.seconds,
    statesPerSecond: outcome.states / searchSeconds,
    bytesPerState: outcome.bytes / outcome.states,
    collisionOdds: plan.exact ? 0 : collisionOdds(outcome.states),
    interleavings: interleavings?.all.toString() ?? null,
    violatingInterleavings: plan.all ? (interleavings?.violating.toString() ?? null) : null,
    schedule: example?.schedule ?? null,
    loopStart: example?.loopStart ?? null,
    shortest: example?.shortest ?? false,
    foundBy: problems.length === 0 ? null : byPct ? 'pct' : 'search',
    pctRuns: byPct?.runs ?? null,
    problems: found.map(({ kind, property, length }) => ({ kind, property, length })),
    sometimes: sometimesOf(system, outcome),
    livelockChecked: outcome.livelockChecked,
    coverage: coverageOf(plan.model, outcome.executor, outcome.taken),
    scope: scopeOf(plan.model, outcome.executor, outcome.rested),
    bounds: plan.bounds,
    boundsGiven: plan.boundsGiven,
    search: plan.search,
    reduction: plan.reduction,
    symmetry: plan.symmetry,
    exact: plan.exact,
    workers: plan.workers,
  };
}

/** Lets timers and promises happen that are due: they must not make steps. */
async function callbacks(): Promise<void> {
  await new Promise((resolve) => setTimer(resolve, 0));
}

/** Searches, with PCT beside it if there is a sampler. */
async function searchFor(
  asked: Plan,
  options: ExploreOptions,
  watch: Watch,
  sampler: Parameters<typeof searchBeside>[2],
  afterMilliseconds: number,
): Promise<Searched> {
  const beside = sampler && new Beside(sampler, afterMilliseconds, watch);
  try {
    watch.enter('searching');
    const small = asked.smallFirst ? await searchSmall(asked, watch) : null;
    const plan = small === null ? asked : { ...asked, reduction: false };
    const outcome = small ?? (await search(plan, options, watch));
    const byPct = outcome.findings.empty && outcome.stopped === 'violation' ? (beside?.found ?? null) : null;
    return { plan, outcome, byPct };
  } finally {
    beside?.stop();
    watch.forget();
  }
}

/** Why a search ended before it had seen everything; null: it has. */
function stoppedBy({ stopped, executor }: Outcome): StopReason | null {
  return stopped ?? (hasRunOutOfRoom(executor) ? 'messages' : null);
}

/** What a search has found, the reported problem first. */
function problemsOf(system: System, outcome: Outcome): Problem[] {
  const stopped = stoppedBy(outcome);
  // Where runs could not go on to, they might have come to rest.
  const doubtful = hasRunOutOfRoom(outcome.executor);
  const problems: Problem[] = outcome.findings.all.filter(({ kind }) => !doubtful || kind !== 'livelock');
  if (stopped === null)
    for (const { name, witnessed } of sometimesOf(system, outcome))
      if (!witnessed) problems.push({ kind: 'sometimes', property: name, length: 0 });
  return problems.sort(compareProblems);
}

function sometimesOf(system: System, { witnesses }: Outcome): ExploreResult['sometimes'] {
  return system.properties
    .filter((property) => property.kind === 'sometimes')
    .map(({ name }) => ({ name, witnessed: witnesses.has(name), schedule: witnesses.get(name) ?? null }));
}

/** A search without reduction; null if the space turns out not to be small. */
async function searchSmall(plan: Plan, watch: Watch): Promise<Outcome | null> {
  if (plan.bounds.maxStates < SMALL_STATES_MAX) return null;
  const bounds = { ...plan.bounds, maxStates: SMALL_STATES_MAX };
  const outcome = await searchLevels({ ...plan, reduction: false, bounds }, watch);
  // Full is not small, even if something was found in the level that had no room.
  return outcome.states >= SMALL_STATES_MAX ? null : outcome;
}

async function search(plan: Plan, { source }: ExploreOptions, watch: Watch): Promise<Outcome> {
  if (plan.workers > 1 && source !== undefined) {
    try {
      return await searchInWorkers(plan, source, watch);
    } catch (error) {
      // How far a search comes to a limit does not depend on how many threads it has.
      if (!isLimit(error)) throw error;
    }
  }
  return plan.search === 'dfs' ? searchDepthFirst(plan, watch) : searchLevels(plan, watch);
}

function verdictOf(problem: Problem | undefined, complete: boolean): Verdict {
  if (problem === undefined) return complete ? 'safe' : 'bounded';
  return problem.kind === 'deadlock' ? 'deadlock' : 'violation';
}

/**
 * All problems, the one that is shown first, with the length it is shown at. It need not be the one that the search met
 * first: the plain search for a shortest counterexample may come upon another. A livelock stays one in the list,
 * although it is shown as a deadlock if no task moves on it.
 */
function withShownFirst(problems: readonly Problem[], { problem, schedule, loopStart }: Example): Problem[] {
  const [first, ...rest] = problems as [Problem, ...Problem[]];
  if (schedule === null) return [...problems];
  const length = loopStart ?? schedule.length;
  if (first.kind === 'livelock') return [{ ...first, length }, ...rest];
  return [
    { ...problem, length },
    ...problems.filter(({ kind, property }) => kind !== problem.kind || property !== problem.property),
  ];
}

/** The counterexample to report for the first problem. */
async function exampleOf(
  plan: Plan,
  outcome: Outcome,
  problem: Problem,
  byPct: PctFinding | null,
  watch: Watch,
): Promise<Example> {
  if (problem.kind === 'sometimes') return { problem, schedule: null, loopStart: null, shortest: false };
  const finding = problem as Finding;
  const executor = new TabulatedExecutor(plan.plain);
  if (byPct === null && !plan.reduction && !plan.symmetry && plan.search === 'bfs') {
    watch.enter('fewest switches', {}, true);
    return looped(plan, executor, finding, outcome.scheduleTo(finding), plan.preemptions === Number.POSITIVE_INFINITY);
  }
  const confirmed = await confirm(plan, executor, problem, watch);
  if (confirmed !== null) return confirmed;
  const schedule = byPct?.schedule ?? outcome.scheduleTo(finding);
  if (problem.kind === 'livelock') return looped(plan, executor, problem, schedule, false);
  const holds = endsIn(plan.plain, executor, problem);
  fingerprintAfter(executor, schedule);
  // Depth first, a `finally` property is judged at the root of the terminal component, not where it is broken.
  const rest = holds() ? [] : (nearestFrom(plan.plain, executor, schedule, () => holds()) ?? []);
  return {
    problem,
    schedule: tidySchedule(plan.plain, executor, [...schedule, ...rest], holds),
    loopStart: null,
    shortest: false,
  };
}

/**
 * Searches again without reduction and symmetry, no deeper than the problem found (a livelock, or a `finally` property
 * that spontaneous steps could still mend, needs the whole space); null if that is too much.
 */
async function confirm(
  plan: Plan,
  executor: TabulatedExecutor,
  problem: Problem,
  watch: Watch,
): Promise<Example | null> {
  const bounds = { maxStates: Math.min(plan.bounds.maxStates, CONFIRM_STATES_MAX) };
  const plain: Plan = {
    ...plan,
    model: plan.plain,
    search: 'bfs',
    reduction: false,
    symmetry: false,
    all: false,
    workers: 1,
    bounds,
  };
  if (problem.kind !== 'livelock') {
    watch.enter('confirming the shortest', { depthMax: problem.length + 1, statesMax: bounds.maxStates });
    const again = await searchLevels({ ...plain, maxDepth: problem.length + 1 }, watch);
    const found = again.findings.all[0];
    if (found !== undefined) {
      watch.enter('fewest switches', {}, true);
      const schedule = again.scheduleTo(found);
      return { problem: found, schedule, loopStart: null, shortest: true, plain: again };
    }
  }
  if (problem.kind !== 'livelock' && problem.kind !== 'finally') return null;
  watch.enter('confirming the shortest', { statesMax: bounds.maxStates });
  const whole = await searchLevels(plain, watch);
  const found = whole.findings.all[0];
  return found === undefined ? null : looped(plan, executor, found, whole.scheduleTo(found), true);
}

/** A livelock gets one round of its loop; if no task moves on the loop, it is a deadlock. */
function looped(
  plan: Plan,
  executor: TabulatedExecutor,
  problem: Problem,
  schedule: readonly number[],
  shortest: boolean,
): Example {
  const plainProblem = { kind: problem.kind, property: problem.property, length: problem.length };
  if (problem.kind !== 'livelock') return { problem: plainProblem, schedule, loopStart: null, shortest };
  if (nearestFrom(plan.plain, executor, schedule, ({ task }) => task) === null) {
    return {
      problem: { ...plainProblem, kind: 'deadlock', property: NO_DEADLOCK },
      schedule,
      loopStart: null,
      shortest,
    };
  }
  const start = fingerprintAfter(executor, schedule);
  const loop = nearestFrom(plan.plain, executor, schedule, () => executor.fingerprint === start) ?? [];
  return { problem: plainProblem, schedule: [...schedule, ...loop], loopStart: schedule.length, shortest };
}

async function interleavingsOf(plan: Plan, outcome: Outcome, watch: Watch): Promise<Interleavings | null> {
  const limit = plan.interleavingsStatesMax;
  if (outcome.states > limit) return null;
  if (outcome.graph !== null) {
    const counted = countInterleavings(outcome.graph);
    if (!plan.reduction || counted === null) return counted;
  }
  watch.enter('counting interleavings', { statesMax: limit });
  const full = await searchLevels(
    { ...plan, search: 'bfs', reduction: false, workers: 1, all: true, bounds: { maxStates: limit + 1 } },
    watch,
  );
  return full.stopped === null && full.graph !== null && full.states <= limit ? countInterleavings(full.graph) : null;
}
