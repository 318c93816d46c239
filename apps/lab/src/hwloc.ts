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

const hwlocObject: z.ZodType<HwlocObject> = z.lazy(() =>
  z.object({
    type: z.string().optional(),
    os_index: z.string().optional(),
    info: z.array(z.object({ name: z.string().optional(), value: z.string().optional() })).optional(),
    object: z.array(hwlocObject).optional(),
  }),
);
const hwlocDocument = z.object({ topology: z.object({ object: z.array(hwlocObject).min(1) }) });

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
  const root = parsed(text, source);
  const objects = [...within(root)];
  const units = objects.filter(({ type }) => type === 'PU');
  if (units.length === 0) throw new ModelError(`topology: ${source}: no processing unit (<object type="PU">) in it`);
  const machine = objects.flatMap(({ info }) => info ?? []).find((info) => info.name === 'Architecture')?.value;
  const topology: TopologyInput = {
    name: name.replaceAll(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, '').slice(0, NAME_MAX) || 'hwloc',
    architecture: architectureOf(machine, source),
    cpus: units.length,
    processes: [{ name: 'idle', threads: [{ cpu: 0, run: [{ do: 'sleep' }] }] }],
  };
  parseTopology(topology, source);
  return { topology, leftOut: leftOutOf(objects, units) };
}

function parsed(text: string, source: string): readonly HwlocObject[] {
  const valid = XMLValidator.validate(text);
  if (valid !== true) throw new ModelError(`topology: ${source}: line ${valid.err.line}: not XML: ${valid.err.msg}`);
  let xml: unknown;
  try {
    xml = new XMLParser({
      ignoreAttributes: false,
      attributeNamePrefix: '',
      parseAttributeValue: false,
      processEntities: false,
      isArray: (tag) => tag === 'object' || tag === 'info',
    }).parse(text);
  } catch (error) {
    throw new ModelError(`topology: ${source}: not XML: ${error instanceof Error ? error.message : String(error)}`);
  }
  const document = hwlocDocument.safeParse(xml);
  if (!document.success)
    throw new ModelError(
      `topology: ${source}: not what lstopo writes: expected <topology> with <object> elements in it`,
    );
  return document.data.topology.object;
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

function leftOutOf(objects: readonly HwlocObject[], units: readonly HwlocObject[]): string {
  const count = (...types: string[]): number => objects.filter(({ type }) => types.includes(type ?? '')).length;
  const cores = count('Core');
  const parts = [
    counted(count('Package', 'Socket'), 'socket'),
    counted(count('NUMANode'), 'NUMA node'),
    cores > 0 && cores < units.length ? `SMT (${counted(cores, 'core')})` : '',
  ].filter((part) => part !== '');
  const renumbered = units.some(({ os_index }, i) => os_index !== undefined && Number(os_index) !== i);
  return [
    ...(parts.length > 0 ? [`left out, not modelled yet: ${parts.join(', ')}`] : []),
    ...(renumbered ? [`CPUs are numbered 0 to ${units.length - 1} in the order of the file`] : []),
  ].join('; ');
}

function counted(count: number, what: string): string {
  return count === 0 ? '' : `${count} ${what}${count === 1 ? '' : 's'}`;
}
