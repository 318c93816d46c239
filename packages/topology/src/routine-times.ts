/**
 * How long routines take: virtual time from the step after which a routine is on a processor's stack to the step after
 * which it no longer is. Waiting counts, and so does an interrupt in between.
 */
import type { Executor, Operation, Processor, TimedStep } from '@shootdown/machine';

/** Called when a routine has returned. */
export type OnRoutine = (routine: string, processor: number, cycles: number) => void;

/** The stack of a handler that has returned. */
const NOTHING: readonly string[] = [];

interface Seen {
  stack: readonly string[];
  /** Those entered that have not returned, outermost first, */
  readonly names: string[];
  /** and when each was. */
  readonly since: number[];
}

/** Watches the stacks of a run. One object per run. */
export class RoutineTimes {
  readonly #executor: Executor;
  readonly #onRoutine: OnRoutine;
  /** By word of the routine, counted from the first: the stack seen last, and when each routine was entered. */
  readonly #seen: (Seen | undefined)[] = [];
  readonly #first: number;

  constructor(executor: Executor, onRoutine: OnRoutine) {
    this.#executor = executor;
    this.#onRoutine = onRoutine;
    this.#first = Math.min(...executor.system.processors.map(({ taskBase }) => taskBase));
  }

  /** Takes note of a step. */
  observe(step: TimedStep): void {
    const { choice } = step;
    if (choice.kind !== 'advance') return;
    const processor = this.#executor.system.processors[choice.processor] as Processor;
    const { interruptAddress } = processor;
    const top = this.#executor.topAddress(processor);
    // A handler that has returned is off its word: what it had entered ends with it.
    if (interruptAddress >= 0 && top !== interruptAddress)
      this.#update(interruptAddress, NOTHING, step, choice.processor);
    this.#update(top, this.#executor.stackAt(top), step, choice.processor);
  }

  #update(address: number, stack: readonly string[], step: TimedStep, processor: number): void {
    const seen = this.#seen[address - this.#first];
    // Most steps leave the stack as it was.
    if (seen?.stack === stack) return;
    const now = step.startCycles + step.durationCycles;
    if (seen === undefined) {
      this.#seen[address - this.#first] = { stack, names: [...stack], since: stack.map(() => now) };
      return;
    }
    const { names, since } = seen;
    let common = 0;
    while (common < stack.length && names[common] === stack[common]) common++;
    while (names.length > common) this.#onRoutine(names.pop() as string, processor, now - (since.pop() as number));
    for (let i = common; i < stack.length; i++) {
      names.push(stack[i] as string);
      since.push(now);
    }
    seen.stack = stack;
  }
}

/** Operations that wait for a lock. */
const LOCKS: ReadonlySet<string> = new Set(['spin_lock', 'down_read_wait', 'down_write_wait', 'mutex_lock', 'acquire']);

/** What waiting before an operation is called: for a lock, or for CPUs that were sent an IPI. Null: nothing. */
export function waitOf({ definition, label }: Operation): 'lock wait' | 'csd_lock_wait' | null {
  if (LOCKS.has(definition.name)) return 'lock wait';
  return label?.startsWith('csd_lock_wait') === true ? 'csd_lock_wait' : null;
}
