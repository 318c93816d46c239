/**
 * Steps that were made and never begun: what a forgotten `yield*` leaves behind.
 *
 * Calling an operation or a routine makes its steps and performs none of them; `yield*` does that. So while a routine
 * runs, whatever it makes is noted here, and {@link RoutineCursor} asks later whether it was begun.
 */
import { ModelError } from '../state/errors.ts';
import type { Mark, Operation, Steps } from './operation.ts';

/** Steps that know whether they were begun. */
export interface Noted {
  readonly begun: boolean;
  /** What they are steps of, for messages. */
  readonly what: string;
  /** What is wrong with them if they were not; default: a `yield*` is missing. */
  readonly fault?: string;
  /** Asked at a point or rest: whether it is theirs, so that they may go on after it. Left out: no. */
  readonly later?: () => boolean;
}

/** What is wrong with steps that were not begun, in words. */
export function faultOfUnbegun({ what, fault }: Noted): string {
  return `${what} ${fault ?? 'was made and never begun: write yield* before it'}`;
}

/** Which of them may not be begun any more. @param ends their routine ends; else it is at a point, or rests */
export function isForgotten(steps: Noted, ends: boolean): boolean {
  return !steps.begun && (ends || steps.later?.() !== true);
}

/** What was made since {@link unbegun} was asked last: the first {@link madeCount} entries. */
const made: Noted[] = [];
let madeCount = 0;
let running = 0;

/** A routine runs from here on. */
export function beginNoting(): void {
  running++;
}

/** Steps were made, or something of which they should hear who asks for them: only while a routine runs. */
export function noteMade(steps: Noted): void {
  if (running > 0) made[madeCount++] = steps;
}

/** Whether a routine runs. */
export function isNoting(): boolean {
  return running > 0;
}

/** It waits again. */
export function endNoting(): void {
  running--;
}

/** What was made since the last call and not begun; almost always nothing. */
export function unbegun(): readonly Noted[] {
  let left: Noted[] | null = null;
  for (let i = 0; i < madeCount; i++) {
    const steps = made[i] as Noted;
    if (!steps.begun) (left ??= []).push(steps);
  }
  madeCount = 0;
  return left ?? NOTHING;
}

export const NOTHING: readonly Noted[] = [];

/** What was made while no routine ran, as far as it was not begun when somebody looked last. */
let strays: Noted[] = [];
const STRAYS_MAX = 100;

function noteStray(steps: Noted): void {
  if (strays.length >= STRAYS_MAX) strays = strays.filter(({ begun }) => !begun);
  if (strays.length < STRAYS_MAX) strays.push(steps);
}

/** Whether {@link refuseStrays} has something to look at. */
export function hasStrays(): boolean {
  return strays.length > 0;
}

/**
 * Throws ModelError if steps were made while no routine ran (in `build`, a check, an operation's `perform`, a callback
 * of a timer or a promise) and nobody has begun them since: once.
 */
export function refuseStrays(where: string): void {
  if (strays.length === 0) return;
  const stray = strays.find(({ begun }) => !begun);
  strays = [];
  if (stray)
    throw new ModelError(
      `${where}: ${stray.what} was made while no routine ran (in build, check, perform, a timer, a promise?), so nobody performs it: steps are for routines, behind yield*`,
    );
}

/**
 * Something that goes on later was begun, such as a timer: if a routine has done that it is refused, as nobody would
 * perform the steps that it makes.
 */
export function noteLater(what: string): void {
  noteMade({ begun: false, what, fault: 'was begun in a routine: nobody performs what it does later' });
}

/** What {@link OneStep} has handed out since a routine was resumed: how much, and what first. */
let handedCount = 0;
let handedFirst: unknown = null;
/** What it was resumed with. */
let resumedWith: unknown;
let resumptions = 0;

/** A routine is resumed now, with a result or with what a call has returned. */
export function forgetHanded(input: unknown): void {
  handedCount = 0;
  handedFirst = null;
  resumedWith = input;
  resumptions++;
}

/** How often any routine has been resumed. */
export function resumptionCount(): number {
  return resumptions;
}

/**
 * Throws ModelError if steps have been run by hand ([...steps], for...of, next()) while a routine was resumed: what
 * they handed out is then not what the routine yields.
 */
export function refuseHandedAside(value: unknown, done: boolean): void {
  if (handedCount === 0) return;
  const aside = handedCount > 1 || done || value !== handedFirst;
  const first = handedFirst as { readonly label?: string; readonly definition?: { readonly name: string } } | null;
  handedCount = 0;
  handedFirst = null;
  if (!aside) return;
  const what = first?.label ?? first?.definition?.name ?? 'what was made';
  throw new ModelError(
    `${what} was run by hand ([...steps], for...of, next()), so nobody performs it: write yield* before it`,
  );
}

/** Resumes steps so that what they hand out is not noted as handed out: somebody yields it in another form. */
export function resumedAside<T>(
  steps: Iterator<Operation | Mark, T>,
  received: unknown,
): IteratorResult<Operation | Mark, T> {
  const [count, first] = [handedCount, handedFirst];
  const next = steps.next(received);
  handedCount = count;
  handedFirst = first;
  return next;
}

/** Returned by {@link OneStep}: what it is resumed with. */
const RECEIVED = Symbol('received');

/** What a step yields: an operation, a mark, a call that is made when it begins, or nothing at all. */
type Yielded = Operation | Mark | (() => Mark) | null;

/** Steps that yield at most once. As plain as can be: most of what routines do goes through here. */
export class OneStep implements Noted {
  begun = false;
  private ended = false;
  private readonly yielded: Yielded;
  private readonly returned: unknown;
  private readonly name: string | undefined;

  constructor(yielded: Yielded, returned: unknown, name: string | undefined) {
    this.yielded = yielded;
    this.returned = returned;
    this.name = name;
    if (running > 0) made[madeCount++] = this;
    else noteStray(this);
  }

  get what(): string {
    const yielded = this.yielded;
    if (this.name !== undefined) return this.name;
    return yielded !== null && 'definition' in yielded ? (yielded.label ?? yielded.definition.name) : 'steps';
  }

  next(received: unknown): IteratorResult<unknown> {
    if (!this.begun) {
      this.begun = true;
      const yielded = this.yielded;
      if (yielded !== null) {
        const value = typeof yielded === 'function' ? yielded() : yielded;
        if (handedCount++ === 0) handedFirst = value;
        return { value, done: false };
      }
    }
    if (this.ended) throw performedAlready(this.what);
    this.ended = true;
    if (this.returned !== RECEIVED) return { value: this.returned, done: true };
    if (received === undefined) this.refuseNoResult();
    return { value: received, done: true };
  }

  /** Throws ModelError if there is a result: a loop yields what steps hand out, and hands nothing back. */
  private refuseNoResult(): void {
    if (running === 0 || handedCount > 0 || resumedWith === undefined) return;
    throw new ModelError(
      `${this.what} was run by hand (next(), for...of), so its result is lost: write yield* before it`,
    );
  }

  /** Nobody ends a routine early, so this is a loop that was left, or a pattern, and `yield*` has passed it on. */
  return(value: unknown): IteratorResult<unknown> {
    if (this.begun && !this.ended) noteLeft(this.what);
    this.begun = true;
    this.ended = true;
    return { value, done: true };
  }

  throw(error: unknown): never {
    this.begun = true;
    this.ended = true;
    throw error;
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/** Steps were ended by hand, at a step or with a name of their own: what follows there is lost. */
export function noteLeft(what: string): void {
  noteMade({ begun: false, what, fault: LEFT });
}

/** What is wrong with steps of which nobody performs the rest. */
export const LEFT =
  'was run by hand (next(), for...of, a pattern) and left, so nobody performs what follows: write yield*';

/** Hands on what a routine makes. Throws ModelError if that is what it made the last time. */
export function newEachTime(what: string): <T>(steps: T) => T {
  let before: unknown = null;
  return (steps) => {
    if (steps === before && typeof steps === 'object' && steps !== null) throw performedAlready(what);
    before = steps;
    return steps;
  };
}

/** The second `yield*` of the same steps would perform nothing. */
export function performedAlready(what: string): ModelError {
  return new ModelError(`${what} was performed already: steps can be performed once, so make them again`);
}

/** The steps that perform one operation and return its result. */
export function stepOf<T = number>(operation: Operation): Steps<T> {
  return new OneStep(operation, RECEIVED, undefined) as unknown as Steps<T>;
}

/** The same for an operation whose result says nothing. */
export function voidStepOf(operation: Operation): Steps {
  return new OneStep(operation, undefined, undefined) as unknown as Steps;
}

/** The steps that say something (null: nothing) and return a value. */
export function saying<T>(mark: Mark | null, returned: T, what: string): Steps<T> {
  return new OneStep(mark, returned, what) as unknown as Steps<T>;
}

/** The steps that call a routine and return what it returns. */
export function calling<T>(call: () => Mark, what: string): Steps<T> {
  return new OneStep(call, RECEIVED, what) as unknown as Steps<T>;
}

/** What steps are steps of, for a message that refuses them: nobody has to hear of them again. */
export function nameOfSteps(steps: object): string {
  strays = strays.filter((stray) => stray !== steps);
  return 'what' in steps && typeof steps.what === 'string' ? steps.what : 'a generator';
}
