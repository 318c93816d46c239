/** What the caches of a machine cost: by how far its CPUs are from one another, and from memory. */
import type { CacheCosts } from '@shootdown/machine';
import type { DistanceCosts, Layout, Placed } from './layout.ts';

const MEGABYTE = 1 << 20;
const PAGE_BYTES = 4096;

/** Bytes that go through the cache besides the words of the machine. */
const TRAFFIC: CacheCosts['traffic'] = { page_zero: PAGE_BYTES, page_copy: 2 * PAGE_BYTES, memcmp: 2 * PAGE_BYTES };

/** The caches of a machine: a last-level cache per socket. */
export function cacheCosts(
  costs: DistanceCosts,
  layout: Layout,
  { processors, nodeOf }: Placed,
  llcMegabytes: number,
): CacheCosts {
  return {
    cpus: processors,
    transfer: (from, to) => costs.between('line', from, to),
    memory(cpu, address) {
      const here = layout.node[cpu] as number;
      return costs.over('dram', layout.nodeDistance(here, nodeOf.value?.(address) ?? here));
    },
    cacheOf: (cpu) => layout.socket[cpu] as number,
    cacheBytes: llcMegabytes * MEGABYTE,
    traffic: TRAFFIC,
  };
}
