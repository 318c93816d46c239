/**
 * Replaying schedules: where they end, what is wrong there, what lies beyond, and how to follow a path through merged
 * states.
 */
import {
  entryBranch,
  entryChoice,
  replay,
  scheduleEntry,
  TabulatedExecutor,
  type Choice,
  type System,
} from '@shootdown/machine';
import { NO_DEADLOCK, type Problem } from './result.ts';

/** States {@link nearestFrom} looks at. */
const STATES_MAX = 100_000;

/** A step that {@link nearestFrom} tries; the executor is in the state after it. */
export interface TriedStep {
  readonly choice: number;
  /** The step is one of a processor's task, not of an interrupt handler, a message or the hardware. */
  readonly task: boolean;
}

/**
 * Searches on from where a schedule leads, breadth first: the entries of a shortest way to a step that is wanted, or
 * null if there is none (or none within 100,000 states).
 */
export function nearestFrom(
  system: System,
  executor: TabulatedExecutor,
  schedule: readonly number[],
  wanted: (step: TriedStep) => boolean,
): number[] | null {
  replay(executor, schedule);
  const { store } = executor;
  const seen = new Set<string>([executor.fingerprint]);
  const rows = [{ row: store.words.slice(), lo: store.lo, hi: store.hi, previous: -1, entry: -1 }];
  for (let i = 0; i < rows.length && seen.size < STATES_MAX; i++) {
    const from = rows[i] as (typeof rows)[number];
    for (let choice = 0; choice < system.choices.length; choice++) {
      for (let branch = 0, branches = 1; branch < branches; branch++) {
        store.load(from.row, 0, from.lo, from.hi);
        const processor = system.processors[choice];
        const task = processor !== undefined && executor.topAddress(processor) !== processor.interruptAddress;
        const happened = executor.step(choice, branch);
        branches = Math.max(branches, executor.branchCount);
        if (!happened) continue;
        const entry = scheduleEntry(choice, branch);
        if (wanted({ choice, task })) return [...entriesTo(rows, i), entry];
        if (seen.has(executor.fingerprint)) continue;
        seen.add(executor.fingerprint);
        rows.push({ row: store.words.slice(), lo: store.lo, hi: store.hi, previous: i, entry });
      }
    }
  }
  return null;
}

function entriesTo(rows: readonly { readonly previous: number; readonly entry: number }[], index: number): number[] {
  const entries: number[] = [];
  for (let row = rows[index]; row !== undefined && row.previous >= 0; row = rows[row.previous]) entries.push(row.entry);
  return entries.reverse();
}

/** The fingerprint of the state a schedule leads to. */
export function fingerprintAfter(executor: TabulatedExecutor, schedule: readonly number[]): string {
  replay(executor, schedule);
  return executor.fingerprint;
}

/**
 * A location of the weak memory has had as many messages as it may have: a store that finds no room waits for the
 * simulation, which is no deadlock, and what runs lead to is not known.
 */
export function hasRunOutOfRoom({ weak }: TabulatedExecutor): boolean {
  return weak?.memory.boundHit === true;
}

/** A test to be made after replaying a schedule: is this where the problem shows? */
export function endsIn(system: System, executor: TabulatedExecutor, { kind, property }: Problem): () => boolean {
  const broken = (): boolean => {
    const sentence = system.properties.find((p) => p.name === property);
    return sentence !== undefined && !sentence.check((address) => executor.store.read(address));
  };
  switch (kind) {
    case 'step':
      return () => executor.violation?.property === property;
    case 'always':
      return broken;
    case 'finally':
      return () => executor.atRest() && broken() && !anyEnabled(system, executor, (kind) => kind !== 'spontaneous');
    case 'deadlock':
      return () => !hasRunOutOfRoom(executor) && !executor.atRest() && !anyEnabled(system, executor, () => true);
    case 'livelock':
    case 'sometimes':
      return () => false;
  }
}

/**
 * What is wrong along a schedule: the first step that fails or state that breaks an `always` property; if there is
 * none, what is wrong where the schedule ends, a deadlock or a broken `finally` property. Its `length` is the number of
 * steps up to there. A livelock and an unmet `sometimes` are not to be seen in one schedule. Throws ModelError at an
 * entry that is not enabled.
 */
export function judgeSchedule(system: System, schedule: readonly number[]): Problem | null {
  const executor = new TabulatedExecutor(system);
  const named = (kind: 'always' | 'finally'): Problem[] =>
    system.properties.filter((p) => p.kind === kind).map((p) => ({ kind, property: p.name, length: schedule.length }));
  const always = named('always').map((problem) => ({ problem, broken: endsIn(system, executor, problem) }));
  let found: Problem | null = null;
  const look = (length: number): void => {
    if (found !== null) return;
    const { violation } = executor;
    const state = violation ? null : always.find(({ broken }) => broken());
    if (violation) found = { kind: 'step', property: violation.property, length };
    else if (state) found = { ...state.problem, length };
  };
  executor.reset();
  look(0);
  replay(executor, schedule, (i) => look(i + 1));
  const atEnd = (): Problem[] => [
    { kind: 'deadlock', property: NO_DEADLOCK, length: schedule.length },
    ...named('finally'),
  ];
  return found ?? atEnd().find((problem) => endsIn(system, executor, problem)()) ?? null;
}

/** Whether any choice of the kinds that count can happen in the executor's state. */
function anyEnabled(system: System, executor: TabulatedExecutor, counts: (kind: Choice['kind']) => boolean): boolean {
  const { store } = executor;
  const { mark, lo, hi } = store;
  for (const [choice, { kind }] of system.choices.entries()) {
    if (!counts(kind)) continue;
    for (let branch = 0, branches = 1; branch < branches; branch++) {
      const happened = executor.step(choice, branch);
      branches = Math.max(branches, executor.branchCount);
      store.undo(mark, lo, hi);
      if (happened) return true;
    }
  }
  return false;
}

/** One step of a path through states of which interchangeable ones count as one. */
export interface MergedStep {
  /** The entry that led on from the state that stood for all of them. */
  readonly entry: number;
  /** Number of the next state; -1: the step reports a violation and leads nowhere. */
  readonly target: number;
}

/**
 * Follows such a path from the initial state: at every step the entry that leads to the next state, which need not be
 * the one recorded there, because another of the interchangeable processors may stand in that place.
 * @param find the number of the state with this fingerprint, or -1
 */
export function followMerged(
  system: System,
  executor: TabulatedExecutor,
  path: readonly MergedStep[],
  find: (lo: number, hi: number) => number,
): number[] {
  executor.reset();
  const { store } = executor;
  return path.map(({ entry, target }) => {
    const { mark, lo, hi } = store;
    const leads = (candidate: number): boolean => {
      const happened = executor.step(entryChoice(candidate), entryBranch(candidate));
      if (happened && (target < 0 ? executor.failed : find(store.lo, store.hi) === target)) return true;
      store.undo(mark, lo, hi);
      return false;
    };
    const others = system.choices.map((_, choice) => scheduleEntry(choice, entryBranch(entry)));
    return [entry, ...others].find(leads) ?? entry;
  });
}
