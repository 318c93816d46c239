/** Why a run goes on no further: what its threads wait for when nothing can happen any more. */
import { shownText, type Executor } from '@shootdown/machine';
import type { Runnable } from './run.ts';

/** A line for each processor that waits, and one for threads that sleep on CPUs that they share. */
export function waitingIn(executor: Executor, { untilZero = [] }: Pick<Runnable, 'untilZero'>): string[] {
  const { processors } = executor.system;
  const waiting = processors.flatMap(({ index, name }) => {
    const operation = executor.isDone(index) || executor.rests(index) ? null : executor.pendingOperation(index);
    return operation === null ? [] : [`${name} waits: ${shownText(operation.label ?? operation.definition.name)}`];
  });
  const asleep = untilZero.reduce((sum, word) => sum + executor.store.read(word), 0);
  if (asleep === 0) return waiting;
  return [
    ...waiting,
    asleep === 1 ? '1 thread sleeps, and nobody wakes it' : `${asleep} threads sleep, and nobody wakes them`,
  ];
}
