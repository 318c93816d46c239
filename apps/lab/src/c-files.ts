/** C given to the command: a file, or one side of a patch; read from disk, compiled when it is asked for. */
import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CFile, OffersC } from '@shootdown/c';
import type { KernelRoutines, Scenario } from '@shootdown/explorer';
import { ModelError } from '@shootdown/machine';

/** One side of a patch. */
export type Side = 'before' | 'after';

/** What `--replace` and the flags that go with it say. */
export interface Replacement {
  readonly path: string;
  /** Of a patch; default `after`. */
  readonly side?: Side | undefined;
  /** Folder of the kernel's source, for a patch that holds parts of functions. */
  readonly tree?: string | undefined;
}

/** True for a file that the C front end reads. */
export function namesC(path: string): boolean {
  return /\.[ch]$/.test(path) || namesPatch(path);
}

export function namesPatch(path: string): boolean {
  return /\.(patch|diff|mbox|eml)$/.test(path);
}

/** What the variant of a scenario is made of, as far as C has to know. */
export interface CTarget {
  readonly scenario: Scenario;
  readonly own: KernelRoutines;
  readonly parameters: Readonly<Record<string, number>>;
}

/** The routines that C has in place of those of a scenario. Throws ModelError or CError. */
export async function routinesOfC(replacement: Replacement, target: CTarget): Promise<KernelRoutines> {
  const { scenario, own, parameters } = target;
  const { path } = replacement;
  if (!offersC(scenario)) throw new ModelError(`replace: ${path}: ${scenario.name} offers nothing to C: give a module`);
  const [{ replacements }, offer] = await Promise.all([import('@shootdown/c'), scenario.c()]);
  const compiled = (files: readonly CFile[], optional: boolean): Promise<KernelRoutines> =>
    replacements({ offer, files, parameters, own, optional });
  if (!namesPatch(path)) return await compiled([{ name: basename(path), text: textOf(path) }], false);
  const { side = 'after' } = replacement;
  const sides = await sidesOfPatch(replacement);
  const routines = await compiled(sides[side], true);
  // A side without the function is the scenario as it ships, if the other side has it.
  if (Object.keys(routines).length === 0) await compiled(sides[side === 'after' ? 'before' : 'after'], false);
  return routines;
}

async function sidesOfPatch({ path, tree }: Replacement) {
  const { sidesOf } = await import('@shootdown/c');
  const text = textOf(path);
  if (tree === undefined) return await sidesOf(basename(path), text);
  return await sidesOf(basename(path), text, (file) => textOrNull(join(tree, file)));
}

export function offersC(scenario: Scenario): scenario is Scenario & OffersC {
  return 'c' in scenario && typeof scenario.c === 'function';
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  EISDIR: 'a directory, not a file',
  EACCES: 'permission denied',
};

/** Text of a file. Throws ModelError if it cannot be read. */
function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ModelError(`replace: ${path}: cannot be read (${REASONS[code] ?? code})`);
  }
}

function textOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
