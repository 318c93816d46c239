/** The host's scheduler in a run: vCPUs that share a physical CPU take turns. */
import { type Message, type SystemBuilder, checkValues, is, type OptionValues } from '@shootdown/machine';
import { hostMachine, type HostEmitted } from './host.machine.ts';
import { vm_exit, type Vcpu } from './vcpu.ts';

/** A physical CPU of the host. */
export interface HostOptions {
  readonly timesliceCycles: number;
  /**
   * The host's timer: a timeslice is a whole number of ticks, and each tick is an exit of who is running. Default: one
   * tick.
   */
  readonly sliceTicks?: number;
  /** When the first timeslice ends. Default: after a whole one. */
  readonly firstCycles?: number;
}

const HOST_VALUES: OptionValues<HostOptions> = {
  timesliceCycles: is.whole(1),
  sliceTicks: is.whole(1),
  firstCycles: is.whole(),
};

const PREEMPT: Message = { type: 'preempt' };
const RESUME: Message = { type: 'resume' };

/**
 * Adds a physical CPU whose vCPUs take turns, the first of them first: the others must be made with `waits`, and all
 * with entry `atomic`.
 */
export function addHost(builder: SystemBuilder, id: number, vcpus: readonly Vcpu[], options: HostOptions): void {
  checkValues(`hypervisor: host CPU${id}: addHost`, options, HOST_VALUES, ['timesliceCycles']);
  const { timesliceCycles, sliceTicks = 1, firstCycles = timesliceCycles } = options;
  const name = `host.CPU${id}`;
  const tickCycles = Math.round(timesliceCycles / sliceTicks);
  const ticksLeft = Math.max(1, Math.ceil(firstCycles / tickCycles));
  builder.component({
    name,
    machine: hostMachine,
    input: { vcpus: vcpus.length, sliceTicks, used: sliceTicks - ticksLeft },
    effects: {
      schedule: (cx, event) => {
        const { from, to } = event as unknown as Extract<HostEmitted, { type: 'schedule' }>;
        if (from >= 0) cx.send((vcpus[from] as Vcpu).port, PREEMPT);
        if (to >= 0) cx.send((vcpus[to] as Vcpu).port, RESUME);
      },
      sched_tick: (cx, event) => vm_exit(cx, vcpus[Number(event['vcpu'])] as Vcpu, 'external_interrupt'),
    },
  });
  const host = builder.port(name);
  vcpus.forEach(({ member }, index) => {
    if (member) member.placement = { host, index };
  });
  builder.spontaneous({
    name: `${name} tick`,
    kind: 'host',
    component: name,
    message: { type: 'tick' },
    periodCycles: tickCycles,
    firstCycles: firstCycles - (ticksLeft - 1) * tickCycles,
  });
}
