import {
  DirectExecutor,
  LiveExecutor,
  nop,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  SystemBuilder,
  TabulatedExecutor,
  waitFor,
  type Executor,
  type System,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { exitCounter, HypervisorCounter } from './exits.ts';
import { addHost } from './host.ts';
import { addVcpu, ept_violation, KVM_VCPU_PREEMPTED, vm_exit, type Vcpu, type VcpuOptions } from './vcpu.ts';
import { IN_GUEST_MODE, KVM_REQ_TLB_FLUSH, KVM_VMX_DEFAULT_PLE_WINDOW, OUTSIDE_GUEST_MODE, Vm } from './vm.ts';

interface Machine {
  readonly system: System;
  readonly vm: Vm;
  readonly vcpus: readonly Vcpu[];
  /** What the second stage was asked to map. */
  readonly mapped: number[];
  readonly invepts: { count: number };
}

interface Wanted {
  readonly vcpus: number;
  readonly physical?: number;
  readonly options?: Omit<VcpuOptions, 'of'>;
  readonly pauseLoopExiting?: boolean;
  readonly pending?: readonly number[];
}

/** vCPUs of one virtual machine that wait for each other for ever, pinned round robin. */
function machine({ vcpus: count, physical = count, options, pauseLoopExiting = false, pending = [] }: Wanted): Machine {
  const builder = new SystemBuilder();
  const mapped: number[] = [];
  const invepts = { count: 0 };
  const vm = new Vm(builder, {
    page_fault: (_cx, gfn) => void mapped.push(gfn),
    pauseLoopExiting,
  });
  const never = builder.region('never', 1).at(0);
  const vcpus = Array.from({ length: count }, (_, id) =>
    addVcpu(
      builder,
      { id },
      {
        waits: id >= physical,
        ...options,
        of: { vm, interruptPending: () => pending.includes(id), invept: () => void invepts.count++ },
      },
    ),
  );
  const spins = routine('spins', function* () {
    yield* nop();
    yield* waitFor(never, -1, 1);
  });
  vcpus.forEach((vcpu, id) => {
    const processor = builder.processor({ name: `CPU${id}`, tasks: [program(spins)], gate: vcpu.gateName });
    if (vcpu.member) vcpu.member.processor = processor;
  });
  for (let id = 0; id < physical; id++)
    addHost(
      builder,
      id,
      vcpus.filter((_, vcpu) => vcpu % physical === id),
      { timesliceCycles: 1000 },
    );
  return { system: builder.build(), vm, vcpus, mapped, invepts };
}

function counting(executor: Executor): Map<string, number> {
  const counts = new Map<string, number>();
  executor.observe = true;
  executor.onCount = (processor, counter, amount) =>
    void counts.set(`${counter}@${processor}`, (counts.get(`${counter}@${processor}`) ?? 0) + amount);
  return counts;
}

const wordsOf = ({ vcpus }: Machine, id: number) => (vcpus[id] as Vcpu).member!.words;
const stateOf = (executor: Executor, { vcpus }: Machine, id: number): unknown =>
  (JSON.parse(executor.describeComponent((vcpus[id] as Vcpu).component)) as { value: unknown }).value;

describe('an exit that KVM handles', () => {
  it('is counted on its vCPU, costs what its reason costs, and ends in guest mode', () => {
    const made = machine({ vcpus: 2 });
    const executor = new DirectExecutor(made.system);
    const counts = counting(executor);
    const spent: string[] = [];
    executor.onSpend = (cost) => void spent.push(cost);
    vm_exit(executor, made.vcpus[1]!, 'msr_write');
    ept_violation(executor, made.vcpus[1]!, 5);
    expect(counts.get(`${exitCounter('msr_write')}@1`)).toBe(1);
    expect(spent).toEqual(['vmexit', 'ept_violation']);
    expect(made.mapped).toEqual([5]);
    expect(stateOf(executor, made, 1)).toBe('in_guest');
    expect(executor.store.read(wordsOf(made, 1).mode)).toBe(IN_GUEST_MODE);
  });

  it('services a request for a flush on the way back in, once', () => {
    const made = machine({ vcpus: 1 });
    const executor = new DirectExecutor(made.system);
    executor.write(wordsOf(made, 0).requests, KVM_REQ_TLB_FLUSH);
    vm_exit(executor, made.vcpus[0]!, 'external_interrupt');
    vm_exit(executor, made.vcpus[0]!, 'external_interrupt');
    expect([made.invepts.count, executor.read(wordsOf(made, 0).requests)]).toEqual([1, 0]);
  });

  it('does not happen outside guest mode', () => {
    const made = machine({ vcpus: 2, physical: 1 });
    const executor = new DirectExecutor(made.system);
    const counts = counting(executor);
    vm_exit(executor, made.vcpus[1]!, 'msr_write');
    expect(counts.size).toBe(0);
  });

  it('for an EPT violation needs a second stage', () => {
    const builder = new SystemBuilder();
    const vm = new Vm(builder);
    const vcpu = addVcpu(builder, { id: 0 }, { of: { vm, interruptPending: () => false } });
    builder.processor({ name: 'CPU0', tasks: [program(routine('idle', () => nop()))], gate: vcpu.gateName });
    expect(() => ept_violation(new DirectExecutor(builder.build()), vcpu, 1)).toThrow(
      'hypervisor: vCPU0: EPT violation without a second stage',
    );
  });

  it('in steps: the vCPU is outside guest mode until the exit is handled, and may be preempted meanwhile without the guest seeing it', () => {
    const made = machine({ vcpus: 1, options: { entry: 'xchg' } });
    const executor = new TabulatedExecutor(made.system);
    const choose = (name: string): boolean =>
      executor.step(made.system.choices.findIndex((choice) => choice.name === name));
    ept_violation(executor, made.vcpus[0]!, 3);
    expect([stateOf(executor, made, 0), executor.read(wordsOf(made, 0).mode), made.mapped.length]).toEqual([
      'exiting',
      OUTSIDE_GUEST_MODE,
      0,
    ]);
    expect(choose('CPU0')).toBe(false);
    expect(choose('host preempts vCPU0')).toBe(true);
    expect(executor.read(made.vcpus[0]!.stealTime)).toBe(0);
    expect(choose('host resumes vCPU0') && choose('vCPU0: exit handled')).toBe(true);
    expect([stateOf(executor, made, 0), made.mapped]).toEqual(['entering', [3]]);
    expect(choose('vCPU0: record_steal_time(), VM entry') && choose('CPU0')).toBe(true);
  });
});

describe('HLT', () => {
  it.each([
    ['is not seen by the guest as a preemption', true, 0],
    ['was, before v5.19', false, KVM_VCPU_PREEMPTED],
  ])('leaves the CPU to another vCPU until an interrupt wakes it, and %s', (_, onlyAtInstructionBoundary, seen) => {
    const made = machine({ vcpus: 2, physical: 1, options: { onlyAtInstructionBoundary } });
    const executor = new DirectExecutor(made.system);
    const counts = counting(executor);
    executor.tell(made.vcpus[0]!.component, { type: 'hlt' });
    expect([0, 1].map((id) => stateOf(executor, made, id))).toEqual(['halted', 'in_guest']);
    expect(executor.read(made.vcpus[0]!.stealTime)).toBe(seen);
    expect(counts.get(`${exitCounter('hlt')}@0`)).toBe(1);
    executor.tell(made.vcpus[0]!.component, { type: 'wake' });
    expect([stateOf(executor, made, 0), executor.read(wordsOf(made, 0).ready)]).toEqual(['woken', 1]);
    executor.tell(made.vcpus[1]!.component, { type: 'hlt' });
    expect([0, 1].map((id) => stateOf(executor, made, id))).toEqual(['in_guest', 'halted']);
  });
});

/** A spinning vCPU 0 on CPU 0 with vCPUs 1 and 3 on CPU 1, 2 on CPU 0: who gets a CPU. */
describe('a pause-loop exit', () => {
  const pause = (executor: Executor, made: Machine, id: number): void =>
    void executor.tell(made.vcpus[id]!.component, { type: 'exit', reason: 'pause' });
  const running = (executor: Executor, made: Machine): number[] =>
    [0, 1, 2, 3].filter((id) => stateOf(executor, made, id) === 'in_guest');

  it('with nobody to yield to doubles the window and goes on', () => {
    const made = machine({ vcpus: 2, pauseLoopExiting: true });
    const executor = new DirectExecutor(made.system);
    pause(executor, made, 0);
    pause(executor, made, 0);
    expect(stateOf(executor, made, 0)).toBe('in_guest');
    expect(executor.read(wordsOf(made, 0).ple_window)).toBe(4 * KVM_VMX_DEFAULT_PLE_WINDOW);
  });

  it('without a host that schedules goes on, too', () => {
    const builder = new SystemBuilder();
    const vm = new Vm(builder, { pauseLoopExiting: true });
    const vcpus = [0, 1].map((id) => addVcpu(builder, { id }, { of: { vm, interruptPending: () => true } }));
    vcpus.forEach(({ gateName }, id) =>
      builder.processor({ name: `CPU${id}`, tasks: [program(routine('idle', () => nop()))], gate: gateName }),
    );
    const executor = new DirectExecutor(builder.build());
    executor.tell(vcpus[1]!.component, { type: 'preempt' });
    expect(executor.tell(vcpus[0]!.component, { type: 'exit', reason: 'pause' })).toBe(true);
    expect(JSON.parse(executor.describeComponent(vcpus[0]!.component))).toMatchObject({ value: 'in_guest' });
  });

  it('gives its target the CPU of that, and its own to whoever is next there; the guest does not see who has yielded', () => {
    const made = machine({ vcpus: 4, physical: 2, pauseLoopExiting: true });
    const executor = new DirectExecutor(made.system);
    const counts = counting(executor);
    executor.write(made.vm.last_boosted_vcpu.at(0), 2);
    pause(executor, made, 0);
    expect(running(executor, made)).toEqual([2, 3]);
    expect(counts.get(`${HypervisorCounter.directedYieldSuccessful}@0`)).toBe(1);
    expect([0, 1].map((id) => executor.read(made.vcpus[id]!.stealTime))).toEqual([0, KVM_VCPU_PREEMPTED]);
    expect(executor.read(made.vm.last_boosted_vcpu.at(0))).toBe(3);
  });

  it('the window is reset when the vCPU is scheduled in again, and it is no longer in a spin loop', () => {
    const made = machine({ vcpus: 2, physical: 1, pauseLoopExiting: true });
    const executor = new DirectExecutor(made.system);
    pause(executor, made, 0);
    expect([stateOf(executor, made, 0), executor.read(wordsOf(made, 0).in_spin_loop)]).toEqual(['preempted', 1]);
    executor.tell(made.vcpus[1]!.component, { type: 'hlt' });
    expect(
      ['ple_window', 'in_spin_loop', 'dy_eligible'].map((word) =>
        executor.read(wordsOf(made, 0)[word as 'ple_window']),
      ),
    ).toEqual([KVM_VMX_DEFAULT_PLE_WINDOW, 0, 0]);
  });

  it('passes over a vCPU that was preempted in user mode, unless an interrupt is pending for it', () => {
    for (const pending of [[], [1]]) {
      const made = machine({ vcpus: 2, physical: 1, pauseLoopExiting: true, pending });
      const executor = new DirectExecutor(made.system);
      executor.write(wordsOf(made, 1).preempted_in_kernel, 0);
      pause(executor, made, 0);
      expect(stateOf(executor, made, 1)).toBe(pending.length > 0 ? 'in_guest' : 'preempted');
    }
  });

  it('takes a vCPU that spins itself every second time only', () => {
    const made = machine({ vcpus: 2, physical: 1, pauseLoopExiting: true });
    const executor = new DirectExecutor(made.system);
    executor.write(wordsOf(made, 1).in_spin_loop, 1);
    pause(executor, made, 0);
    expect(stateOf(executor, made, 1)).toBe('preempted');
    pause(executor, made, 0);
    expect(stateOf(executor, made, 1)).toBe('in_guest');
  });
});

describe('live, tabulated and direct execution', () => {
  it('agree on a machine with exits, a scheduler and pause-loop exits', () => {
    const { system } = machine({ vcpus: 4, physical: 2, pauseLoopExiting: true });
    const [direct, tabulated, live] = [
      new DirectExecutor(system),
      new TabulatedExecutor(system),
      new LiveExecutor(system),
    ];
    for (let seed = 0; seed < 10; seed++) {
      const { schedule } = runScheduler(direct, new RandomScheduler(seed), 60);
      for (const executor of [tabulated, live]) {
        executor.reset();
        for (const choice of schedule) expect(executor.step(choice)).toBe(true);
        expect(executor.fingerprint).toBe(direct.fingerprint);
      }
    }
    live.stop();
  });
});
