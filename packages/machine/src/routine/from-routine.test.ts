import { describe, expect, it } from 'vitest';
import { createActor } from 'xstate';
import { fromRoutine, type RoutineSnapshot } from './from-routine.ts';
import { load, store } from './operations.ts';
import { program, routine } from './routine.ts';
import { RoutineCursor } from './cursor.ts';
import type { Address } from '../state/words.ts';

const X = 0 as Address;

const sum = program(
  routine('sum', function* () {
    const a = yield* load(X);
    const b = yield* load(X);
    yield* store(X, a + b);
  }),
);
const result = (value: number) => ({ type: 'result' as const, value });
const logic = fromRoutine(sum);
const step = (snapshot: RoutineSnapshot, value: number): RoutineSnapshot =>
  logic.transition(snapshot, result(value), undefined as never);

describe('fromRoutine', () => {
  it('is actor logic: results go in, the pending operation comes out', () => {
    const actor = createActor(logic).start();
    actor.send(result(2));
    actor.send(result(3));
    expect(actor.getSnapshot()).toMatchObject({ status: 'active', pending: { a: X, b: 5 }, stack: ['sum'], length: 2 });
  });

  it('is done when the routine has returned, and takes no more results', () => {
    const actor = createActor(logic).start();
    let completed = 0;
    actor.subscribe({ complete: () => completed++ });
    for (const value of [2, 3, 0]) actor.send(result(value));
    expect(actor.getSnapshot()).toMatchObject({ status: 'done', pending: null });
    expect(completed).toBe(1);
    const done = actor.getSnapshot();
    expect(step(done, 7)).toBe(done);
  });

  it('persists as the list of results, and a restored actor goes on from there', () => {
    const actor = createActor(logic).start();
    actor.send(result(2));
    const persisted = JSON.parse(JSON.stringify(actor.getPersistedSnapshot())) as never;
    expect(persisted).toEqual({ results: [2] });
    actor.send(result(100));
    const restored = createActor(logic, { snapshot: persisted }).start();
    expect(restored.getSnapshot().hash).toEqual(new RoutineCursorAfter([2]).hash);
    restored.send(result(3));
    expect(restored.getSnapshot().pending).toMatchObject({ b: 5 });
  });

  it('restores a routine that has returned', () => {
    const restored = createActor(logic, { snapshot: { results: [1, 1, 0] } as never }).start();
    expect(restored.getSnapshot().status).toBe('done');
  });

  it('an old snapshot can be stepped again, and is itself unchanged', () => {
    const first = step(logic.getInitialSnapshot(undefined as never, undefined), 2);
    const ten = step(first, 10);
    const twenty = step(first, 20);
    const thirty = step(first, 30);
    expect([ten, twenty, thirty].map((s) => s.pending?.b)).toEqual([12, 22, 32]);
    expect([first, ten, twenty].map((s) => s.results.slice(0, s.length))).toEqual([[2], [2, 10], [2, 20]]);
    expect(logic.getPersistedSnapshot(first)).toEqual({ results: [2] });
    expect(first.pending).toMatchObject({ a: X });
  });

  it('ignores events that are no results', () => {
    const first = logic.getInitialSnapshot(undefined as never, undefined);
    expect(logic.transition(first, { type: 'tick' } as never, undefined as never)).toBe(first);
  });
});

class RoutineCursorAfter extends RoutineCursor {
  constructor(results: readonly number[]) {
    super(sum, 0);
    for (const value of results) this.advance(value);
  }
}
