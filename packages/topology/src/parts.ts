/**
 * Parts of a machine that share no word, each of which may run in another thread: virtual machines whose CPUs nobody
 * else runs on, between which nothing passes, or a device with a table of its own and the machine without it, between
 * which messages do.
 */
import type { Topology } from './schema.ts';

/** One part. */
export interface Part {
  /** The virtual machines in it, by their names; the device; or the machine. */
  readonly name: string;
  readonly topology: Topology;
  readonly placement: 'process' | 'worker';
  /**
   * It is this device of the machine, or the machine without the devices that are parts (null). Left out: there are
   * none.
   */
  readonly device?: string | null;
}

/** Cores, sockets and nodes, as far as they have CPUs of a part; a part keeps its distances. */
function partOfLayout(
  { cores, sockets, nodes, distances }: Topology,
  numbers: readonly number[],
): Pick<Topology, 'cores' | 'sockets' | 'nodes' | 'distances'> {
  const within = (sets: readonly (readonly number[])[] | undefined): number[][] | undefined =>
    sets
      ?.map((set) => set.flatMap((cpu) => (numbers.includes(cpu) ? [numbers.indexOf(cpu)] : [])))
      .filter((set) => set.length > 0);
  const kept = (nodes ?? sockets)?.flatMap((set, i) => (set.some((cpu) => numbers.includes(cpu)) ? [i] : []));
  return {
    cores: within(cores),
    sockets: within(sockets),
    nodes: within(nodes),
    distances:
      kept && distances?.map((row) => row.filter((_, i) => kept.includes(i))).filter((_, i) => kept.includes(i)),
  };
}

/** The parts of a machine; the whole of it is one if it cannot be cut. */
export function partsOf(topology: Topology): readonly Part[] {
  const whole: Part = { name: topology.name, topology, placement: 'process' };
  const { host } = topology;
  const device = topology.processes
    .flatMap(({ secondaryMmus }) => secondaryMmus)
    .find(({ kind, placement }) => kind === 'device' && placement !== undefined);
  if (device)
    return [
      { ...whole, device: null },
      { name: device.name, topology, placement: device.placement ?? 'process', device: device.name },
    ];
  if (!host || host.vms.some(({ cpus }) => cpus === undefined)) return [whole];
  const groups: { cpus: Set<number>; vms: number[] }[] = [];
  host.vms.forEach(({ cpus = [] }, index) => {
    const touched = groups.filter((group) => cpus.some((cpu) => group.cpus.has(cpu)));
    const merged = {
      cpus: new Set([...touched.flatMap((group) => [...group.cpus]), ...cpus]),
      vms: [...touched.flatMap((group) => group.vms), index],
    };
    groups.splice(0, groups.length, ...groups.filter((group) => !touched.includes(group)), merged);
  });
  if (groups.length === 1)
    return [{ ...whole, placement: host.vms.some(({ placement }) => placement === 'worker') ? 'worker' : 'process' }];
  return groups.map(({ cpus, vms }) => {
    const numbers = [...cpus].sort((a, b) => a - b);
    const chosen = vms.sort((a, b) => a - b).flatMap((vm) => host.vms[vm] ?? []);
    return {
      name: chosen.map(({ name }) => name).join(', '),
      topology: {
        ...topology,
        cpus: numbers.length,
        ...partOfLayout(topology, numbers),
        host: { ...host, vms: chosen.map((vm) => ({ ...vm, cpus: vm.cpus?.map((cpu) => numbers.indexOf(cpu)) })) },
      },
      placement: chosen.some(({ placement }) => placement === 'worker') ? 'worker' : 'process',
    };
  });
}
