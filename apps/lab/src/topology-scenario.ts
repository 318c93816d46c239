/** A topology as a scenario: `shootdown explore machine.json` tries every order of what its threads do. */
import { ModelError, routinesNamed } from '@shootdown/machine';
import type { Scenario, Variant } from '@shootdown/explorer';
import { assemble, partsOf } from '@shootdown/topology';
import { ownTopology } from './own-threads.ts';

/** Reads a topology file as a scenario of one variant, whose properties are those that every machine has. */
export async function topologyScenario(path: string): Promise<Scenario> {
  const { topology, own } = await ownTopology(path);
  if (partsOf(topology).some(({ device }) => typeof device === 'string'))
    process.stderr.write(
      `explore: ${topology.name}: the placement of its device is left out: it and its driver share the device's table\n`,
    );
  const variant: Variant = {
    name: 'machine',
    expected: {},
    source: path,
    summary: 'no access to what has been freed, no deadlock, no misuse of a lock, in any order',
    memoryModel: topology.memoryModel,
  };
  return {
    name: topology.name,
    title: `the machine ${topology.name}`,
    // Which of them it comes to call is known when it has been searched.
    routineNames: routinesNamed(),
    variants: [variant],
    build({ memoryModel }) {
      if (memoryModel === 'arm') throw new ModelError(`topology: ${path}: a machine is explored on sc or tso (arm)`);
      return assemble({ ...topology, memoryModel }, own).system;
    },
  };
}
