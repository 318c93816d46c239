/** Threads that make the references of recorded traces, read from the files that a topology names. */
import { resolve } from 'node:path';
import { readReferenceTrace } from '@shootdown/mmu';
import { ownThreadKey, type OwnThreads } from './kernel.ts';
import { replayOf } from './replay.ts';
import type { Topology } from './schema.ts';

/** What the threads with a trace run. Throws TraceError. */
export async function tracedThreads({ processes, host }: Topology, folder: string): Promise<OwnThreads> {
  const own = new Map<string, ReturnType<typeof replayOf>>();
  const kernels = [{ name: undefined, processes }, ...(host?.vms ?? [])];
  for (const { name: vm, processes: list } of kernels)
    for (const { name, threads } of list)
      for (const [index, { trace }] of threads.entries()) {
        if (trace === undefined) continue;
        const path = resolve(folder, trace);
        own.set(ownThreadKey(name, index, vm), replayOf(await readReferenceTrace(path), path));
      }
  return own;
}
