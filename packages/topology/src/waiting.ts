/** Why a run goes on no further: what its threads wait for when nothing can happen any more. */
import { shownText, type Executor, type Operation, type Processor } from '@shootdown/machine';
import type { Runnable } from './run.ts';

/** What the routine of every thread of a process begins with, and that of no kernel thread. */
const THREAD = 'thread';

/** A line for each processor that waits, and one for the other threads of CPUs that are shared. */
export function waitingIn(executor: Executor, { untilZero = [] }: Pick<Runnable, 'untilZero'>): string[] {
  const waiting = executor.system.processors.flatMap((processor) => {
    const operation = waitsAt(executor, processor);
    return operation === null ? [] : [{ processor, operation }];
  });
  const lines = waiting.map(
    ({ processor, operation }) => `${processor.name} waits: ${shownText(operation.label ?? operation.definition.name)}`,
  );
  const unfinished = untilZero.reduce((sum, word) => sum + executor.store.read(word), 0);
  // Whoever waits on a CPU of several tasks is unfinished, too, unless it is a kernel thread.
  const told = waiting.filter(({ processor }) => isSharedThread(executor, processor)).length;
  const others = unfinished - told;
  if (others <= 0) return lines;
  const what = told > 0 ? ['sleeps or waits for its turn', 'sleep or wait for their turn'] : ['sleeps', 'sleep'];
  return [
    ...lines,
    others === 1 ? `1 thread ${what[0]}, and nobody wakes it` : `${others} threads ${what[1]}, and nobody wakes them`,
  ];
}

/** What a processor is at that neither rests nor is done; null: it does. */
function waitsAt(executor: Executor, { index }: Processor): Operation | null {
  return executor.isDone(index) || executor.rests(index) ? null : executor.pendingOperation(index);
}

/** Whether a processor that has several tasks is at one that is a thread of a process. */
function isSharedThread(executor: Executor, { index, currentAddress }: Processor): boolean {
  return currentAddress >= 0 && executor.wholeStackOf(index)[0] === THREAD;
}
