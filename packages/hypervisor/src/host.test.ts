import {
  createActor,
  DirectExecutor,
  nop,
  program,
  routine,
  runVirtualTime,
  SystemBuilder,
  withCosts,
  x86Costs,
  type TimedStep,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { hostMachine, type HostContext, type HostEvent, type HostInput } from './host.machine.ts';
import { addHost } from './host.ts';
import { addVcpu, KVM_VCPU_PREEMPTED } from './vcpu.ts';

const TIMESLICE = 100;

/**
 * So many vCPUs on one physical CPU, each with more to do than a timeslice holds; who executed, timeslice by timeslice.
 */
function timeslices(count: number, firstCycles?: number): { ran: string[]; stealTime: number[] } {
  const builder = new SystemBuilder();
  const vcpus = Array.from({ length: count }, (_, id) => addVcpu(builder, { id }, { waits: id > 0 }));
  const works = program(
    routine('works', function* () {
      for (let i = 0; i < 20; i++) yield* nop();
    }),
  );
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

/** The scheduler alone: messages in, who has the CPU after each. */
function scheduled(input: HostInput, ...events: readonly HostEvent[]): { current: number[]; emitted: unknown[] } {
  const actor = createActor(hostMachine, { input });
  const emitted: unknown[] = [];
  actor.on('*', (event: unknown) => void emitted.push(event));
  actor.start();
  const current = events.map((event) => {
    actor.send(event);
    return (actor.getSnapshot() as { context: HostContext }).context.current;
  });
  actor.stop();
  return { current, emitted };
}

const TICK: HostEvent = { type: 'tick' };

describe('who is next', () => {
  const three = { vcpus: 3, sliceTicks: 2, used: 0 };

  it('a tick inside a timeslice interrupts who runs, one at its end changes hands', () => {
    expect(scheduled(three, TICK, TICK, TICK, TICK).emitted).toEqual([
      { type: 'sched_tick', vcpu: 0 },
      { type: 'schedule', from: 0, to: 1 },
      { type: 'sched_tick', vcpu: 1 },
      { type: 'schedule', from: 1, to: 2 },
    ]);
  });

  it('a vCPU that halts leaves the CPU to the next, the last of all leaves it idle, and the first to wake has it', () => {
    const blocks = [0, 1, 2].map((vcpu): HostEvent => ({ type: 'block', vcpu }));
    expect(scheduled(three, ...blocks, TICK, { type: 'wake', vcpu: 1 }, { type: 'wake', vcpu: 0 }).current).toEqual([
      1, 2, -1, -1, 1, 1,
    ]);
  });

  it('a halted vCPU gets no timeslice, and who has slept gets no credit for it', () => {
    const { current } = scheduled(
      three,
      { type: 'block', vcpu: 1 },
      ...Array.from({ length: 8 }, () => TICK),
      { type: 'wake', vcpu: 1 },
      ...Array.from({ length: 6 }, () => TICK),
    );
    expect(current.slice(0, 9)).not.toContain(1);
    expect(current.slice(10).filter((vcpu) => vcpu === 1)).toHaveLength(2);
  });

  it('yield_to() makes its target next at once, unless it has had more than its share', () => {
    expect(scheduled(three, { type: 'yield_to', vcpu: 2 }).current).toEqual([2]);
    // vCPU 0 has had a timeslice, vCPU 1 has the CPU: the least served is vCPU 2, or 1 itself.
    expect(scheduled(three, TICK, TICK, { type: 'yield_to', vcpu: 0 }).current).toEqual([0, 1, 2]);
  });

  it('who yields gives its CPU to the least served other, and keeps it if there is none', () => {
    expect(scheduled(three, { type: 'yield' }, { type: 'yield' }).current).toEqual([1, 2]);
    expect(scheduled({ vcpus: 1, sliceTicks: 2, used: 0 }, { type: 'yield' }).current).toEqual([0]);
  });

  it('the end of a timeslice gives the CPU to the least served, which may be the one that has it', () => {
    const two = { vcpus: 2, sliceTicks: 1, used: 0 };
    const { current, emitted } = scheduled(two, TICK, { type: 'yield' }, TICK, TICK, TICK);
    // vCPU 1 gave its first timeslice to vCPU 0, which had its second then: so vCPU 1 has two in a row.
    expect(current).toEqual([1, 0, 1, 1, 0]);
    expect(emitted).toContainEqual({ type: 'sched_tick', vcpu: 1 });
  });

  it('has few states, however long somebody sleeps', () => {
    const actor = createActor(hostMachine, { input: three });
    actor.start();
    actor.send({ type: 'block', vcpu: 2 });
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) {
      actor.send(TICK);
      seen.add(JSON.stringify((actor.getSnapshot() as { context: HostContext }).context));
    }
    actor.stop();
    expect(seen.size).toBeLessThan(10);
  });

  it('over time everybody gets the same, however often somebody yields', () => {
    const had = [0, 0, 0];
    const actor = createActor(hostMachine, { input: three });
    actor.start();
    for (let i = 0; i < 300; i++) {
      const { current } = (actor.getSnapshot() as { context: HostContext }).context;
      had[current] = (had[current] ?? 0) + 1;
      actor.send(TICK);
      if (i % 7 === 0) actor.send({ type: 'yield_to', vcpu: (i / 7) % 3 });
    }
    actor.stop();
    expect(Math.max(...had) - Math.min(...had)).toBeLessThanOrEqual(4);
  });
});
