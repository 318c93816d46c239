/** What lockdep and the debug options of locks would complain about. */
import type { OperationContext } from '@shootdown/machine';

/** Built-in property: violated by releasing what is not held, or by acquiring what the same task holds in a way that excludes itself. */
export const LOCK_MISUSE = 'no lock misuse';

/** Reports misuse of a lock by the processor whose step it is. */
export function misuse(cx: OperationContext, call: string, lock: string, why: string): void {
  cx.fail(LOCK_MISUSE, () => `${call}(${lock}) on processor ${cx.processor}, ${why}`);
}

/**
 * Who holds a lock: a task. Locks name tasks by the processor they run on, which is exact while a processor has one task;
 * on processors with several, give every task a number of its own.
 */
export type Task = number | undefined;

/** What an operation carries for "the processor that performs me". */
export const SELF = -1;

/** The number of the task that performs an operation. */
export function taskOf(cx: OperationContext, operand: number): number {
  return operand === SELF ? cx.processor : operand;
}
