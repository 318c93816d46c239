/** `--replace FILE`: routines of the user's own in place of the scenario's. */
import type { KernelRoutines } from '@shootdown/explorer';
import { ModelError, routine, watchedReplacements, type Replacements, type Routine } from '@shootdown/machine';
import { importedModule } from './modules.ts';

/**
 * The routines that a module exports by kernel identifier: made with `routine()`, or plain generator functions.
 * @param again which time it is loaded: see {@link importedModule}
 */
export async function routinesOfModule(path: string, again = 0): Promise<KernelRoutines> {
  const exported = await importedModule('replace', path, again);
  const routines = Object.entries(exported).flatMap(([name, value]) => {
    const own = asRoutine(name, value);
    return own ? [[name, own] as const] : [];
  });
  if (routines.length === 0)
    throw new ModelError(
      `replace: ${path}: exports no routine (has: ${Object.keys(exported).join(', ') || 'nothing'}): export generator functions by their kernel identifiers`,
    );
  return Object.fromEntries(routines);
}

/** Routines that say whether they have been called. */
export interface Watched {
  readonly routines: Replacements;
  /** Those that nobody has called so far, in a line; null: there are none. */
  readonly uncalled: () => string | null;
}

/** @param what whose routines they are in place of, @param path of the module */
export function watched(routines: KernelRoutines, what: string, path: string): Watched {
  const waiting = new Set(Object.keys(routines));
  return {
    routines: watchedReplacements(routines, (name) => void waiting.delete(name)),
    uncalled: () =>
      waiting.size === 0
        ? null
        : `replace: ${path}: ${what} has not called ${[...waiting].map((name) => `${name}()`).join(', ')}`,
  };
}

/** Says, when a machine has run or been searched, which replacements have made no difference. */
export function sayUncalled({ uncalled }: { readonly uncalled?: Watched['uncalled'] | undefined }): void {
  const line = uncalled?.() ?? null;
  if (line !== null) process.stderr.write(`${line}\n`);
}

const GeneratorFunction = Object.getPrototypeOf(function* () {}) as object;

function asRoutine(name: string, value: unknown): Routine<never[]> | undefined {
  if (typeof value !== 'function') return undefined;
  if ('routineName' in value) return value as Routine<never[]>;
  return Object.getPrototypeOf(value) === GeneratorFunction
    ? routine<never[], unknown>(name, value as Routine<never[]>)
    : undefined;
}
