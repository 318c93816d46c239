import { DirectExecutor, nop, program, routine, runVirtualTime, SystemBuilder, withCosts, x86Costs, type TimedStep } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { addHost } from './host.ts';
import { addVcpu, KVM_VCPU_PREEMPTED } from './vcpu.ts';

const TIMESLICE = 100;

/** So many vCPUs on one physical CPU, each with more to do than a timeslice holds; who executed, timeslice by timeslice. */
function timeslices(count: number, firstCycles?: number): { ran: string[]; stealTime: number[] } {
  const builder = new SystemBuilder();
  const vcpus = Array.from({ length: count }, (_, id) => addVcpu(builder, { id }, { waits: id > 0 }));
  const works = program(routine('works', function* () {
    for (let i = 0; i < 20; i++) yield* nop();
  }));
  vcpus.forEach((vcpu, id) => builder.processor({ name: `CPU${id}`, tasks: [works], gate: vcpu.gateName }));
  addHost(builder, 0, vcpus, { timesliceCycles: TIMESLICE, ...(firstCycles !== undefined && { firstCycles }) });
  const executor = new DirectExecutor(builder.build());
  const stealTime = vcpus.map((vcpu) => executor.store.read(vcpu.stealTime));
  const ran: string[] = [];
  const onStep = ({ choice, startCycles }: TimedStep): boolean => {
    if (choice.kind === 'advance' && ran.at(-1) !== choice.name) ran.push(choice.name);
    return startCycles < 4 * TIMESLICE;
  };
  runVirtualTime(executor, { costs: withCosts(x86Costs, { nop: 10, vmexit: 0 }), onStep });
  return { ran, stealTime };
}

describe('the scheduler of a host', () => {
  it('gives the vCPUs of a physical CPU a timeslice each, in turn', () => {
    expect(timeslices(2).ran).toEqual(['CPU0', 'CPU1', 'CPU0', 'CPU1']);
    expect(timeslices(3).ran).toEqual(['CPU0', 'CPU1', 'CPU2', 'CPU0']);
  });

  it('says of a vCPU that waits from the start that it is preempted', () => {
    expect(timeslices(2).stealTime).toEqual([0, KVM_VCPU_PREEMPTED]);
  });

  it('preempts nobody who has the CPU alone', () => {
    expect(timeslices(1).ran).toEqual(['CPU0']);
  });

  it('may end its first timeslice earlier', () => {
    expect(timeslices(2, 50).ran).toEqual(['CPU0', 'CPU1', 'CPU0', 'CPU1', 'CPU0']);
  });
});
