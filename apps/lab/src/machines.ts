/** Machines by what the user typed: a demo's name or a topology file. */
import { readFileSync } from 'node:fs';
import { ModelError } from '@shootdown/machine';
import { assemble, parseTopology, parseTopologyText, type AssembledMachine } from '@shootdown/topology';
import { demos } from './demos/index.ts';

/** Names of the demos that are machines. */
export function demoNames(): string[] {
  return demos.map((d) => d.name);
}

/** Assembles a demo, or the machine a topology file describes. Throws ModelError. */
export function machineNamed(nameOrFile: string): AssembledMachine {
  const demo = demos.find((d) => d.name === nameOrFile);
  if (demo) return assemble(parseTopology(demo.topology, demo.name));
  if (!nameOrFile.endsWith('.json')) {
    throw new ModelError(`run: no demo ${nameOrFile} (have: ${['flush-counts', ...demoNames()].join(', ')}; or a topology file *.json)`);
  }
  return assemble(parseTopologyText(readText(nameOrFile, 'topology'), nameOrFile));
}

/** A file as text. Throws ModelError if it cannot be read. */
export function readText(path: string, component: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ModelError(`${component}: ${path}: ${code === 'ENOENT' ? 'no such file' : code}`);
  }
}
