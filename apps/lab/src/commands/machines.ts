/** `shootdown machines [name]`: the actors, and the statechart of one. */
import { cpuMachine, runQueueMachine } from '@shootdown/cpu';
import { nearestName } from '@shootdown/explorer';
import { hostMachine, vcpuMachine } from '@shootdown/hypervisor';
import { ModelError, statechart, type AnyStateMachine } from '@shootdown/machine';
import { mmuMachine } from '@shootdown/mmu';
import { deviceMachine, faultMachine, invalidationMachine, subscriptionMachine } from '@shootdown/mmu-notifier';
import { ptdumpMachine } from '@shootdown/ptdump';
import { gracePeriodMachine } from '@shootdown/sync';
import { parseArguments } from '../arguments.ts';
import { ExitCode } from '../exit-codes.ts';
import { printedHelp } from '../help.ts';

export const flags = {
  json: { type: 'boolean', help: 'print one JSON document' },
  help: { type: 'boolean', help: 'this text' },
} as const;

/** An actor: its machine, the package whose README draws it, and what it decides. */
interface Actor {
  readonly machine: AnyStateMachine;
  readonly home: string;
  readonly decides: string;
}

/** By the id of the machine. */
export const actors: Readonly<Record<string, Actor>> = {
  cpu: { machine: cpuMachine, home: 'cpu', decides: 'whether a CPU executes, and takes interrupts' },
  runqueue: { machine: runQueueMachine, home: 'cpu', decides: 'which of its tasks a CPU runs' },
  mmu: { machine: mmuMachine, home: 'mmu', decides: 'which tree a CPU walks, and what an invalidation covers' },
  vcpu: { machine: vcpuMachine, home: 'hypervisor', decides: 'whether a vCPU is in guest mode' },
  host: { machine: hostMachine, home: 'hypervisor', decides: 'which vCPU a physical CPU runs' },
  device: { machine: deviceMachine, home: 'mmu-notifier', decides: 'what a device behind a secondary MMU does' },
  fault: {
    machine: faultMachine,
    home: 'mmu-notifier',
    decides: 'whether a retry check covers what a fault of a secondary MMU installs',
  },
  invalidation: {
    machine: invalidationMachine,
    home: 'mmu-notifier',
    decides: 'which invalidations of a secondary table are under way',
  },
  subscription: { machine: subscriptionMachine, home: 'mmu-notifier', decides: 'whether a subscriber is told' },
  ptdump: { machine: ptdumpMachine, home: 'ptdump', decides: 'what a dump of page tables reads next' },
  'grace-period': { machine: gracePeriodMachine, home: 'sync', decides: 'when an RCU grace period ends' },
};

export function run(argv: readonly string[]): number {
  if (printedHelp(argv, 'machines [name]: the actors; of one, its statechart for Mermaid', flags)) return ExitCode.ok;
  const args = parseArguments('machines', argv, flags, 1);
  const name = args.positionals[0];
  if (name === undefined) {
    const list = Object.entries(actors).map(([actor, { home, decides }]) => ({
      machine: actor,
      package: home,
      decides,
    }));
    const wide = Math.max(...list.map(({ machine }) => machine.length));
    const lines = list.map(({ machine, decides }) => `${machine.padEnd(wide)}  ${decides}`);
    process.stdout.write(`${args.has('json') ? JSON.stringify(list) : lines.join('\n')}\n`);
    return ExitCode.ok;
  }
  const actor = Object.hasOwn(actors, name) ? actors[name] : undefined;
  if (!actor) {
    const near = nearestName(name, Object.keys(actors));
    const hint = near === undefined ? '' : `: did you mean ${near}?`;
    throw new ModelError(`machines: no machine ${name}${hint} (have: ${Object.keys(actors).join(', ')})`);
  }
  const drawn = statechart(actor.machine);
  process.stdout.write(args.has('json') ? `${JSON.stringify({ machine: name, mermaid: drawn })}\n` : drawn);
  return ExitCode.ok;
}
