/** The slices of one processor's track in a Perfetto trace: routines, and inside them their steps. */
import type { TraceStep } from '@shootdown/machine';
import { endOf, type Event } from './trace-event.ts';

interface OpenRoutine {
  readonly event: Event;
  readonly name: string;
  readonly start: number;
  end: number;
  /** Its begin event is written: it has taken time. */
  begun: boolean;
}

/**
 * Follows the stack of a processor. No slice has the name of one that it lies in: where both end together, speedscope
 * mistakes them for one another. An interrupt handler lies inside what it interrupts. Times are whole nanoseconds,
 * and steps come in the order of their starts, so that slices nest: one that would begin before the step before it has
 * ended begins when that one ends.
 */
export class RoutineSlices {
  readonly #emit: (event: Event) => void;
  readonly #call: () => number;
  #task: OpenRoutine[] = [];
  #interrupt: OpenRoutine[] = [];
  #lastEnd = 0;

  /** @param call numbers calls: two of one routine are told apart by that */
  constructor(emit: (event: Event) => void, call: () => number) {
    this.#emit = emit;
    this.#call = call;
  }

  step(
    step: TraceStep,
    event: { readonly name: string; readonly cat: string; readonly args: object },
    from: number,
    to: number,
  ): void {
    const start = Math.max(from, this.#lastEnd);
    const end = Math.max(to, start);
    this.#lastEnd = end;
    if (step.kind === 'advance') {
      if (step.inInterrupt) this.#interrupt = this.#entered(this.#interrupt, step.stack, 'interrupt', start);
      else {
        this.#close(this.#interrupt);
        this.#interrupt = [];
        this.#task = this.#entered(this.#task, step.stack, 'routine', start);
      }
      for (const routine of this.#task) this.#extend(routine, end);
      for (const routine of this.#interrupt) this.#extend(routine, end);
    }
    if (end === start) return this.#emit({ ph: 'i', s: 't', ts: start, ...event });
    const plain = event.name.endsWith('()') ? event.name.slice(0, -2) : event.name;
    const name = step.stack.includes(plain) ? `${event.name} step` : event.name;
    const slice = { ph: 'B', ts: start, ...event, name };
    this.#emit(slice);
    this.#emit(endOf(slice, end));
  }

  /** Ends what is still open. */
  end(): void {
    this.#close([...this.#task, ...this.#interrupt]);
    this.#task = [];
    this.#interrupt = [];
  }

  /** Leaves the routines that are no longer on the stack, and enters the new ones. */
  #entered(open: OpenRoutine[], stack: readonly string[], category: string, start: number): OpenRoutine[] {
    const mismatch = open.findIndex((routine, depth) => stack[depth] !== routine.name);
    if (mismatch < 0 && stack.length === open.length) return open;
    const stay = mismatch < 0 ? [...open] : open.slice(0, mismatch);
    this.#close(open.slice(stay.length));
    const below = category === 'interrupt' ? this.#task.map(({ name }) => name) : [];
    const entered = stack.slice(stay.length).map((name, i) => {
      const outer = [...below, ...stack.slice(0, stay.length + i)].filter((other) => other === name).length;
      const shown = outer === 0 ? `${name}()` : `${name}() #${outer + 1}`;
      const event = { ph: 'B', ts: start, name: shown, cat: category, args: { call: this.#call() } };
      return { event, name, start, end: start, begun: false };
    });
    return [...stay, ...entered];
  }

  /** A routine without time is told by its steps alone: its slice begins when it has taken some. */
  #extend(routine: OpenRoutine, end: number): void {
    routine.end = end;
    if (routine.begun || end <= routine.start) return;
    routine.begun = true;
    this.#emit(routine.event);
  }

  /** Innermost first. */
  #close(routines: readonly OpenRoutine[]): void {
    for (const { event, end, begun } of routines.toReversed()) if (begun) this.#emit(endOf(event, end));
  }
}
