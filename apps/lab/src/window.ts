/** Which part of a run is shown. */
import { ModelError, type TimedStep } from '@shootdown/machine';
import type { Arguments, Flag } from './arguments.ts';

/** The flags that choose a part. */
export const windowFlags = {
  phase: { type: 'string', help: 'timeline of this phase only' },
  from: { type: 'string', help: 'timeline from this virtual time on: 250ns, 10us, 1.5ms' },
  to: { type: 'string', help: 'timeline up to this virtual time' },
  last: { type: 'string', help: 'timeline of so many steps at the end (of the phase, up to that time)' },
} as const satisfies Readonly<Record<string, Flag>>;

/** A part of a run: left out, there is no limit. */
export interface Part {
  readonly phase?: string | undefined;
  /** Virtual time. A step belongs to a part when it begins there. */
  readonly fromNanoseconds?: number | undefined;
  readonly toNanoseconds?: number | undefined;
  /** Of the steps that the other limits leave, the last ones. */
  readonly lastSteps?: number | undefined;
}

/** Reads the flags. Throws UsageError, ModelError. */
export function partOf(args: Arguments): Part {
  const part = {
    phase: args.text('phase'),
    fromNanoseconds: args.nanoseconds('from'),
    toNanoseconds: args.nanoseconds('to'),
    lastSteps: args.whole('last', 1),
  };
  const { fromNanoseconds: from = 0, toNanoseconds: to = Number.POSITIVE_INFINITY } = part;
  if (from >= to)
    throw new ModelError(
      `shootdown run: --from: expected a time before --to (${args.text('from') ?? ''}, ${args.text('to') ?? ''})`,
    );
  return part;
}

const START_UP = 'start-up';
const NANOSECONDS = 1e9;

/** Goes along with one run, and says of every step whether it is shown. */
export class Window {
  /** Steps that the phase and the times leave. */
  steps = 0;
  readonly #part: Part;
  readonly #fromCycles: number;
  readonly #toCycles: number;
  readonly #skipped: number;
  #phase = START_UP;

  /** @param total steps that the phase and the times leave, from a run before; left out: all of them are shown */
  constructor(part: Part, hertz: number, total?: number) {
    const { fromNanoseconds = 0, toNanoseconds = Number.POSITIVE_INFINITY, lastSteps } = part;
    this.#part = part;
    this.#fromCycles = (fromNanoseconds * hertz) / NANOSECONDS;
    this.#toCycles = (toNanoseconds * hertz) / NANOSECONDS;
    this.#skipped = total === undefined || lastSteps === undefined ? 0 : Math.max(0, total - lastSteps);
  }

  /** @param phase the phase after the step: one that begins a phase belongs to the one before */
  shows({ startCycles }: TimedStep, phase: string): boolean {
    const before = this.#phase;
    this.#phase = phase;
    if (this.#part.phase !== undefined && this.#part.phase !== before) return false;
    if (startCycles < this.#fromCycles || startCycles >= this.#toCycles) return false;
    return ++this.steps > this.#skipped;
  }

  /** True if no later step is shown: steps come in the order in which they begin. */
  isOver({ startCycles }: TimedStep): boolean {
    return startCycles >= this.#toCycles;
  }

  /** Steps that are shown, of so many that the phase and the times leave. */
  shown(total: number): number {
    return Math.min(total, this.#part.lastSteps ?? total);
  }
}
