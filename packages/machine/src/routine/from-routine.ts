/**
 * `fromRoutine`: a routine as XState actor logic, as `fromPromise` and `fromCallback` do for promises and callbacks.
 *
 * The actor takes `{type: 'result', value}` events: the result of its pending operation. Its snapshot is the list of
 * results it has received; replaying that list restores it.
 */
import type { Hash64 } from '../state/hash.ts';
import type { Mark, Operation } from './operation.ts';
import type { Program } from './routine.ts';
import { RoutineCursor } from './cursor.ts';
import type { ActorLogic, EventObject, Snapshot } from '../execute/xstate-adapter.ts';

/** Snapshot of a routine actor. */
export type RoutineSnapshot = Snapshot<undefined> & {
  /** Results received, oldest first. Shared between snapshots: only the first `length` entries belong to this one. */
  readonly results: number[];
  readonly length: number;
  /** The operation waiting for its result; null when the routine has returned. */
  readonly pending: Operation | null;
  /** Content hash of the local state. */
  readonly hash: Hash64;
  /** Names of the routines being executed, outermost first. */
  readonly stack: readonly string[];
  /** Counts and failures said on the way to this local state. */
  readonly said: readonly Mark[];
};

/** What a routine actor is sent. */
export interface ResultEvent extends EventObject {
  readonly type: 'result';
  readonly value: number;
}

/** What `getPersistedSnapshot` gives: the list of results. */
export interface PersistedRoutine {
  readonly results: readonly number[];
}

/** The generator behind each snapshot; a snapshot that was advanced has handed it to its successor. */
const cursors = new WeakMap<RoutineSnapshot, RoutineCursor>();

/**
 * Makes actor logic of a program. `identity` is the program's index in its system (part of the content hash), `words`
 * how many that has.
 */
export function fromRoutine(
  body: Program,
  identity = 0,
  words?: number,
): ActorLogic<RoutineSnapshot, ResultEvent, unknown> {
  const snapshotOf = (cursor: RoutineCursor, results: number[], length: number): RoutineSnapshot => {
    const { pending, hash, stack, said } = cursor;
    const rest = { error: undefined, output: undefined, results, length, pending, hash, stack, said };
    const snapshot: RoutineSnapshot = pending === null ? { status: 'done', ...rest } : { status: 'active', ...rest };
    cursors.set(snapshot, cursor);
    return snapshot;
  };
  const replay = (results: readonly number[]): RoutineSnapshot => {
    const cursor = new RoutineCursor(body, identity, words);
    for (const result of results) cursor.advance(result);
    return snapshotOf(cursor, [...results], results.length);
  };
  return {
    transition(snapshot, event) {
      if (event.type !== 'result' || snapshot.status !== 'active') return snapshot;
      const current = cursors.has(snapshot) ? snapshot : replay(snapshot.results.slice(0, snapshot.length));
      const cursor = cursors.get(current) as RoutineCursor;
      cursors.delete(current);
      current.results.push(event.value);
      cursor.advance(event.value);
      return snapshotOf(cursor, current.results, current.length + 1);
    },
    getInitialSnapshot: () => replay([]),
    getPersistedSnapshot: (snapshot) =>
      ({ results: snapshot.results.slice(0, snapshot.length) }) as unknown as RoutineSnapshot,
    restoreSnapshot: (persisted) => replay((persisted as unknown as PersistedRoutine).results),
  };
}
