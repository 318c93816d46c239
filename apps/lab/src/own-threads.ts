/** Routines of the user's that threads of a topology run: `"routine": "name"`, exported by a module. */
import { dirname, resolve } from 'node:path';
import { ModelError, type Steps } from '@shootdown/machine';
import {
  assemble,
  ownThreadKey,
  parseTopologyText,
  type AssembledMachine,
  type OwnThreads,
  type ThreadContext,
  type Topology,
} from '@shootdown/topology';
import { tracedThreads } from '@shootdown/topology/placed';
import { readText } from './machines.ts';
import { importedModule } from './modules.ts';

/** A topology and the routines that its threads name. */
export interface OwnTopology {
  readonly topology: Topology;
  readonly own: OwnThreads;
}

/**
 * Reads a topology file, and the module of its routines.
 * @param module a module in place of the one that the file names. Throws ModelError
 */
export async function ownTopology(path: string, module?: string): Promise<OwnTopology> {
  const topology = parseTopologyText(readText(path, 'topology'), path);
  const named = module ?? (topology.routines === undefined ? null : resolve(dirname(path), topology.routines));
  const exported = named === null ? {} : await importedModule('routines', named);
  const own = new Map(await tracedThreads(topology, dirname(path)));
  const kernels = [{ name: undefined, processes: topology.processes }, ...(topology.host?.vms ?? [])];
  for (const { name: vm, processes } of kernels)
    for (const process of processes)
      for (const [index, { routine, cpu }] of process.threads.entries()) {
        if (routine === undefined) continue;
        const found = exported[routine];
        if (typeof found !== 'function')
          throw new ModelError(
            `routines: ${named ?? path}: ${process.name} on CPU ${cpu}: exports no routine ${routine} (has: ${Object.keys(exported).join(', ') || 'nothing'})`,
          );
        own.set(ownThreadKey(process.name, index, vm), found as (context: ThreadContext) => Steps);
      }
  return { topology, own };
}

/** The machine of a topology file, with its routines. Throws ModelError. */
export async function ownMachine(path: string, module?: string): Promise<AssembledMachine> {
  const { topology, own } = await ownTopology(path, module);
  return assemble(topology, own);
}
