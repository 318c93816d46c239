/** What `run` and `compare` run: a machine, or a scenario once through, each with routines replaced or as it ships. */
import { costModels, ModelError, replaceRoutines, routinesNamed, unknownName } from '@shootdown/machine';
import { scenarios } from '@shootdown/scenarios';
import type { AssembledMachine, Runnable } from '@shootdown/topology';
import { UsageError, type Arguments } from './arguments.ts';
import { namesC, type Replacement } from './c-files.ts';
import { machineNamed, namesFile } from './machines.ts';
import { ownMachine } from './own-threads.ts';
import { routinesOfModule, watched } from './replacement.ts';
import {
  namesScenario,
  replacedLine,
  replacementOf,
  scenarioFlags,
  scenarioOf,
  type RequestedScenario,
} from './scenario-request.ts';

/** A machine of any kind, ready to run. */
export interface RunTarget {
  readonly name: string;
  readonly machine: Runnable;
  /** The machine with its kernel, unless it is a scenario's. */
  readonly assembled: AssembledMachine | null;
  /** The scenario, if it is one. */
  readonly scenario: RequestedScenario | null;
  /** What was replaced, in words; null if nothing was asked for. */
  readonly replaced: string | null;
  /** The names of the routines that were. */
  readonly routines: readonly string[];
  /** Those of a machine's that no run has called so far, in a line; null: there are none. */
  readonly uncalled: () => string | null;
}

const SCENARIO_FLAGS = Object.keys(scenarioFlags).filter((name) => !['replace', 'side', 'tree'].includes(name));

/** Finds a machine or scenario by name, and applies the flags. Throws ModelError or UsageError. */
export async function runTarget(
  command: string,
  name: string,
  args: Arguments,
  replacement: Replacement | null = replacementOf(args) ?? null,
): Promise<RunTarget> {
  if (await namesScenario(name)) return ofScenario(await scenarioOf(command, name, args, replacement));
  args.refuse(SCENARIO_FLAGS, `belongs to a scenario (have: ${scenarios.map((s) => s.name).join(', ')})`);
  if (!namesFile(name)) args.refuse(['routines'], 'belongs to a topology file');
  const machine = namesFile(name) ? await ownMachine(name, args.text('routines')) : machineNamed(name);
  if (replacement === null)
    return {
      name: machine.topology.name,
      machine,
      assembled: machine,
      scenario: null,
      replaced: null,
      routines: [],
      uncalled: () => null,
    };
  return await patchedMachine(machine, replacement);
}

function ofScenario(resolved: RequestedScenario): RunTarget {
  const { scenario, variant, replacement } = resolved;
  const costs = costModels[scenario.architecture ?? 'x86-64'];
  if (!costs) throw new ModelError(`run: ${scenario.name}: no costs of ${scenario.architecture ?? ''}`);
  return {
    name: `${scenario.name} / ${variant.name}`,
    machine: { topology: {}, system: resolved.build(), costs, vms: [] },
    assembled: null,
    scenario: resolved,
    replaced: replacement && replacedLine(resolved.replaced, replacement),
    routines: resolved.replaced,
    uncalled: () => null,
  };
}

/**
 * A machine with routines of a module. Any routine that there is may be replaced: which of them a machine comes to call
 * is known when it has run.
 */
async function patchedMachine(machine: AssembledMachine, replacement: Replacement): Promise<RunTarget> {
  const { path } = replacement;
  const { name } = machine.topology;
  if (namesC(path)) throw new ModelError(`replace: ${path}: ${name} offers nothing to C: give a module`);
  // Before the module is loaded: it gives names to its own routines.
  const known = routinesNamed();
  const routines = await routinesOfModule(path);
  const names = Object.keys(routines);
  const unknown = names.find((one) => !known.includes(one));
  if (unknown !== undefined)
    throw new ModelError(`replace: ${path}: no routine of ${name} ${unknownName(unknown, known)}`);
  const stand = watched(routines, name, path);
  const assembled = { ...machine, system: replaceRoutines(machine.system, stand.routines) };
  return {
    name,
    machine: assembled,
    assembled,
    scenario: null,
    replaced: replacedLine(names, replacement),
    routines: names,
    uncalled: stand.uncalled,
  };
}

/** Refuses what a run with replaced routines cannot do. Throws UsageError. */
export function refuseSaving(command: string, args: Arguments, { replaced, scenario }: RunTarget): void {
  if (args.text('save-schedule') !== undefined && replaced !== null && scenario === null)
    throw new UsageError(
      `shootdown ${command}: --save-schedule does not go with --replace on a machine: replay would not find the routines`,
    );
}
