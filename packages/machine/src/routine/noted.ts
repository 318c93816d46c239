/**
 * Steps of generator functions that are noted as they are made, so that a forgotten `yield*` before them is noticed,
 * and that they are left in the middle. What the machine's own operations and routines make is noted by `unbegun.ts`.
 */
import { ModelError } from '../state/errors.ts';
import type { Mark, Operation, Steps } from './operation.ts';
import { noteAssertions, type AssertionSite } from './sites.ts';
import {
  isNoting,
  LEFT,
  noteLeft,
  noteMade,
  OneStep,
  performedAlready,
  resumedAside,
  resumptionCount,
  type Noted,
} from './unbegun.ts';

/** Steps of a generator function. `yield*` asks for the iterator once and then talks to the generator itself. */
class NotedSteps implements Noted, ByHand {
  begun = false;
  readonly what: string;
  byHand: RunByHand | null = null;
  readonly #steps: Steps<unknown>;
  #delegated = false;
  #ended = false;

  constructor(steps: Steps<unknown>, what: string) {
    this.#steps = steps;
    this.what = what;
    noteMade(this);
  }

  /** At its end, or somebody else's to run there. */
  get ended(): boolean {
    return this.#ended || this.#delegated;
  }

  next(received: unknown): IteratorResult<unknown> {
    const next = this.forHelper().next(received as number);
    if (next.done === true) this.#ended = true;
    else noteByHand(this, next.value);
    return next;
  }

  return(value: unknown): IteratorResult<unknown> {
    return GENERATOR.return.call(this.#steps, value);
  }

  throw(error: unknown): IteratorResult<unknown> {
    return this.forHelper().throw(error);
  }

  /** The steps, for who resumes them as {@link resumed} does. */
  forHelper(): Steps<unknown> {
    this.begun = true;
    return this.#steps;
  }

  [Symbol.iterator](): Steps<unknown> {
    if (this.#delegated) throw performedAlready(this.what);
    this.#delegated = true;
    return this.forHelper();
  }
}

/** Steps that somebody may run with next() instead of `yield*`. */
interface ByHand {
  readonly what: string;
  readonly ended: boolean;
  byHand: RunByHand | null;
}

/** They are run by hand, and are to be run to their end. */
class RunByHand implements Noted {
  readonly fault = LEFT;
  resumption = resumptionCount();
  readonly #steps: ByHand;

  constructor(steps: ByHand) {
    this.#steps = steps;
  }

  get what(): string {
    return this.#steps.what;
  }

  get begun(): boolean {
    return this.#steps.ended;
  }

  /** A point is theirs if they have gone on since the routine was resumed. */
  later(): boolean {
    return this.resumption === resumptionCount();
  }
}

/** Steps were resumed by hand and have handed something out. It is nobody's business if that is not for a routine. */
function noteByHand(steps: ByHand, handed: unknown): void {
  if (steps.byHand !== null) steps.byHand.resumption = resumptionCount();
  else if (typeof handed === 'object' && handed !== null && ('definition' in handed || 'mark' in handed))
    noteMade((steps.byHand = new RunByHand(steps)));
}

/**
 * Resumes steps for a helper that yields each operation in another form, as `yield*` cannot: what they hand out is the
 * helper's to yield, up to their end.
 */
export function resumed<T>(
  steps: Iterator<Operation | Mark, T>,
  received: unknown,
): IteratorResult<Operation | Mark, T> {
  if (steps instanceof NotedSteps) return resumedAside(steps.forHelper() as Iterator<Operation | Mark, T>, received);
  beginByHelper(steps);
  return resumedAside(steps, received);
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
  noteWhenLeft(make, what);
  return wrapped(make, make.name, (steps) => note(steps, what));
}

/** `yield*` takes the generator itself: that it is left in the middle is heard by what its function gives to all. */
function noteWhenLeft(make: object, what: string): void {
  const given: unknown = 'prototype' in make ? make.prototype : null;
  if (typeof given !== 'object' || given === null) return;
  Object.defineProperty(given, 'return', {
    value(this: Iterator<unknown>, value: unknown): IteratorResult<unknown> {
      noteLeft(what);
      return GENERATOR.return.call(this, value);
    },
  });
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
  return isNoting() ? (new NotedSteps(steps, what) as unknown as Steps<unknown>) : steps;
}

/** Begins steps by hand, without `yield*`: the body of a routine may be a function that returns them. */
export function begin<T>(steps: Steps<T>): Steps<T> {
  if (steps instanceof NotedSteps) return steps[Symbol.iterator]();
  beginByHelper(steps);
  return steps;
}

function beginByHelper(steps: object): void {
  const generator = steps as Partial<NotedGenerator>;
  if (generator.next === nextByHand) generator.begun = true;
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
 * `constructors`: what is made of text, by `GeneratorFunction`. `asserted`: an assertion, evaluated. The assertions
 * that stand in a function come with it, so that those of code that was begun are known which were never evaluated.
 */
export const noteEverything = {
  made: madeNoted,
  methods: methodsNoted,
  steps: stepsNoted,
  constructors: constructorsNoted,
  asserted: assertionNoted,
};

function madeNoted<F extends (...args: never[]) => Steps<unknown>>(
  make: F,
  name: string,
  assertions?: readonly AssertionSite[],
): F {
  if (replaced.has(make)) return make;
  const named = wrapped(make, name, (steps) => stepsNoted(steps, name, assertions));
  // Who asks whether it is a generator function is told so still.
  Object.setPrototypeOf(named, Object.getPrototypeOf(make) as object);
  replaced.add(named);
  return named;
}

function methodsNoted<T extends object>(owner: T, assertions?: Readonly<Record<string, readonly AssertionSite[]>>): T {
  const replacement = (make: (...args: never[]) => Steps<unknown>, name: string) =>
    madeNoted(make, name, assertions && Object.hasOwn(assertions, name) ? assertions[name] : undefined);
  replaceGenerators(owner, replacement);
  const { prototype } = owner as { prototype?: unknown };
  if (typeof prototype === 'object' && prototype !== null) replaceGenerators(prototype, replacement);
  return owner;
}

function assertionNoted<T>(steps: T, site: AssertionSite): T {
  noteAssertions('evaluated', [site]);
  return steps;
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
interface NotedGenerator extends Noted, ByHand {
  begun: boolean;
  ended: boolean;
  what: string;
  next: (...received: [] | [unknown]) => IteratorResult<unknown>;
  [Symbol.iterator]: () => unknown;
}

function stepsNoted(steps: Steps<unknown>, name: string, assertions?: readonly AssertionSite[]): Steps<unknown> {
  if (assertions !== undefined) noteAssertions('stands', assertions);
  const what = name === '' ? 'a generator function' : `${name}()`;
  const inside = isNoting();
  if (inside && Symbol.asyncIterator in steps)
    throw new ModelError(`${what}: an async function* makes no steps: write function* without async`);
  const generator = steps as unknown as NotedGenerator;
  generator.begun = false;
  generator.ended = false;
  generator.byHand = null;
  generator.what = what;
  // What was made while no routine ran is there once, and a routine runs many times.
  generator.next = inside ? nextByHand : nextOutside;
  generator[Symbol.iterator] = inside ? beginGenerator : beginOutside;
  noteMade(generator);
  return steps;
}

function beginOutside(this: NotedGenerator): NotedGenerator {
  refuseOutside(this);
  return this;
}

function nextOutside(this: NotedGenerator, ...received: [] | [unknown]): IteratorResult<unknown> {
  refuseOutside(this);
  return GENERATOR.next.apply(this as unknown as Generator<unknown>, received as []);
}

function refuseOutside({ what }: NotedGenerator): void {
  if (isNoting())
    throw new ModelError(`${what} was made outside of a routine: steps can be performed once, so make them inside`);
}

function beginGenerator(this: NotedGenerator): NotedGenerator {
  if (this.ended) throw performedAlready(this.what);
  this.begun = true;
  return this;
}

const { prototype: GENERATOR } = GENERATOR_FUNCTION as { readonly prototype: Generator<unknown, unknown> };

function nextByHand(this: NotedGenerator, ...received: [] | [unknown]): IteratorResult<unknown> {
  // `yield*` asks for the iterator and then always hands something over.
  const byHand = !this.begun || received.length === 0;
  this.begun = true;
  const next = GENERATOR.next.apply(this as unknown as Generator<unknown>, received as []);
  if (next.done === true) this.ended = true;
  else if (byHand || this.byHand !== null) noteByHand(this, next.value);
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
