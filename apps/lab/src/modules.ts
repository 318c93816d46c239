/** Modules of the user's own: a scenario, or routines. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ModelError } from '@shootdown/machine';

/** True for what {@link importedModule} takes for a module. */
export function namesModule(path: string): boolean {
  return /\.[cm]?[jt]sx?$/.test(path);
}

/** Where a module is. */
export function moduleUrl(path: string): string {
  return pathToFileURL(resolve(path)).href;
}

/**
 * What a module exports. Throws ModelError if it cannot be loaded.
 * @param what who asks: heads the message
 */
export async function importedModule(what: string, path: string): Promise<Readonly<Record<string, unknown>>> {
  if (/\.[cm]?tsx?$/.test(path))
    throw new ModelError(`${what}: ${path}: this Node runs JavaScript: compile it, and name what comes out`);
  try {
    return (await import(moduleUrl(path))) as Record<string, unknown>;
  } catch (error) {
    throw new ModelError(`${what}: ${path}: cannot be loaded (${String(error).split('\n')[0] ?? ''})`);
  }
}
