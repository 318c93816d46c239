/**
 * Routines: kernel code as generators that yield one atomic operation at a time.
 *
 * A routine's local state is one history per frame of its call stack, and the content of the objects declared {@link
 * local}. A result extends the history of the frame on top; `point` replaces it; a call that returns leaves its name
 * and what it returned in its caller's: `cursor.ts` keeps it.
 */
import type { System } from '../system/specs.ts';
import { checkName, ModelError, printable, unknownName } from '../state/errors.ts';
import { noteSite } from './sites.ts';
import { bodyFor, hasStoodIn, standInsNamed, type Replacements } from './replacing.ts';
import { made, type Message, type Steps } from './operation.ts';
import { isSteps } from './noted.ts';
import { calling, nameOfSteps, newEachTime, saying } from './unbegun.ts';

/**
 * A named routine. Calling it gives the steps, so that one routine can be part of another: `yield* pud_clear(pudp)`.
 */
export interface Routine<A extends readonly unknown[] = readonly unknown[], T = unknown> {
  (...args: A): Steps<T>;
  readonly routineName: string;
  /** What was given to {@link routine}. */
  readonly body?: (...args: A) => Steps<T>;
}

/** Names given to routines so far, and to how many. */
const names = new Map<string, number>();

/** The names of all routines that there are, those of packages that have been loaded; in alphabetical order. */
export function routinesNamed(): readonly string[] {
  return [...names.keys()].filter(isRoutine).sort();
}

/** Whether a routine has this name: one that was called, or that does not just stand in for another. */
export function isRoutine(name: string): boolean {
  return hasStoodIn(name) || (names.get(name) ?? 0) > standInsNamed(name);
}

/** Throws ModelError if a system has a routine in place of one that there is not: ask when it has run. */
export function refuseReplacedUnknown(where: string, { replacements }: System): void {
  const unknown = Object.keys(replacements ?? {}).find((name) => !isRoutine(name));
  if (unknown !== undefined)
    throw new ModelError(
      `${where}: replaceRoutines: nothing was replaced: no routine ${unknownName(unknown, routinesNamed())}`,
    );
}

/**
 * Names a generator function. Throws ModelError on what is no function, or a name that is none.
 * @param name the kernel's own name: it heads columns and names the routine in errors
 */
export function routine<A extends readonly unknown[], T>(name: string, body: (...args: A) => Steps<T>): Routine<A, T> {
  if (typeof name !== 'string' || name === '')
    throw new ModelError(
      `routine: a routine needs a name: routine('pud_clear', function* () { ... }) (${printable(name)})`,
    );
  checkName('routine', name);
  names.set(name, (names.get(name) ?? 0) + 1);
  if (typeof body !== 'function')
    throw new ModelError(`routine: ${name}: expected a generator function (${printable(body)})`);
  // Handed over, not delegated to: an operation of a routine does not pass through all of its callers then.
  const what = `${name}()`;
  const anew = newEachTime(`what ${what} returns`);
  const named = (...args: A): Steps<T> =>
    calling<T>(() => made({ mark: 'call', name, steps: anew(bodyFor(name, body)(...args)) }), what);
  return Object.assign(named, { routineName: name, body });
}

/**
 * A routine without a name on the stack, as a `static inline` function: what it received is forgotten when it returns,
 * and it shows in no column.
 */
export function inlined<A extends readonly unknown[], T>(body: (...args: A) => Steps<T>): (...args: A) => Steps<T> {
  const what = `${body.name || 'an inlined routine'}()`;
  const anew = newEachTime(`what ${what} returns`);
  return (...args: A): Steps<T> =>
    calling<T>(() => made({ mark: 'call', name: null, steps: anew(body(...args)) }), what);
}

/**
 * `for (;;)` whose body is a frame of its own: nothing of an attempt is remembered but what it returns, and as long as
 * that is undefined there is another one. The body must change nothing outside of it but a {@link Local}.
 */
export function retry<T>(body: () => Steps<T | undefined>): Steps<T> {
  return RETRY(body) as Steps<T>;
}

const RETRY = inlined(function* retry(body: () => Steps<unknown>): Steps<unknown> {
  const attempt = inlined(body);
  for (;;) {
    yield* point('retry');
    const result: unknown = yield* attempt();
    if (result !== undefined) return result;
  }
});

/**
 * `for (i = 0; i < count; i++)` in the same way; ends early with the first value that the body returns, undefined if it
 * never does.
 */
export function each<T>(count: number, body: (i: number) => Steps<T | undefined>): Steps<T | undefined> {
  if (!(Number.isInteger(count) && count >= 0))
    throw new ModelError(`each: expected a whole number of rounds (${printable(count)})`);
  return EACH(count, body) as Steps<T | undefined>;
}

const EACH = inlined(function* each(count: number, body: (i: number) => Steps<unknown>): Steps<unknown> {
  const round = inlined(body);
  for (let i = 0; i < count; i++) {
    yield* point('each', i);
    const result: unknown = yield* round(i);
    if (result !== undefined) return result;
  }
  return undefined;
});

/** An object that routines change as they go and hand to one another, such as a struct on the kernel's stack. */
export abstract class Local {
  /** Everything that anybody's future depends on. */
  abstract get words(): readonly number[];
}

/**
 * Declares an object part of the local state, with its content as it is then, for as long as this routine runs.
 * Returned, it is the caller's.
 */
export function local<T extends Local>(object: T): Steps<T> {
  return saying({ mark: 'local', object }, object, 'local()');
}

/**
 * Says what this routine's future depends on from here: two histories of it that reach the same point with the same
 * values are one. Put it at every loop head, directly before the operation. Callers speak for themselves. The claim can
 * be checked: `verifyPoints`.
 */
export function point(label: string, ...values: number[]): Steps {
  return saying({ mark: 'point', label, values }, undefined, `point(${label})`);
}

/** Counts an event (nr_tlb_remote_flush and the like) under the processor's name. No step, no state. */
export function count(counter: string, amount = 1): Steps {
  return saying({ mark: 'count', counter, amount }, undefined, `count(${counter})`);
}

/**
 * Tells a component how far this routine has come, on a synchronous channel: it takes the message within the step that
 * has just been performed, and what it does not accept now is not told. No step of its own, no memory order: a routine
 * tells components that nobody else tells anything, and that answer nothing.
 * @param port undefined: nobody is told
 */
export function tell(port: number | undefined, message: Message): Steps {
  return saying(port === undefined ? null : { mark: 'tell', port, message }, undefined, `tell(${message.type})`);
}

/** Fails the property when `condition` does not hold. The check itself is no step. */
export function assertThat(condition: boolean, property: string, detail = ''): Steps {
  checkName('assertThat', property);
  const given: unknown = condition;
  if (typeof given !== 'boolean' && typeof given !== 'number')
    throw new ModelError(`assertThat: ${printable(property)}: ${printable(given)} is neither true nor false`);
  noteSite('assertion', property, null);
  return saying(condition ? null : { mark: 'fail', property, detail }, undefined, `assertThat(${property})`);
}

/** A routine with its arguments, ready to run on a processor. */
export interface Program {
  readonly name: string;
  readonly start: () => Steps<unknown>;
  /** Routines in place of others: see {@link replaceRoutines}. */
  readonly replace?: Replacements;
}

/**
 * Binds a routine to its arguments. Processors that share one Program object run the same code: symmetry needs that.
 */
export function program<A extends readonly unknown[]>(body: Routine<A>, ...args: A): Program {
  const name: unknown = (body as Partial<Routine<A>> | undefined)?.routineName;
  if (typeof body !== 'function' || typeof name !== 'string')
    throw new ModelError(
      `program: expected a routine, which has a name: program(routine('name', function* () { ... }), ...) (${isSteps(body) ? `steps of ${nameOfSteps(body)}: hand over the routine, do not call it` : printable(body)})`,
    );
  return { name: body.routineName, start: () => body(...args) };
}
