/** The host's scheduler in a run: vCPUs that share a physical CPU take turns. */
import type { Message, SystemBuilder } from '@shootdown/machine';
import { hostMachine, type HostEmitted } from './host.machine.ts';
import type { Vcpu } from './vcpu.ts';

/** A physical CPU of the host. */
export interface HostOptions {
  readonly timesliceCycles: number;
  /** When the first timeslice ends. Default: after a whole one. */
  readonly firstCycles?: number;
}

const PREEMPT: Message = { type: 'preempt' };
const RESUME: Message = { type: 'resume' };

/**
 * Adds a physical CPU whose vCPUs take turns, the first of them first: the others must be made with `waits`, and all with
 * entry `atomic`.
 */
export function addHost(builder: SystemBuilder, id: number, vcpus: readonly Vcpu[], { timesliceCycles, firstCycles }: HostOptions): void {
  const name = `host.CPU${id}`;
  builder.component({
    name,
    machine: hostMachine,
    input: { vcpus: vcpus.length },
    effects: {
      schedule: (cx, event) => {
        const { from, to } = event as unknown as HostEmitted;
        cx.tell((vcpus[from] as Vcpu).component, PREEMPT);
        cx.tell((vcpus[to] as Vcpu).component, RESUME);
      },
    },
  });
  builder.spontaneous({ name: `${name} tick`, kind: 'host', component: name, message: { type: 'tick' }, periodCycles: timesliceCycles, ...(firstCycles !== undefined && { firstCycles }) });
}
