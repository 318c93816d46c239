/** The lines of a system, and the mutants that they make. */
import {
  LineWatcher,
  ModelError,
  mutated,
  parseMutation,
  type CodeLine,
  type Mutation,
  type MutationName,
  type System,
} from '@shootdown/machine';
import { explore } from '../explore.ts';
import type { ExploreOptions, ExploreResult } from '../result.ts';
import { unknownName } from '../unknown-name.ts';
import { takeAsVerified, verifyInstead } from '../verify.ts';
import type { Mutant } from './mutant.ts';

/** Searches a system, verifies its routines, and notes every line that is reached. */
export async function linesOf(
  system: System,
  options: ExploreOptions = {},
): Promise<{ readonly unchanged: ExploreResult; readonly lines: readonly CodeLine[] }> {
  const watcher = new LineWatcher(system);
  // To be watched takes time: what is run again is run as it is.
  verifyInstead(watcher.system, system);
  const unchanged = await explore(watcher.system, { ...options, workers: 1, interleavingsStatesMax: 0 });
  return { unchanged, lines: watcher.lines() };
}

/** Every change of every line. */
export function mutantsOf(lines: readonly CodeLine[]): Mutant[] {
  return lines.flatMap((line) => line.changes.map((change) => ({ line, mutation: mutationOf(line, change) })));
}

function mutationOf({ routine, word, position }: CodeLine, change: string): Mutation {
  return { routine, word, position, change };
}

/**
 * The mutations that texts name, `pud_free_pmd_page/pud_clear:leave-out`. The system is searched, for only then are its
 * lines known, and verified. Throws ModelError (one line, with what there is) if one of them names none.
 */
export async function mutationsNamed(
  system: System,
  texts: readonly string[],
  options: ExploreOptions = {},
): Promise<Mutation[]> {
  const names = texts.map(parseMutation);
  const { lines } = await linesOf(system, options);
  return names.map((name) => mutationAmong(lines, name));
}

/** A system with lines of it changed: those of one that {@link mutationsNamed} has verified, which it is not itself. */
export function changed(system: System, mutations: readonly Mutation[]): System {
  const result = mutations.reduce((one, mutation) => mutated(one, mutation).system, system);
  takeAsVerified(result);
  return result;
}

/** The mutation of a name, if the lines are known. Throws ModelError. */
export function mutationAmong(lines: readonly CodeLine[], { routine, step, change }: MutationName): Mutation {
  const routines = [...new Set(lines.map((line) => line.routine))];
  if (!routines.includes(routine)) throw unknown('routine', routine, routines);
  const here = lines.filter((line) => line.routine === routine);
  const line = here.find((candidate) => candidate.step === step);
  if (!line)
    throw unknown(
      `step of ${routine}`,
      step,
      here.map((candidate) => candidate.step),
    );
  if (!line.changes.includes(change)) throw unknown(`change of ${routine}/${step}`, change, line.changes);
  return mutationOf(line, change);
}

function unknown(kind: string, name: string, available: readonly string[]): ModelError {
  return new ModelError(`mutation: no ${kind} ${unknownName(name, available)}`);
}
