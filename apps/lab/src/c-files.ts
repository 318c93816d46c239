/** C given to the command: read from disk, compiled when it is asked for. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { OffersC } from '@shootdown/c';
import type { KernelRoutines, Scenario } from '@shootdown/explorer';
import { ModelError } from '@shootdown/machine';

/** True for a file that the C front end reads. */
export function namesC(path: string): boolean {
  return /\.[ch]$/.test(path);
}

/** What the variant of a scenario is made of, as far as C has to know. */
export interface CTarget {
  readonly scenario: Scenario;
  readonly own: KernelRoutines;
  readonly parameters: Readonly<Record<string, number>>;
}

/** The routines that a C file has in place of those of a scenario. Throws ModelError or CError. */
export async function routinesOfC(path: string, { scenario, own, parameters }: CTarget): Promise<KernelRoutines> {
  if (!offersC(scenario)) throw new ModelError(`replace: ${path}: ${scenario.name} offers nothing to C: give a module`);
  const [{ replacements }, offer] = await Promise.all([import('@shootdown/c'), scenario.c()]);
  return await replacements({ offer, files: [{ name: basename(path), text: textOf(path) }], parameters, own });
}

function offersC(scenario: Scenario): scenario is Scenario & OffersC {
  return 'c' in scenario && typeof scenario.c === 'function';
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'a directory, not a file',
  EACCES: 'permission denied',
};

/** Text of a file. Throws ModelError if it cannot be read. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ModelError(`replace: ${path}: cannot be read (${REASONS[code] ?? code})`);
  }
}
