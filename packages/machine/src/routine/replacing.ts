/**
 * Routines in place of others of the same name: a patch. Every call of a {@link routine} asks here whose body it is to
 * run, so that no caller need know that it may be replaced.
 */
import type { System } from '../system/specs.ts';
import type { Replacement, Replacements, Steps } from './operation.ts';

export type { Replacement, Replacements };

let replacements: Replacements | undefined;
let caller: string | undefined;
/** The names by which stand-ins have been called, and the last of them: a loop calls the same again. */
const stoodIn = new Set<string>();
let stoodInLast = '';
/** Stand-ins that are routines, and how many of them have which name. */
const standIns = new WeakSet<object>();
const standInCounts = new Map<string, number>();
let called: Set<string> | null = null;

/** A routine goes on. @param inside the innermost routine with a name */
export function beginCalls(replace: Replacements | undefined, inside: string | undefined): void {
  replacements = replace;
  caller = inside;
}

/** The body that a call of `name` runs. What a stand-in calls by its own name is what it stands in for. */
export function bodyFor<A extends readonly unknown[], T>(
  name: string,
  own: (...args: A) => Steps<T>,
): (...args: A) => Steps<T> {
  called?.add(name);
  if (replacements === undefined || caller === name || !Object.hasOwn(replacements, name)) return own;
  const stand = replacements[name] as Replacement;
  if (name !== stoodInLast) stoodIn.add((stoodInLast = name));
  return (stand.body ?? stand) as unknown as (...args: A) => Steps<T>;
}

/** Whether a stand-in was called by this name: then there is a routine that has it. */
export function hasStoodIn(name: string): boolean {
  return stoodIn.has(name);
}

/** How many routines of a name are there to stand in for another. */
export function standInsNamed(name: string): number {
  return standInCounts.get(name) ?? 0;
}

/** Says that routines are there to stand in for others: that there is one of a name says nothing then. */
export function noteStandIns(replace: Replacements): void {
  for (const [name, stand] of Object.entries(replace)) {
    if (standIns.has(stand) || (stand as { routineName?: unknown }).routineName !== name) continue;
    standIns.add(stand);
    standInCounts.set(name, standInsNamed(name) + 1);
  }
}

/** The names of all routines that are called while `work` runs. */
export function routinesCalled(work: () => void): ReadonlySet<string> {
  const outer = called;
  const names = new Set<string>();
  called = names;
  try {
    work();
  } finally {
    called = outer;
  }
  return names;
}

/** The same stand-ins; `onCall` is told of every call of one. */
export function watchedReplacements(replace: Replacements, onCall: (name: string) => void): Replacements {
  const watched = Object.entries(replace).map(([name, stand]): [string, Replacement] => {
    const body = stand.body ?? stand;
    return [
      name,
      (...args) => {
        onCall(name);
        return body(...args);
      },
    ];
  });
  return Object.fromEntries(watched);
}

/**
 * The same system with other routines by those names. Who searches it refuses a name that no routine has: one may be
 * loaded later than this is called.
 */
export function replaceRoutines(system: System, replace: Replacements): System {
  noteStandIns(replace);
  const programs = system.programs.map((one) => ({ ...one, replace: { ...one.replace, ...replace } }));
  return { ...system, programs, replacements: { ...system.replacements, ...replace } };
}
