/** Reading a description: its form, and what it must hold beyond that. */
import { ModelError } from '@shootdown/machine';
import { architectures, type lazy } from '@shootdown/mm';
import { checkReferences } from './checks.ts';
import { topologySchema, type Topology } from './description.ts';

export {
  actionsIn,
  areaNamesIn,
  COMPUTE_STEP_CYCLES,
  endsAtRest,
  EVERYBODYS_ACTIONS,
  forkedIn,
  PHASE_PREFIX,
  substitute,
  type Action,
} from './actions.ts';
export type { KernelDescription, Topology, TopologyInput, VmDescription } from './description.ts';

/** Lists and objects inside one another: what reads a description goes down as deep. */
const DEPTH_MAX = 64;

/** Checks a description. Throws a ModelError of one line that names the place and the mistake. */
export function parseTopology(input: unknown, source = 'topology'): Topology {
  if (isDeeperThan(input, DEPTH_MAX))
    throw new ModelError(`topology: ${source}: top level: nested more than ${DEPTH_MAX} deep`);
  const parsed = topologySchema.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = issue && issue.path.length > 0 ? issue.path.join('.') : 'top level';
    throw new ModelError(`topology: ${source}: ${place}: ${issue?.message ?? 'not a topology'}`);
  }
  checkReferences(parsed.data, source);
  lazyModeOf(parsed.data, source);
  const { architecture, folio } = parsed.data;
  if (folio !== '4K' && !architectures[architecture].hasContiguousEntries)
    throw new ModelError(`topology: ${source}: folio: contiguous entries are arm64 only (${folio} on ${architecture})`);
  return parsed.data;
}

/** Lazy MMU mode of a machine. Throws ModelError on one that its architecture cannot have. */
export function lazyModeOf(
  { architecture, lazyMmu }: Pick<Topology, 'architecture' | 'lazyMmu'>,
  source: string,
): lazy.LazyArch {
  const [first, ...others] = architectures[architecture].lazyModes;
  if (lazyMmu === undefined) return first;
  const found = [first, ...others].find(({ name }) => name === lazyMmu);
  if (!found)
    throw new ModelError(
      `topology: ${source}: lazyMmu: no ${lazyMmu} on ${architecture} (have: ${[first, ...others].map(({ name }) => name).join(', ')})`,
    );
  return found;
}

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeperThan(inner, depth - 1));
}

/** Checks a description given as JSON text. */
export function parseTopologyText(text: string, source: string): Topology {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    throw new ModelError(`topology: ${source}: not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseTopology(input, source);
}
