import { addCpu, local_irq_disable, startCpu, type Cpu } from '@shootdown/cpu';
import { addVcpu, KVM_VCPU_FLUSH_TLB, KVM_VCPU_PREEMPTED } from '@shootdown/hypervisor';
import { program, rest, routine, store, SystemBuilder, TabulatedExecutor, type Steps } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import type { KvmTlbOptions } from './kvm-tlb.ts';
import { CALL_FUNCTION_VECTOR, Smp } from '../smp.ts';
import { hypercall, invlpgb, kvmPv, nativeIpi, tlbi, type FlushBackEnd } from './interrupts-only.ts';

const EVERYBODY = 0b11;

/** CPU0 has interrupts off for ever, CPU1 flushes. */
function machine(backEnd: (smp: Smp, kvm: KvmTlbOptions) => FlushBackEnd) {
  const builder = new SystemBuilder();
  const cpus = [0, 1].map((id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR])) as [Cpu, Cpu];
  const smp = new Smp(builder, cpus);
  const vcpu = addVcpu(builder, cpus[0], { entry: 'atomic' });
  const flush = backEnd(smp, { stealTime: [vcpu.stealTime] });
  const walker = routine('walker', function* (): Steps {
    yield* local_irq_disable(cpus[0]);
    yield* rest();
  });
  startCpu(
    builder,
    cpus[0],
    [program(walker)],
    { [CALL_FUNCTION_VECTOR]: smp.handler(cpus[0]) },
    { gate: vcpu.gateName },
  );
  startCpu(builder, cpus[1], [program(routine('flusher', () => flush.flush_tlb_mm_range(cpus[1])))], {
    [CALL_FUNCTION_VECTOR]: smp.handler(cpus[1]),
  });
  const system = builder.build();
  const executor = new TabulatedExecutor(system);
  const choose = (name: string, branch = 0): boolean =>
    executor.step(
      system.choices.findIndex((choice) => choice.name === name),
      branch,
    );
  const preempted = (): number => executor.store.read(vcpu.stealTime);
  return {
    choose,
    preempted,
    /** Runs the flush as far as it goes: true if it has returned. */
    flushReturns: (): boolean => {
      while (choose('CPU1') || choose('deliver CPU0.CALL_FUNCTION_VECTOR')) continue;
      return executor.isDone(1);
    },
  };
}

describe('a CPU with interrupts off', () => {
  it('holds a flush by IPI up', () => {
    const { choose, flushReturns } = machine((smp) => nativeIpi(smp, EVERYBODY));
    expect([choose('CPU0'), flushReturns()]).toEqual([true, false]);
  });

  it.each([
    ['TLBI', tlbi],
    ['INVLPGB', invlpgb],
  ])('holds no %s up', (_name, backEnd) => {
    const { choose, flushReturns } = machine(backEnd);
    expect([choose('CPU0'), flushReturns()]).toEqual([true, true]);
  });

  it('holds no hypercall up, unless the hypervisor refuses it', () => {
    for (const refused of [0, 1]) {
      const { choose, flushReturns } = machine((smp) => hypercall(smp, EVERYBODY));
      expect([choose('CPU0'), choose('CPU1'), choose('CPU1', refused), flushReturns()]).toEqual([
        true,
        true,
        true,
        refused === 0,
      ]);
    }
  });

  it('holds a paravirtual flush up while its vCPU runs', () => {
    const { choose, flushReturns, preempted } = machine((smp, kvm) => kvmPv(smp, EVERYBODY, kvm));
    expect([choose('CPU0'), flushReturns(), preempted()]).toEqual([true, false, 0]);
  });

  it('holds none up once it is preempted: the host is asked to flush instead', () => {
    const { choose, flushReturns, preempted } = machine((smp, kvm) => kvmPv(smp, EVERYBODY, kvm));
    expect([choose('CPU0'), choose('host preempts vCPU0'), flushReturns()]).toEqual([true, true, true]);
    expect(preempted()).toBe(KVM_VCPU_PREEMPTED | KVM_VCPU_FLUSH_TLB);
    expect([choose('host resumes vCPU0'), preempted()]).toEqual([true, 0]);
  });
});

describe('an entry cleared by a plain store', () => {
  it.each([
    ['a flush by IPI', nativeIpi],
    ['a paravirtual flush', kvmPv],
    ['a hypercall', hypercall],
    ['INVLPGB', invlpgb],
    ['TLBI', tlbi],
  ])('is seen to be clear before %s begins', (_name, backEnd) => {
    const builder = new SystemBuilder({ memoryModel: 'tso' });
    const cpu = addCpu(builder, 0, [CALL_FUNCTION_VECTOR]);
    const flush = backEnd(new Smp(builder, [cpu]), 0, { stealTime: [] });
    const pte = builder.region('pte', 1, { initial: 1 }).at(0);
    const flusher = routine('flusher', function* (): Steps {
      yield* store(pte, 0);
      yield* flush.flush_tlb_mm_range(cpu);
    });
    startCpu(builder, cpu, [program(flusher)], {});
    const system = builder.build();
    const executor = new TabulatedExecutor(system);
    const choose = (name: string): boolean =>
      executor.step(
        system.choices.findIndex((choice) => choice.name === name),
        0,
      );
    expect([choose('CPU0'), choose('CPU0'), choose('drain CPU0'), choose('CPU0')]).toEqual([true, false, true, true]);
  });
});

describe('the test for KVM_VCPU_PREEMPTED', () => {
  it('and a host that resumes the vCPU before the cmpxchg: the IPI is sent', () => {
    const { choose, flushReturns, preempted } = machine((smp, kvm) => kvmPv(smp, EVERYBODY, kvm));
    for (const step of ['CPU0', 'host preempts vCPU0', 'CPU1', 'CPU1', 'host resumes vCPU0'])
      expect(choose(step)).toBe(true);
    expect([flushReturns(), preempted()]).toEqual([false, 0]);
  });
});
