/**
 * How long routines take: virtual time from the step after which a routine is on a processor's stack to the step after
 * which it no longer is. Waiting counts, and so does an interrupt in between.
 */
import type { Executor, Operation, Processor, TimedStep } from '@shootdown/machine';

/** Called when a routine has returned. */
export type OnRoutine = (routine: string, processor: number, cycles: number) => void;

/** The stack of a handler that has returned. */
const NOTHING: readonly string[] = [];

interface Entered {
  readonly name: string;
  readonly cycles: number;
}

interface Seen {
  stack: readonly string[];
  readonly entered: Entered[];
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
  observe({ choice, startCycles, durationCycles }: TimedStep): void {
    if (choice.kind !== 'advance') return;
    const processor = this.#executor.system.processors[choice.processor] as Processor;
    const end = startCycles + durationCycles;
    const top = this.#executor.topAddress(processor);
    // A handler that has returned is off its word: what it had entered ends with it.
    if (processor.interruptAddress >= 0 && top !== processor.interruptAddress)
      this.#update(processor.interruptAddress, NOTHING, end, choice.processor);
    this.#update(top, this.#executor.stackOf(choice.processor), end, choice.processor);
  }

  #update(address: number, stack: readonly string[], now: number, processor: number): void {
    const seen = this.#seen[address - this.#first];
    if (seen === undefined) {
      this.#seen[address - this.#first] = { stack, entered: stack.map((name) => ({ name, cycles: now })) };
      return;
    }
    if (seen.stack === stack) return;
    const { entered } = seen;
    let common = 0;
    while (common < stack.length && entered[common]?.name === stack[common]) common++;
    while (entered.length > common) {
      const { name, cycles } = entered.pop() as Entered;
      this.#onRoutine(name, processor, now - cycles);
    }
    for (let i = common; i < stack.length; i++) entered.push({ name: stack[i] as string, cycles: now });
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
