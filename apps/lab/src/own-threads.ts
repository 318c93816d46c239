/** Routines of the user's that threads of a topology run: `"routine": "name"`, exported by a module. */
import { dirname, resolve } from 'node:path';
import { ModelError, type Steps } from '@shootdown/machine';
import { readReferenceTrace } from '@shootdown/mmu';
import {
  assemble,
  ownThreadKey,
  parseTopologyText,
  replayOf,
  type AssembledMachine,
  type OwnThreads,
  type ThreadContext,
  type Topology,
} from '@shootdown/topology';
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
  const own = new Map<string, (context: ThreadContext) => Steps>();
  const processes = [topology.processes, ...(topology.host?.vms ?? []).map((vm) => vm.processes)].flat();
  for (const process of processes) {
    for (const [index, { routine, trace, cpu }] of process.threads.entries()) {
      const key = ownThreadKey(process.name, index);
      if (trace !== undefined) own.set(key, await traced(resolve(dirname(path), trace)));
      if (routine === undefined) continue;
      const found = exported[routine];
      if (typeof found !== 'function')
        throw new ModelError(
          `routines: ${named ?? path}: ${process.name} on CPU ${cpu}: exports no routine ${routine} (has: ${Object.keys(exported).join(', ') || 'nothing'})`,
        );
      own.set(key, found as (context: ThreadContext) => Steps);
    }
  }
  return { topology, own };
}

/** What a thread does that makes the references of a trace. Throws TraceError. */
async function traced(path: string): Promise<(context: ThreadContext) => Steps> {
  return replayOf(await readReferenceTrace(path), path);
}

/** The machine of a topology file, with its routines. Throws ModelError. */
export async function ownMachine(path: string, module?: string): Promise<AssembledMachine> {
  const { topology, own } = await ownTopology(path, module);
  return assemble(topology, own);
}
