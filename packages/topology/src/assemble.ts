/**
 * Assembly: from a description to a system of actors.
 */
import {
  Frames,
  SystemBuilder,
  withCosts,
  type CacheCosts,
  type Channel,
  type CostModel,
  type System,
} from '@shootdown/machine';
import { addCpu } from '@shootdown/cpu';
import {
  connectMmus,
  Mmu,
  parseTlbGeometry,
  reportChangesInPlace,
  siblingCaches,
  tlbGeometry,
  walkShape,
  type MmuGeometry,
} from '@shootdown/mmu';
import { architectures, CONT_PTES_4K, lazy, type Architecture, type Kernel } from '@shootdown/mm';
import { geometryNamed } from '@shootdown/page-table';
import { secondaryTables } from './checks.ts';
import { numberedPages } from './description.ts';
import type { LinkEnd } from './device-link.ts';
import { assembleHost, type AssembledVm, type MachineParts } from './host.ts';
import { cacheCosts } from './caches.ts';
import { DistanceCosts, latenciesOf, Layout, placed, sharedTlbs } from './layout.ts';
import { startKernel, vectorsOf, type OwnThreads, type StartedKernel } from './kernel.ts';
import { assembleRemoteDevice, type AssembledDevice } from './remote-device.ts';
import { lazyModeOf, type Topology } from './schema.ts';

/** A machine, ready to run. */
export interface AssembledMachine {
  readonly topology: Topology;
  readonly system: System;
  /** The machine's own kernel; of a host, its first guest's. */
  readonly kernel: Kernel;
  /** The virtual machines of a host; none if the machine is native. */
  readonly vms: readonly AssembledVm[];
  readonly costs: CostModel;
  /** Processors whose thread returns: the run is over when they are done, */
  readonly until: readonly number[];
  /** and these, whose thread ends in `spin` or `sleep`, have come to that. */
  readonly untilAtRest: readonly number[];
  /** Words that are 0 by then: tasks of shared CPUs that have work left. */
  readonly untilZero: readonly number[];
  /** How long messages are under way, where some CPUs are farther from one another than others. */
  readonly latencyOf?: (channel: Channel, sender: number) => number | undefined;
  readonly caches: CacheCosts;
  /** The end of its link to a device that is run elsewhere. */
  readonly link?: LinkEnd;
}

/**
 * Builds the actors, words and routines of a machine.
 * @param base the cost model that the description's `costs` change
 * @param remote without the device that has a placement, which is a part by itself: messages cross to it
 */
export function assemble(
  topology: Topology,
  own: OwnThreads = new Map(),
  base: CostModel = architectures[topology.architecture].costs,
  remote = false,
): AssembledMachine {
  const costs = Object.keys(topology.costs).length > 0 ? withCosts(base, topology.costs) : base;
  const builder = new SystemBuilder({ memoryModel: topology.memoryModel });
  const geometry = geometryOf(topology);
  const layout = new Layout(topology);
  const where = placed();
  const parts = { geometry, hertz: costs.hertz, own, layout, where };
  const host = topology.host ? assembleHost(builder, topology, topology.host, parts) : null;
  const { kernel, end, link } = host
    ? { kernel: (host.vms[0] as AssembledVm).kernel, end: host.end, link: undefined }
    : assembleNative(builder, topology, parts, remote);
  const distances = new DistanceCosts(layout, costs);
  return {
    topology,
    system: builder.build(),
    kernel,
    vms: host?.vms ?? [],
    costs,
    ...end,
    ...(link && { link }),
    caches: cacheCosts(distances, layout, where, topology.llcMegabytes),
    ...(!layout.isFlat && { latencyOf: latenciesOf(distances, where.processors, where.components) }),
  };
}

/** The TLB of every CPU. */
function geometryOf({ tlb: { l1, l2, walkCache }, folio }: Topology): MmuGeometry {
  return {
    l1: parseTlbGeometry(l1),
    l2: parseTlbGeometry(l2),
    walkCacheEntries: tlbGeometry(walkCache, walkCache).entries,
    contiguousPages: folio === '64K' ? CONT_PTES_4K : 0,
  };
}

/** A device of a machine, by itself. */
export function assembleDevice(topology: Topology, name: string): AssembledDevice {
  const base = architectures[topology.architecture].costs;
  const shape = walkShape(geometryNamed(architectures[topology.architecture].geometry));
  const entries = Math.max(...shape.levels.map((level) => level.entries));
  return assembleRemoteDevice(name, entries, geometryOf(topology), withCosts(base, topology.costs));
}

function assembleNative(
  builder: SystemBuilder,
  topology: Topology,
  { geometry, hertz, own, layout, where }: MachineParts,
  remote: boolean,
): Pick<StartedKernel, 'kernel' | 'end' | 'link'> {
  const shape = walkShape(geometryNamed(architectures[topology.architecture].geometry));
  const entriesPerTable = Math.max(...shape.levels.map((level) => level.entries));
  const { tables, pages } = topology.memory;
  const initialTables = Array.from({ length: secondaryTables(topology) }, () => []);
  const nodes = { count: layout.nodes, zonelist: (processor: number) => layout.zonelist(processor) };
  const frames = new Frames(builder, {
    tables,
    entriesPerTable,
    ...numberedPages(tables, pages),
    initialTables,
    nodes,
    pageLists: topology.cpus,
    formatEntry: lazy.formatLazyEntry,
  });
  // Secondary MMUs have formats of their own.
  if (architectures[topology.architecture].interconnect === 'dvm')
    reportChangesInPlace(builder, frames, { firstTable: initialTables.length });
  where.nodeOf.value = (address) => frames.nodeOfWord(address);
  const cpus = Array.from({ length: topology.cpus }, (_, id) => addCpu(builder, id, vectorsOf(topology, id)));
  const architecture: Architecture = architectures[topology.architecture];
  const tagged = architecture.interconnect === null;
  const shared = sharedTlbs(layout, tagged, (name) => siblingCaches(builder, name, geometry, shape, tagged));
  const mmus = cpus.map((cpu) => new Mmu(builder, cpu.name, frames, shape, geometry, shared(cpu.id)));
  cpus.forEach((cpu, id) => {
    where.processors.push(id);
    where.components.set(cpu.component, id).set((mmus[id] as Mmu).component, id);
  });
  if (architecture.interconnect) connectMmus(builder, mmus, architecture.interconnect);
  return startKernel(topology, {
    builder,
    cpus,
    mmus,
    frames,
    shape,
    tasks: cpus.length,
    remote,
    nodeOf: (cpu) => layout.node[cpu] ?? 0,
    architecture,
    lazyMode: lazyModeOf(topology, topology.name),
    contpte: topology.folio === '64K',
    flushCeiling: topology.flushCeiling,
    hz: topology.hz,
    hertz,
    timesliceMicroseconds: topology.timesliceMicroseconds,
    geometry,
    own,
  });
}
