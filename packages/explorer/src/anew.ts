/**
 * A system that is built anew has variables of its own: what its routines do before any other of them has run must be
 * what they did in the search. A variable that is set once, and never reset, shows only so.
 */
import { ModelError, verifyAlone, waysOf, type NodeTable, type System } from '@shootdown/machine';
import { differenceBetween, timesFor, UNSTEADY } from './verify.ts';

/** How to build a system again, for systems that know. */
const builders = new WeakMap<System, () => System>();

/** Says how a system can be built again. */
export function rememberBuild(system: System, build: () => System): void {
  builders.set(system, build);
}

/** Throws ModelError if a system is not the same one whenever it is built: once it has been compared already. */
export function verifyBuild(system: System, states: number): void {
  const build = builders.get(system);
  for (let i = 1; build !== undefined && i < timesFor(system, states); i++) {
    const difference = differenceBetween(system, build());
    if (difference !== null)
      throw new ModelError(`explore: not deterministic: ${difference} when it is built again ${UNSTEADY}`);
  }
}

/** Operations that are run again of each program. */
const OPERATIONS = 100;

/**
 * Runs some of what the search met again, every routine in a system of its own. Throws ModelError on one that does
 * something else there.
 * @param fresh builds it with all the variables of its module new; left out: as its scenario does
 */
export async function verifyAnew(
  system: System,
  nodes: NodeTable,
  fresh: (() => Promise<System>) | undefined,
): Promise<void> {
  const build = fresh ?? builders.get(system);
  if (build === undefined) return;
  const names = system.programs.map(({ name }) => name);
  const ways = waysOf(nodes);
  for (const name of new Set(names)) {
    const { programs } = await build();
    const same = programs.length === names.length && programs.every((program, i) => program.name === names[i]);
    if (!same) throw new ModelError(`explore: not deterministic: other programs when it is built again ${UNSTEADY}`);
    // Programs of one name may share more than others do: the last one is the first to run here.
    const own = ways.filter(({ program }) => names[program] === name).sort((a, b) => b.program - a.program);
    verifyAlone(programs, nodes, own, OPERATIONS);
  }
}
