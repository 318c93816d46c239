/**
 * Where the CPUs of a machine are: SMT siblings, sockets and NUMA nodes, and how far they are from one another.
 *
 * Distances are those of the firmware (ACPI, System Locality Distance Information Table): 10 within a node, and a node
 * of distance 20 is twice as far. Costs between sockets are given for {@link REMOTE_DISTANCE} and grow with it.
 */
import { cyclesOf, ModelError, type Channel, type CostModel } from '@shootdown/machine';
import type { SharedTlb, TlbCaches } from '@shootdown/mmu';
import type { Topology } from './description.ts';

/** Within a node. */
const LOCAL_DISTANCE = 10;
/** Between the two sockets of an ordinary server (numactl --hardware), where nothing else is said. */
const REMOTE_DISTANCE = 21;

type Described = Pick<Topology, 'cpus' | 'cores' | 'sockets' | 'nodes' | 'distances'>;

/** The places of CPUs, by CPU number. */
export class Layout {
  readonly core: readonly number[];
  readonly socket: readonly number[];
  readonly node: readonly number[];
  /** How many nodes there are. */
  readonly nodes: number;
  readonly #distances: readonly (readonly number[])[] | undefined;
  readonly #zonelists: (readonly number[])[] = [];

  constructor({ cpus, cores, sockets, nodes, distances }: Described) {
    const all = Array.from({ length: cpus }, (_, cpu) => cpu);
    this.core = cores ? placesOf(cpus, cores) : all;
    this.node = nodes ? placesOf(cpus, nodes) : sockets ? placesOf(cpus, sockets) : all.map(() => 0);
    this.socket = sockets ? placesOf(cpus, sockets) : this.node;
    this.nodes = 1 + Math.max(...this.node);
    this.#distances = distances;
  }

  /** Distance of the nodes of two CPUs. */
  distance(a: number, b: number): number {
    return this.nodeDistance(this.node[a] as number, this.node[b] as number);
  }

  /** Distance of two nodes. */
  nodeDistance(a: number, b: number): number {
    if (a === b) return LOCAL_DISTANCE;
    return this.#distances?.[a]?.[b] ?? REMOTE_DISTANCE;
  }

  /** The nodes whose memory a CPU is given, the nearest first. */
  zonelist(cpu: number): readonly number[] {
    const here = this.node[cpu] as number;
    const known = this.#zonelists[here];
    if (known) return known;
    const nodes = Array.from({ length: this.nodes }, (_, node) => node);
    return (this.#zonelists[here] = nodes.sort(
      (a, b) => this.nodeDistance(here, a) - this.nodeDistance(here, b) || a - b,
    ));
  }

  /** True if all CPUs are equally far from one another. */
  get isFlat(): boolean {
    return this.nodes === 1 && new Set(this.core).size === this.core.length;
  }
}

function placesOf(cpus: number, sets: readonly (readonly number[])[]): number[] {
  const places = Array.from({ length: cpus }, () => 0);
  sets.forEach((set, place) => set.forEach((cpu) => (places[cpu] = place)));
  return places;
}

/** Cycles of what has an entry for CPUs of one node, and one with `_sibling` or `_remote` for others. */
export class DistanceCosts {
  readonly #layout: Layout;
  readonly #costs: CostModel;
  readonly #cycles = new Map<string, readonly [near: number, sibling: number, remote: number]>();

  constructor(layout: Layout, costs: CostModel) {
    this.#layout = layout;
    this.#costs = costs;
  }

  /** Cycles between two CPUs. */
  between(entry: string, from: number, to: number): number {
    const [near, sibling] = this.#of(entry);
    if (from === to) return near;
    if (this.#layout.core[from] === this.#layout.core[to]) return sibling;
    return this.over(entry, this.#layout.distance(from, to));
  }

  /** Cycles over a distance. */
  over(entry: string, distance: number): number {
    const [near, , remote] = this.#of(entry);
    const far = (distance - LOCAL_DISTANCE) / (REMOTE_DISTANCE - LOCAL_DISTANCE);
    return Math.round(near + (remote - near) * far);
  }

  #of(entry: string): readonly [number, number, number] {
    const known = this.#cycles.get(entry);
    if (known) return known;
    const near = cyclesOf(this.#costs, entry);
    const named = (suffix: string): number => this.#costs.costs[`${entry}_${suffix}`]?.cycles ?? near;
    const cycles = [near, named('sibling'), named('remote')] as const;
    this.#cycles.set(entry, cycles);
    return cycles;
  }
}

/**
 * How long messages are on their way: from the CPU that sends to the CPU whose actor takes them.
 * @param cpuOf the physical CPU of a processor, and of the actors that belong to one, by component
 */
export function latenciesOf(
  costs: DistanceCosts,
  processors: readonly number[],
  components: ReadonlyMap<number, number>,
): (channel: Channel, sender: number) => number | undefined {
  return ({ latency, toComponent }, sender) => {
    const [from, to] = [processors[sender], components.get(toComponent)];
    return latency === undefined || from === undefined || to === undefined
      ? undefined
      : costs.between(latency, from, to);
  };
}

/** Throws ModelError of one line. `place` begins it. */
export function checkLayout(topology: Described, place: string): void {
  const { cpus, nodes, sockets, distances } = topology;
  for (const key of ['cores', 'sockets', 'nodes'] as const) {
    const sets = topology[key];
    if (sets) checkSets(sets, cpus, `${place}${key}`, key.slice(0, -1));
  }
  const count = nodes?.length ?? sockets?.length ?? 1;
  if (!distances) return;
  if (distances.length !== count)
    throw new ModelError(`${place}distances: a row per node: ${count} expected (${distances.length})`);
  distances.forEach((row, a) => {
    if (row.length !== count)
      throw new ModelError(`${place}distances.${a}: a distance per node: ${count} expected (${row.length})`);
    row.forEach((distance, b) => {
      if (a === b ? distance !== LOCAL_DISTANCE : distance <= LOCAL_DISTANCE)
        throw new ModelError(
          `${place}distances.${a}.${b}: a node is at ${LOCAL_DISTANCE} from itself, and farther from others (${distance})`,
        );
    });
  });
}

function checkSets(sets: readonly (readonly number[])[], cpus: number, place: string, what: string): void {
  const where = new Map<number, number>();
  sets.forEach((set, i) => {
    for (const cpu of set) {
      if (cpu >= cpus) throw new ModelError(`${place}.${i}: CPU ${cpu} of ${cpus} (0 .. ${cpus - 1})`);
      const other = where.get(cpu);
      if (other !== undefined)
        throw new ModelError(`${place}.${i}: CPU ${cpu} is in ${what} ${other} already, and in one only`);
      where.set(cpu, i);
    }
  });
  const missing = Array.from({ length: cpus }, (_, cpu) => cpu).find((cpu) => !where.has(cpu));
  if (missing !== undefined) throw new ModelError(`${place}: CPU ${missing} is in no ${what}`);
}

/** The physical CPU of every processor that runs on one, and of its actors. */
export interface Placed {
  readonly processors: number[];
  readonly components: Map<number, number>;
  /** The node of a word of memory; undefined: that of whoever accesses it. */
  readonly nodeOf: { value?: (address: number) => number | undefined };
}

/**
 * What the TLB of each CPU shares with those of its siblings; undefined: nothing.
 * @param tagged each thread has entries of its own
 */
export function sharedTlbs(
  { core }: Layout,
  tagged: boolean,
  caches: (name: string) => TlbCaches,
): (cpu: number) => SharedTlb | undefined {
  const cores = new Map<number, { readonly caches: TlbCaches; threads: number }>();
  return (cpu) => {
    const mine = core[cpu] as number;
    if (core.indexOf(mine) === core.lastIndexOf(mine)) return undefined;
    const known = cores.get(mine) ?? { caches: caches(`core${mine}.tlb`), threads: 0 };
    cores.set(mine, known);
    known.threads++;
    return { caches: known.caches, thread: tagged ? known.threads : 0 };
  };
}

/** Nothing is anywhere yet. */
export function placed(): Placed {
  return { processors: [], components: new Map(), nodeOf: {} };
}
