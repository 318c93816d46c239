/**
 * Routines in place of others of the same name: a patch. Every call of a {@link routine} asks here whose body it is to
 * run, so that no caller need know that it may be replaced.
 */
import type { System } from '../system/specs.ts';
import type { Replacement, Replacements, Steps } from './operation.ts';

export type { Replacement, Replacements };

let replacements: Replacements | undefined;
let caller: string | undefined;
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
  return (stand.body ?? stand) as unknown as (...args: A) => Steps<T>;
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

/** The same system with other routines by those names. */
export function replaceRoutines(system: System, replace: Replacements): System {
  const programs = system.programs.map((one) => ({ ...one, replace: { ...one.replace, ...replace } }));
  return { ...system, programs, replacements: { ...system.replacements, ...replace } };
}
