/**
 * What a search takes on trust, looked at again: that routines are deterministic, that a `point` names all that the
 * future depends on, that a counterexample happens when no local state is remembered, and that `build` builds the same
 * system twice.
 */
import {
  describeMismatch,
  DirectExecutor,
  entryBranch,
  entryChoice,
  ModelError,
  RandomScheduler,
  sameOperation,
  TabulatedExecutor,
  verifyEvery,
  verifyPoints,
  verifyTogether,
  waysOf,
  type NodeTable,
  type System,
} from '@shootdown/machine';
import type { Problem } from './result.ts';
import { nextOf } from './warm-up.ts';

/** Operations that every search runs again: a few milliseconds, and more the more states it has seen. */
const SHARE = { together: 1_200, points: 1_500, depth: 2, reach: 40, statesPerOperation: 50 } as const;
/** If all are wanted: pairs of ways are more than anybody has time for. */
const TOGETHER_MAX = 200_000;
/** In search of who is to blame for something that is wrong already. */
const BLAME_OPERATIONS = 2_000_000;

/**
 * Runs routines again, along some of the histories that the search met, or all of them. Throws ModelError on a routine
 * that does something else, and on a point that two histories leave differently.
 * @param states of the search: how much is looked at depends on them, so that it depends on nothing else
 */
export function verifyNodes(system: System, nodes: NodeTable, states: number, all: boolean): void {
  const more = Math.floor(states / SHARE.statesPerOperation);
  const options = all
    ? { identity: false }
    : { depth: SHARE.depth, reach: SHARE.reach, operationsMax: SHARE.points + more, identity: false };
  const { programs } = system;
  const ways = waysOf(nodes);
  const [mismatch] = verifyPoints(programs, nodes, options);
  if (mismatch) {
    // What looks like a point that lies may be a variable that changes: then it does so without any point, too.
    verifyTogether(
      programs,
      nodes,
      ways.filter(({ merges }) => !merges),
      BLAME_OPERATIONS,
    );
    throw new ModelError(describeMismatch(mismatch));
  }
  if (all) verifyEvery(programs, nodes, waysOf(nodes, true));
  verifyTogether(programs, nodes, ways, all ? TOGETHER_MAX : SHARE.together + more);
}

/**
 * Makes a counterexample happen with routines that forget nothing, and compares. Throws ModelError if it does not, for
 * then it rests on a point that does not hold.
 * @param loopStart of a livelock: the steps from there on can be repeated for ever
 */
export function verifyExample(system: System, nodes: NodeTable, { problem, schedule, loopStart }: Example): void {
  const difference = differenceOnTheWay(system, problem, schedule, loopStart);
  if (difference === null) return;
  const what = problem.kind === 'livelock' ? 'the livelock' : 'the counterexample';
  const [mismatch] = verifyPoints(system.programs, nodes, { operationsMax: BLAME_OPERATIONS, identity: false });
  if (mismatch)
    throw new ModelError(`explore: ${what} rests on a point that does not hold: ${describeMismatch(mismatch)}`);
  throw new ModelError(`explore: not deterministic: ${what} does not happen when it is run again: ${difference}`);
}

interface Example {
  readonly problem: Problem;
  readonly schedule: readonly number[];
  readonly loopStart: number | null;
}

/** What becomes of a counterexample when it is run again, if that is not what was found; null: it happens. */
function differenceOnTheWay(
  system: System,
  problem: Problem,
  schedule: readonly number[],
  loopStart: number | null,
): string | null {
  const remembering = new TabulatedExecutor(system);
  const forgetting = new DirectExecutor(system);
  for (const [step, entry] of schedule.entries()) {
    const different = differentProcessor(remembering, forgetting);
    if (different !== null) return `${different} goes on differently at step ${step}`;
    const [choice, branch] = [entryChoice(entry), entryBranch(entry)];
    const routine = system.choices[choice]?.name ?? '?';
    if (!remembering.step(choice, branch) || !forgetting.step(choice, branch))
      return `step ${step} is not possible (${routine})`;
    if (remembering.fingerprint !== forgetting.fingerprint) return `step ${step} leads elsewhere (${routine})`;
  }
  if (loopStart !== null) return loops(forgetting, schedule.slice(loopStart)) ? null : 'its loop is none';
  const different = differentProcessor(remembering, forgetting);
  if (different !== null) return `${different} goes on differently at its end`;
  const { property } = problem;
  return problem.kind !== 'step' || forgetting.violation?.property === property ? null : `nothing violates ${property}`;
}

const ROUND_STEPS_MAX = 20_000;

/** Whether a loop can be gone round many times, and each time is like the first. */
function loops(executor: DirectExecutor, loop: readonly number[]): boolean {
  const { fingerprint } = executor;
  const first: (ReturnType<typeof pendingOf> | undefined)[] = [];
  const rounds = Math.floor(ROUND_STEPS_MAX / Math.max(1, loop.length));
  for (let round = 0; round < rounds; round++) {
    for (const [i, entry] of loop.entries()) {
      const pending = pendingOf(executor);
      const before = (first[i] ??= pending);
      if (!pending.every((op, p) => sameOperation(op, before[p] ?? null))) return false;
      if (!executor.step(entryChoice(entry), entryBranch(entry))) return false;
    }
    if (executor.fingerprint !== fingerprint) return false;
  }
  return true;
}

function pendingOf(executor: DirectExecutor | TabulatedExecutor) {
  return executor.system.processors.map(({ index }) => executor.operationOf(index));
}

/** The routine, or the processor, whose next operation is not the same in both; null: there is none. */
function differentProcessor(a: TabulatedExecutor, b: DirectExecutor): string | null {
  const others = pendingOf(b);
  const different = pendingOf(a).findIndex((op, i) => !sameOperation(op, others[i] ?? null));
  return different < 0 ? null : (a.stackOf(different).at(-1) ?? a.system.processors[different]?.name ?? '?');
}

const TWIN_RUNS = 2;
const TWIN_STEPS = 40;

/** A few random runs of a system. */
type Runs = readonly (readonly Stop[])[];

/** Where a run stands, and how it goes on: an entry of a schedule, negative if it does not. */
interface Stop {
  readonly pending: ReturnType<typeof pendingOf>;
  /** Of its fingerprint: tabulated executors have nothing to settle. */
  readonly lo: number;
  readonly hi: number;
  /** What is violated there, and which properties hold. */
  readonly judged: string;
  readonly entry: number;
}

/** How a system ran when it was new, for systems that have been searched or compared. */
const firstRuns = new WeakMap<System, Runs>();

/** What a checker says of the state of an executor: text to compare. A check may be anybody's, and throw. */
function judgedIn(executor: TabulatedExecutor): string {
  const { store, system } = executor;
  const truths = system.properties.map((property) => {
    try {
      return `${property.name}: ${property.check((address) => store.read(address))}`;
    } catch {
      return `${property.name}: throws`;
    }
  });
  return [...(executor.failed ? [executor.violation?.property] : []), ...truths].join(', ');
}

/** Systems that are not looked at again themselves: which one is in their place; null: none, it has been. */
const insteadOf = new WeakMap<System, System | null>();

/**
 * Says that the routines of a system are those of one that has been verified, but for a changed line at most: a search
 * does not run them again.
 */
export function takeAsVerified(system: System): void {
  insteadOf.set(system, null);
}

/** Says that a search of a system runs the routines of another one again: they do the same, in less time. */
export function verifyInstead(system: System, original: System): void {
  insteadOf.set(system, toVerify(original));
}

/** The system whose routines are run again after a search of this one; null: of none. */
export function toVerify(system: System): System | null {
  const other = insteadOf.get(system);
  return other === undefined ? system : other;
}

/** Has a system run when it is new, so that {@link verifyRuns} can say whether it still runs like that. */
export function rememberRuns(system: System): Runs {
  const known = firstRuns.get(system);
  if (known) return known;
  const executor = new TabulatedExecutor(system);
  const runs = Array.from({ length: TWIN_RUNS }, (_, seed) => {
    const scheduler = new RandomScheduler(seed);
    executor.reset();
    const stops: Stop[] = [];
    while (stops.length < TWIN_STEPS && (stops.at(-1)?.entry ?? 0) >= 0) {
      const [pending, { lo, hi }] = [pendingOf(executor), executor.store];
      const judged = judgedIn(executor);
      stops.push({ pending, lo, hi, judged, entry: nextOf(scheduler, executor) });
    }
    return stops;
  });
  firstRuns.set(system, runs);
  return runs;
}

/**
 * Throws ModelError if a system no longer runs as it did: its routines count, or ask the clock. The runs are made side
 * by side, a step each in turn, so that one shows what another has left in a variable that both use; those of a small
 * system more than once.
 */
export function verifyRuns(system: System, states: number): void {
  for (let i = 0; i < timesFor(system, states); i++) {
    const followers = rememberRuns(system).map((stops) => new Follower(stops, new TabulatedExecutor(system)));
    for (let step = 0; step < TWIN_STEPS; step++)
      for (const follower of followers) refuseDifference('explore', follower.follow(step), 'when it is run again ');
  }
}

const TIMES_MAX = 8;
const WORDS_OF_TIMES = 256;
const STATES_PER_TIME = 4_000;

/**
 * How often a system is looked at again: more often the smaller it is, or the longer it has been searched, for a coin
 * has to fall twice.
 */
export function timesFor({ layout }: System, states: number): number {
  const times = Math.max(WORDS_OF_TIMES / layout.words, states / STATES_PER_TIME);
  return Math.max(1, Math.min(TIMES_MAX, Math.floor(times)));
}

function refuseDifference(where: string, difference: string | null, when: string): void {
  if (difference !== null) throw new ModelError(`${where}: not deterministic: ${difference} ${when}${UNSTEADY}`);
}

/** Where it may come from. */
export const UNSTEADY = '(a variable of the module, Math.random, Date?)';

/**
 * What is different between two systems that should be the same one, in words; null if nothing was noticed. They are
 * compared by their parts, and along a few random runs.
 */
export function differenceBetween(first: System, second: System): string | null {
  if (first.layout.words !== second.layout.words)
    return `it has ${first.layout.words} words, then ${second.layout.words}`;
  const [words, again] = [first.layout.initial(), second.layout.initial()];
  const word = words.findIndex((value, address) => value !== again[address]);
  if (word >= 0) return `${first.layout.nameOf(word)} begins as ${words[word] ?? '?'}, then as ${again[word] ?? '?'}`;
  const names = (system: System): string[] => [
    ...system.programs.map((p) => `the program ${p.name}`),
    ...system.choices.map((choice) => `the choice ${choice.name}`),
    ...system.properties.map((p) => `the property ${p.name}`),
  ];
  const [parts, others] = [names(first), names(second)];
  const part = parts.findIndex((name, i) => name !== others[i]);
  if (part >= 0 || parts.length !== others.length)
    return `it has ${parts[part] ?? 'less'}, then ${others[part] ?? others.at(-1) ?? 'nothing'}`;
  return differentRun(rememberRuns(first), second);
}

function differentRun(first: Runs, system: System): string | null {
  const executor = new TabulatedExecutor(system);
  for (const stops of first) {
    const follower = new Follower(stops, executor);
    for (let step = 0; step < stops.length; step++) {
      const difference = follower.follow(step);
      if (difference !== null) return difference;
    }
  }
  return null;
}

/** Makes a run again. */
class Follower {
  readonly #stops: readonly Stop[];
  readonly #executor: TabulatedExecutor;

  constructor(stops: readonly Stop[], executor: TabulatedExecutor) {
    this.#stops = stops;
    this.#executor = executor;
    executor.reset();
  }

  /** What is different at a step of the run, in words; null: nothing, or the run has ended before it. */
  follow(step: number): string | null {
    const [stop, executor] = [this.#stops[step], this.#executor];
    if (stop === undefined) return null;
    const { pending, lo, hi, judged, entry } = stop;
    const different = pending.findIndex((op, p) => !sameOperation(op, executor.operationOf(p)));
    if (different >= 0) {
      const stack = executor.stackOf(different).at(-1) ?? executor.system.processors[different]?.name ?? '?';
      return `${stack} goes on differently at step ${step} of a run`;
    }
    if (executor.store.lo !== lo || executor.store.hi !== hi) return `step ${step - 1} of a run leads elsewhere`;
    const now = judgedIn(executor);
    if (now !== judged) return `at step ${step} of a run, what is judged (${judged}) becomes (${now})`;
    if (entry >= 0 && !executor.step(entryChoice(entry), entryBranch(entry)))
      return `step ${step} of a run is not possible (${executor.system.choices[entryChoice(entry)]?.name ?? '?'})`;
    return null;
  }
}
