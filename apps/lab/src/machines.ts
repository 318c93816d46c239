/** Machines by what the user typed: a demo's name or a topology file. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { unknownName } from '@shootdown/explorer';
import { ModelError } from '@shootdown/machine';
import { assemble, parseTopology, parseTopologyText, type AssembledMachine } from '@shootdown/topology';
import { demos } from '@shootdown/scenarios';

/** Names of the demos that are machines. */
export function demoNames(): string[] {
  return demos.map((d) => d.name);
}

const SHIPPED = new URL('../topologies/', import.meta.url);
const JSON_SUFFIX = /\.json$/;

/** Names of the machines that come with the command, each a file of its own. */
export function topologyNames(): string[] {
  return readdirSync(SHIPPED)
    .filter((file) => JSON_SUFFIX.test(file))
    .map((file) => file.replace(JSON_SUFFIX, ''))
    .sort();
}

/** What a machine that comes with the command shows, and what to look at in it. */
export function aboutTopology(name: string): string {
  return parseTopologyText(readText(shippedPath(name), 'topology'), name).about ?? '';
}

function shippedPath(name: string): string {
  return fileURLToPath(new URL(`${name}.json`, SHIPPED));
}

/** The demo that is a table of runs, and not a machine. */
export const FLUSH_COUNTS = 'flush-counts';

/** True if a name is that of a file, there or not. */
export function namesFile(name: string): boolean {
  if (name.endsWith('.json')) return true;
  try {
    return statSync(name).isFile();
  } catch {
    // Not there, or no name that a file can have.
    return false;
  }
}

/**
 * Assembles a demo, a machine that comes with the command, or the one that a topology file describes. Throws
 * ModelError.
 */
export function machineNamed(nameOrFile: string): AssembledMachine {
  const demo = demos.find((d) => d.name === nameOrFile);
  if (demo) return assemble(parseTopology(demo.topology, demo.name));
  if (nameOrFile === FLUSH_COUNTS)
    throw new ModelError(`machine: ${FLUSH_COUNTS}: a table of runs, not a machine: shootdown run ${FLUSH_COUNTS}`);
  if (topologyNames().includes(nameOrFile))
    return assemble(parseTopologyText(readText(shippedPath(nameOrFile), 'topology'), nameOrFile));
  if (!namesFile(nameOrFile))
    throw new ModelError(
      `machine: no demo ${unknownName(nameOrFile, [FLUSH_COUNTS, ...demoNames(), ...topologyNames()])}; or a topology file`,
    );
  return assemble(parseTopologyText(readText(nameOrFile, 'topology'), nameOrFile));
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EISDIR: 'a directory, not a file',
  EACCES: 'permission denied',
  ENAMETOOLONG: 'no such file: the name is too long',
  ERR_INVALID_ARG_VALUE: 'no name that a file can have',
};

/** A file as text. Throws ModelError if it cannot be read. */
export function readText(path: string, component: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ModelError(`${component}: ${path}: ${REASONS[code] ?? code}`);
  }
}
