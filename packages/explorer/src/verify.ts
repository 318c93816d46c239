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
  verifyPoints,
  type NodeTable,
  type System,
} from '@shootdown/machine';
import type { Problem } from './result.ts';

/** Operations that every search runs again: a few milliseconds, and more the more states it has seen. */
const SHARE = { again: 500, points: 1_500, depth: 2, reach: 40, statesPerOperation: 50 } as const;
/** Nodes that are run again in every search. */
const AGAIN_NODES = 12;

/**
 * Runs routines again, along some of the histories that the search met, or all of them. Throws ModelError on a routine
 * that does something else, and on a point that two histories leave differently.
 * @param states of the search: how much is looked at depends on them, so that it depends on nothing else
 */
export function verifyNodes(system: System, nodes: NodeTable, states: number, all: boolean): void {
  const more = Math.floor(states / SHARE.statesPerOperation);
  const stride = all ? 1 : Math.max(1, Math.floor(nodes.count / AGAIN_NODES));
  let left: number = all ? Number.POSITIVE_INFINITY : SHARE.again + more;
  for (let node = nodes.count - 1; node > 0 && left > 0; node -= stride) left -= 1 + nodes.runAgain(node);
  const options = all
    ? { identity: false }
    : { depth: SHARE.depth, reach: SHARE.reach, operationsMax: SHARE.points + more, identity: false };
  refuseMismatch(system, nodes, options, '');
}

function refuseMismatch(
  system: System,
  nodes: NodeTable,
  options: Parameters<typeof verifyPoints>[2],
  before: string,
): void {
  const [mismatch] = verifyPoints(system.programs, nodes, options);
  if (mismatch) throw new ModelError(`${before}${describeMismatch(mismatch)}`);
}

/** Operations to run again in search of the point that a counterexample rests on. */
const BLAME_OPERATIONS = 2_000_000;

/**
 * Makes a counterexample happen with routines that forget nothing, and compares. Throws ModelError if it does not, for
 * then it rests on a point that does not hold.
 * @param loopStart of a livelock: the steps from there on can be repeated for ever
 */
export function verifyExample(system: System, nodes: NodeTable, { problem, schedule, loopStart }: Example): void {
  if (happens(system, problem, schedule, loopStart)) return;
  const what = problem.kind === 'livelock' ? 'the livelock' : 'the counterexample';
  const options = { operationsMax: BLAME_OPERATIONS, identity: false };
  refuseMismatch(system, nodes, options, `explore: ${what} rests on a point that does not hold: `);
  throw new ModelError(
    `explore: ${what} does not happen when it is run again: a routine or an operation is not deterministic`,
  );
}

interface Example {
  readonly problem: Problem;
  readonly schedule: readonly number[];
  readonly loopStart: number | null;
}

function happens(system: System, problem: Problem, schedule: readonly number[], loopStart: number | null): boolean {
  const remembering = new TabulatedExecutor(system);
  const forgetting = new DirectExecutor(system);
  const step = (entry: number): boolean => {
    const [choice, branch] = [entryChoice(entry), entryBranch(entry)];
    return (
      samePending(remembering, forgetting) &&
      remembering.step(choice, branch) &&
      forgetting.step(choice, branch) &&
      remembering.fingerprint === forgetting.fingerprint
    );
  };
  if (!schedule.every(step)) return false;
  if (loopStart !== null) return loops(forgetting, schedule.slice(loopStart));
  return (
    samePending(remembering, forgetting) &&
    (problem.kind !== 'step' || forgetting.violation?.property === problem.property)
  );
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

function samePending(a: TabulatedExecutor, b: DirectExecutor): boolean {
  const others = pendingOf(b);
  return pendingOf(a).every((op, i) => sameOperation(op, others[i] ?? null));
}

const TWIN_RUNS = 2;
const TWIN_STEPS = 40;

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
  return differentRun(first, second);
}

/** Tabulated executors have nothing to settle, so that their fingerprints need no text to be compared. */
function sameFingerprint({ store }: TabulatedExecutor, other: TabulatedExecutor): boolean {
  return store.lo === other.store.lo && store.hi === other.store.hi;
}

function differentRun(first: System, second: System): string | null {
  const [one, other] = [new TabulatedExecutor(first), new TabulatedExecutor(second)];
  for (let run = 0; run < TWIN_RUNS; run++) {
    const scheduler = new RandomScheduler(run);
    one.reset();
    other.reset();
    for (let step = 0; step < TWIN_STEPS; step++) {
      const different = pendingOf(one).findIndex((op, p) => !sameOperation(op, other.operationOf(p)));
      if (different >= 0) {
        const stack = one.stackOf(different).at(-1) ?? first.processors[different]?.name ?? '?';
        return `${stack} goes on differently at step ${step} of a run`;
      }
      const entry = scheduler.next(one);
      if (entry < 0) break;
      if (!other.step(entryChoice(entry), entryBranch(entry)) || !sameFingerprint(one, other))
        return `step ${step} of a run leads elsewhere (${first.choices[entryChoice(entry)]?.name ?? '?'})`;
    }
  }
  return null;
}
