/**
 * What `lstopo machine.xml` writes (hwloc 1 and 2), as a topology: objects in one another, and a processing unit (PU)
 * for every CPU of the operating system.
 */
import { ModelError } from '@shootdown/machine';
import { parseTopology, type TopologyInput } from '@shootdown/topology';
import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { z } from 'zod';

/** An element; numbers are not told from text. */
interface HwlocObject {
  readonly type?: string | undefined;
  readonly os_index?: string | undefined;
  readonly info?: readonly { readonly name?: string | undefined; readonly value?: string | undefined }[] | undefined;
  readonly object?: readonly HwlocObject[] | undefined;
}

/** Distances of nodes, as hwloc 2 writes them: numbers in blanks, row by row. */
const distances2 = z.object({
  type: z.string().optional(),
  name: z.string().optional(),
  u64values: z.unknown(),
});

const hwlocObject: z.ZodType<HwlocObject> = z.lazy(() =>
  z.object({
    type: z.string().optional(),
    os_index: z.string().optional(),
    info: z.array(z.object({ name: z.string().optional(), value: z.string().optional() })).optional(),
    object: z.array(hwlocObject).optional(),
  }),
);
const hwlocDocument = z.object({
  topology: z.object({ object: z.array(hwlocObject).min(1), distances2: z.array(distances2).optional() }),
});
type HwlocDocument = z.output<typeof hwlocDocument>['topology'];

/** A topology, and what the file says that it does not. */
export interface FromHwloc {
  readonly topology: TopologyInput;
  readonly leftOut: string;
}

/** uname -m, and what it is called here. */
const ARCHITECTURES: Readonly<Record<string, TopologyInput['architecture']>> = {
  x86_64: 'x86-64-4l',
  aarch64: 'arm64-4k-48',
};
const NAME_MAX = 100;

/**
 * A machine with the CPUs of an hwloc file and one process, which sleeps on CPU 0. Throws ModelError on text that is no
 * XML, and on XML that is no topology, has no PU, or more than a topology may have.
 * @param source what the file is called, for messages
 */
export function topologyFromHwloc(text: string, name: string, source: string): FromHwloc {
  const { object: root, distances2: distances } = parsed(text, source);
  const objects = [...within(root)];
  const units = objects.filter(({ type }) => type === 'PU');
  if (units.length === 0) throw new ModelError(`topology: ${source}: no processing unit (<object type="PU">) in it`);
  const machine = objects.flatMap(({ info }) => info ?? []).find((info) => info.name === 'Architecture')?.value;
  const topology: TopologyInput = {
    name: name.replaceAll(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '').slice(0, NAME_MAX) || 'hwloc',
    architecture: architectureOf(machine, source),
    cpus: units.length,
    ...layoutOf(root, units, distances),
    processes: [{ name: 'idle', threads: [{ cpu: 0, run: [{ do: 'sleep' }] }] }],
  };
  parseTopology(topology, source);
  return { topology, leftOut: renumbered(units) };
}

function parsed(text: string, source: string): HwlocDocument {
  const valid = XMLValidator.validate(text);
  if (valid !== true) throw new ModelError(`topology: ${source}: line ${valid.err.line}: not XML: ${valid.err.msg}`);
  let xml: unknown;
  try {
    xml = new XMLParser({
      ignoreAttributes: false,
      attributeNamePrefix: '',
      parseAttributeValue: false,
      processEntities: false,
      isArray: (tag) => tag === 'object' || tag === 'info' || tag === 'distances2',
    }).parse(text);
  } catch (error) {
    throw new ModelError(`topology: ${source}: not XML: ${error instanceof Error ? error.message : String(error)}`);
  }
  const document = hwlocDocument.safeParse(xml);
  if (!document.success)
    throw new ModelError(
      `topology: ${source}: not what lstopo writes: expected <topology> with <object> elements in it`,
    );
  return document.data.topology;
}

function* within(objects: readonly HwlocObject[]): Generator<HwlocObject> {
  for (const object of objects) {
    yield object;
    yield* within(object.object ?? []);
  }
}

/** hwloc does not always say; x86 is what most machines are. */
function architectureOf(machine: string | undefined, source: string): TopologyInput['architecture'] {
  if (machine === undefined) return 'x86-64-4l';
  const known = Object.hasOwn(ARCHITECTURES, machine) ? ARCHITECTURES[machine] : undefined;
  if (known) return known;
  throw new ModelError(
    `topology: ${source}: no architecture ${machine} (have: ${Object.keys(ARCHITECTURES).join(', ')})`,
  );
}

type Layout = Pick<TopologyInput, 'cores' | 'sockets' | 'nodes' | 'distances'>;

/** Cores, sockets and nodes of the processing units, those that say more than that there is one of them. */
function layoutOf(
  root: readonly HwlocObject[],
  units: readonly HwlocObject[],
  distances: HwlocDocument['distances2'],
): Layout {
  const cpuOf = new Map(units.map((unit, cpu) => [unit, cpu]));
  const sets = (...types: string[]): number[][] => {
    const found: number[][] = [];
    const visit = (object: HwlocObject, around: readonly HwlocObject[]): void => {
      if (types.includes(object.type ?? '')) {
        // hwloc 2 hangs a node beside the cores that it is near to, hwloc 1 has them in it.
        const own = [...within(object.object ?? [])];
        const inside = own.some((inner) => cpuOf.has(inner)) ? own : around;
        found.push(inside.flatMap((inner) => cpuOf.get(inner) ?? []));
      }
      for (const inner of object.object ?? []) visit(inner, [...within(object.object ?? [])]);
    };
    for (const object of root) visit(object, [...within(root)]);
    return found.filter((set) => set.length > 0);
  };
  const [cores, sockets, nodes] = [sets('Core'), sets('Package', 'Socket'), sets('NUMANode')];
  const complete = (all: readonly (readonly number[])[]): boolean =>
    new Set(all.flat()).size === units.length && all.flat().length === units.length;
  const rows = nodes.length > 1 && complete(nodes) ? distancesOf(distances, nodes.length) : undefined;
  return {
    ...(complete(cores) && cores.length < units.length && { cores }),
    ...(complete(sockets) && sockets.length > 1 && { sockets }),
    ...(complete(nodes) && nodes.length > 1 && { nodes }),
    ...(rows && { distances: rows }),
  };
}

/** The matrix that the firmware has given, if it is one of distances in its own unit. */
function distancesOf(distances: HwlocDocument['distances2'], nodes: number): number[][] | undefined {
  const matrix = distances?.find(({ type, name }) => type === 'NUMANode' && name === 'NUMALatency')?.u64values;
  const values = [matrix].flat().flatMap(textOf).join(' ').trim().split(/\s+/).map(Number);
  const rows = Array.from({ length: nodes }, (_, a) => values.slice(a * nodes, (a + 1) * nodes));
  const isFirmwares = rows.every(
    (row, a) => row.length === nodes && row.every((d, b) => (a === b ? d === 10 : d > 10)),
  );
  return values.length === nodes * nodes && isFirmwares ? rows : undefined;
}

/** The text of an element with or without attributes. */
function textOf(element: unknown): string[] {
  if (typeof element === 'string') return [element];
  const text: unknown = typeof element === 'object' && element !== null ? Reflect.get(element, '#text') : undefined;
  return typeof text === 'string' ? [text] : [];
}

function renumbered(units: readonly HwlocObject[]): string {
  const differs = units.some(({ os_index }, i) => os_index !== undefined && Number(os_index) !== i);
  return differs ? `CPUs are numbered 0 to ${units.length - 1} in the order of the file` : '';
}
