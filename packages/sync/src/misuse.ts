/** What lockdep and the debug options of locks would complain about. */
import type { Operation, OperationContext, OperationDefinition } from '@shootdown/machine';

/**
 * Built-in property: violated by releasing what is not held, or by acquiring what the same task holds in a way that
 * excludes itself.
 */
export const LOCK_MISUSE = 'no lock misuse';

/** Reports misuse of a lock by the processor whose step it is. */
export function misuse(cx: OperationContext, call: string, lock: string, why: string): void {
  cx.fail(LOCK_MISUSE, () => `${call}(${lock}) on processor ${cx.processor}, ${why}`);
}

/**
 * Who holds a lock: a task. Locks name tasks by the processor they run on, which is exact while a processor has one
 * task; on processors with several, give every task a number of its own.
 */
export type Task = number | undefined;

/** What an operation carries for "the processor that performs me". */
export const SELF = -1;

/** The number of the task that performs an operation. */
export function taskOf(cx: OperationContext, operand: number): number {
  return operand === SELF ? cx.processor : operand;
}

type Ends = Pick<OperationDefinition, 'leftOut' | 'pair'>;

/**
 * Taking a lock, to whoever leaves it out of the code: it is taken at once, and what releases it goes with it.
 * @param of names the lock, and how it is held
 * @param result what it returns when it has the lock
 */
export function opens(of: (op: Operation) => string, result = 0): Ends {
  return { leftOut: () => result, pair: (op) => ({ end: 'open', of: of(op) }) };
}

/** Releasing it. */
export function closes(of: (op: Operation) => string): Ends {
  return { leftOut: () => 0, pair: (op) => ({ end: 'close', of: of(op) }) };
}
