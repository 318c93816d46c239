/** `--replace FILE`: routines of the user's own in place of the scenario's. */
import type { KernelRoutines } from '@shootdown/explorer';
import { ModelError, routine, type Routine } from '@shootdown/machine';
import { importedModule } from './modules.ts';

/** The routines that a module exports by kernel identifier: made with `routine()`, or plain generator functions. */
export async function routinesOfModule(path: string): Promise<KernelRoutines> {
  const exported = await importedModule('replace', path);
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

const GeneratorFunction = Object.getPrototypeOf(function* () {}) as object;

function asRoutine(name: string, value: unknown): Routine<never[]> | undefined {
  if (typeof value !== 'function') return undefined;
  if ('routineName' in value) return value as Routine<never[]>;
  return Object.getPrototypeOf(value) === GeneratorFunction
    ? routine<never[], unknown>(name, value as Routine<never[]>)
    : undefined;
}
