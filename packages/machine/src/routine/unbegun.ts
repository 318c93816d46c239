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
}

/** What is wrong with steps that were not begun, in words. */
export function faultOfUnbegun({ what, fault }: Noted): string {
  return `${what} ${fault ?? 'was made and never begun: write yield* before it'}`;
}

/** What was made since {@link unbegun} was asked last: the first {@link madeCount} entries. */
const made: Noted[] = [];
let madeCount = 0;
let running = 0;

/** A routine runs from here on. */
export function beginNoting(): void {
  running++;
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
  if (running > 0)
    made[madeCount++] = { begun: false, what, fault: 'was begun in a routine: nobody performs what it does later' };
}

/** What {@link OneStep} has handed out since a routine was resumed: how much, and what first. */
let handedCount = 0;
let handedFirst: unknown = null;

/** A routine is resumed now. */
export function forgetHanded(): void {
  handedCount = 0;
  handedFirst = null;
}

/**
 * Throws ModelError if steps have been run by hand ([...steps], for...of, next()) while a routine was resumed: what
 * they handed out is then not what the routine yields.
 */
export function refuseHandedAside(yielded: IteratorResult<unknown>): void {
  if (handedCount === 0) return;
  const aside = handedCount > 1 || yielded.done === true || yielded.value !== handedFirst;
  const first = handedFirst as { readonly label?: string; readonly definition?: { readonly name: string } } | null;
  forgetHanded();
  if (!aside) return;
  const what = first?.label ?? first?.definition?.name ?? 'what was made';
  throw new ModelError(
    `${what} was run by hand ([...steps], for...of, next()), so nobody performs it: write yield* before it`,
  );
}

/**
 * Resumes steps for a helper that yields each operation in another form, as `yield*` cannot: what they hand out is the
 * helper's to yield.
 */
export function resumed<T>(
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
class OneStep implements Noted {
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
    return { value: this.returned === RECEIVED ? received : this.returned, done: true };
  }

  /** `yield*` passes on that its own routine is being ended. */
  return(value: unknown): IteratorResult<unknown> {
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

/** Steps of a generator function. `yield*` asks for the iterator once and then talks to the generator itself. */
class NotedSteps implements Noted {
  begun = false;
  readonly what: string;
  readonly #steps: Steps<unknown>;
  #delegated = false;

  constructor(steps: Steps<unknown>, what: string) {
    this.#steps = steps;
    this.what = what;
    made[madeCount++] = this;
  }

  next(received: unknown): IteratorResult<unknown> {
    return this.#begin().next(received as number);
  }

  return(value: unknown): IteratorResult<unknown> {
    return this.#begin().return(value);
  }

  throw(error: unknown): IteratorResult<unknown> {
    return this.#begin().throw(error);
  }

  #begin(): Steps<unknown> {
    this.begun = true;
    return this.#steps;
  }

  [Symbol.iterator](): Steps<unknown> {
    if (this.#delegated) throw performedAlready(this.what);
    this.#delegated = true;
    return this.#begin();
  }
}

/**
 * Has forgotten `yield*` noticed before the steps of a generator function. Routines, and whatever is written with
 * {@link stepOf}, are noted anyway.
 *
 * ```ts
 * export const pte_clear = noted(function* pte_clear(ptep: EntryPointer): Steps { ... });
 * ```
 */
export function noted<F extends (...args: never[]) => Steps<unknown>>(make: F): F {
  const what = `${make.name}()`;
  return wrapped(make, make.name, (steps) => note(steps, what));
}

function wrapped<F extends (...args: never[]) => Steps<unknown>>(
  make: F,
  name: string,
  noting: (steps: Steps<unknown>) => Steps<unknown>,
): F {
  const named = function (this: unknown, ...args: never[]): Steps<unknown> {
    return noting(make.apply(this, args));
  };
  Object.defineProperty(named, 'name', { value: name });
  return named as F;
}

function note(steps: Steps<unknown>, what: string): Steps<unknown> {
  return running === 0 ? steps : (new NotedSteps(steps, what) as unknown as Steps<unknown>);
}

/** Begins steps by hand, without `yield*`: the body of a routine may be a function that returns them. */
export function begin<T>(steps: Steps<T>): Steps<T> {
  return steps instanceof NotedSteps ? steps[Symbol.iterator]() : steps;
}

/** As {@link noted}, for all generator methods of an object, such as an architecture; returns it. */
export function notedMethods<T extends object>(object: T): T {
  replaceGenerators(object, noted);
  return object;
}

/** As {@link noted}, for all generator methods of a class. Call it in a `static` block. */
export function noteMethods({ prototype }: { readonly prototype: object }): void {
  replaceGenerators(prototype, noted);
}

function replaceGenerators(
  object: object,
  replacement: (make: (...args: never[]) => Steps<unknown>, name: string) => unknown,
): void {
  for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(object))) {
    const method: unknown = property.value;
    if (typeof method === 'function' && isGeneratorFunction(method))
      Object.defineProperty(object, name, {
        ...property,
        value: replacement(method as (...args: never[]) => Steps<unknown>, name),
      });
  }
}

const GENERATOR_FUNCTION = Object.getPrototypeOf(function* () {}) as object;

const ASYNC_GENERATOR_FUNCTION = Object.getPrototypeOf(async function* () {}) as object;

function isGeneratorFunction(method: object): boolean {
  const made: unknown = Object.getPrototypeOf(method);
  return made === GENERATOR_FUNCTION || made === ASYNC_GENERATOR_FUNCTION;
}

/** What {@link noteEverything} has put in place of generator functions. */
const replaced = new WeakSet<object>();

/**
 * The same for generator functions of which nobody knows what they are for: whoever loads code of a user's puts these
 * into it. A generator that is run by hand, with next(), is begun by that. `made`: what a generator function makes.
 * `methods`: what those of an object make, or those of a class and its instances. `steps`: some that were just made.
 * `constructors`: what is made of text, by `GeneratorFunction`.
 */
export const noteEverything = {
  made: madeNoted,
  methods: methodsNoted,
  steps: stepsNoted,
  constructors: constructorsNoted,
};

function madeNoted<F extends (...args: never[]) => Steps<unknown>>(make: F, name: string): F {
  if (replaced.has(make)) return make;
  const named = wrapped(make, name, (steps) => stepsNoted(steps, name));
  // Who asks whether it is a generator function is told so still.
  Object.setPrototypeOf(named, Object.getPrototypeOf(make) as object);
  replaced.add(named);
  return named;
}

function methodsNoted<T extends object>(owner: T): T {
  replaceGenerators(owner, madeNoted);
  const { prototype } = owner as { prototype?: unknown };
  if (typeof prototype === 'object' && prototype !== null) replaceGenerators(prototype, madeNoted);
  return owner;
}

/** The constructor of generator functions has no name of its own: it is found by what it has made. */
function constructorsNoted(): void {
  const { constructor } = GENERATOR_FUNCTION as {
    readonly constructor: new (...text: string[]) => () => Steps<unknown>;
  };
  if (replaced.has(constructor)) return;
  const GeneratorFunction = function (...text: string[]): () => Steps<unknown> {
    return madeNoted(Reflect.construct(constructor, text), 'anonymous');
  };
  Object.defineProperty(GeneratorFunction, 'prototype', { value: GENERATOR_FUNCTION });
  Object.defineProperty(GENERATOR_FUNCTION, 'constructor', { value: GeneratorFunction, configurable: true });
  replaced.add(GeneratorFunction);
}

/** A generator that may be looked at as one, so that it cannot be wrapped. */
interface NotedGenerator extends Noted {
  begun: boolean;
  ended: boolean;
  what: string;
  next: (...received: [] | [unknown]) => IteratorResult<unknown>;
  [Symbol.iterator]: () => unknown;
}

function stepsNoted(steps: Steps<unknown>, name: string): Steps<unknown> {
  const what = name === '' ? 'a generator function' : `${name}()`;
  const inside = running > 0;
  if (inside && Symbol.asyncIterator in steps)
    throw new ModelError(`${what}: an async function* makes no steps: write function* without async`);
  const generator = steps as unknown as NotedGenerator;
  generator.begun = false;
  generator.ended = false;
  generator.what = what;
  // What was made while no routine ran is there once, and a routine runs many times.
  generator.next = inside ? nextByHand : nextOutside;
  generator[Symbol.iterator] = inside ? beginGenerator : beginOutside;
  if (inside) made[madeCount++] = generator;
  return steps;
}

function beginOutside(this: NotedGenerator): NotedGenerator {
  refuseOutside(this);
  return this;
}

function nextOutside(this: NotedGenerator, ...received: [] | [unknown]): IteratorResult<unknown> {
  refuseOutside(this);
  return GENERATOR.next.apply(this as unknown as Iterator<unknown>, received as []);
}

function refuseOutside({ what }: NotedGenerator): void {
  if (running > 0)
    throw new ModelError(`${what} was made outside of a routine: steps can be performed once, so make them inside`);
}

function beginGenerator(this: NotedGenerator): NotedGenerator {
  if (this.ended) throw performedAlready(this.what);
  this.begun = true;
  return this;
}

const { prototype: GENERATOR } = GENERATOR_FUNCTION as { readonly prototype: Iterator<unknown> };

function nextByHand(this: NotedGenerator, ...received: [] | [unknown]): IteratorResult<unknown> {
  this.begun = true;
  const next = GENERATOR.next.apply(this as unknown as Iterator<unknown>, received as []);
  if (next.done === true) this.ended = true;
  return next;
}

/** Whether a value is steps: something that belongs behind `yield*`. */
export function isSteps(value: unknown): value is Steps<unknown> {
  if (typeof value !== 'object' || value === null) return false;
  return (
    value instanceof OneStep ||
    value instanceof NotedSteps ||
    Object.prototype.toString.call(value) === '[object Generator]'
  );
}

/** What steps are steps of, for a message that refuses them: nobody has to hear of them again. */
export function nameOfSteps(steps: object): string {
  strays = strays.filter((stray) => stray !== steps);
  return 'what' in steps && typeof steps.what === 'string' ? steps.what : 'a generator';
}
