/**
 * vCPUs that are threads of a process in a run: their CPU executes the guest through a second-stage table, and leaves
 * it for faults and for interrupts.
 *
 * Mirrors virt/kvm/kvm_main.c and arch/x86/kvm/vmx/vmx.c, v6.18: kvm_kick_many_cpus(), vmx_handle_exit_irqoff(),
 * handle_ept_violation(), as far as translations are concerned.
 */
import {
  noted,
  count,
  defineOperation,
  load,
  operation,
  routine,
  work,
  type Address,
  type Program,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { IN_GUEST_MODE } from '@shootdown/hypervisor';
import { Fault, type Mmu } from '@shootdown/mmu';
import type { PrimaryMmu, SecondaryTlb } from '@shootdown/mmu-notifier';
import { cpumaskWhere } from '../cpumask.ts';
import type { Smp } from '../smp.ts';
import type { Kvm } from './kvm.ts';
import { kvm_tdp_page_fault } from './page-fault.ts';
import { enter_guest_mode, kvm_check_request, leave_guest_mode, requestsTo, type RequestedVcpu } from './requests.ts';

/** Counters of vCPUs. */
export const VcpuCounter = {
  faultExits: 'exits: second-stage fault',
  interruptExits: 'exits: interrupt',
  flushes: 'second-stage flushes',
} as const;

/** A vCPU: its CPU, the second-stage translation of its guest, and what KVM keeps of it. */
export interface VcpuThread extends RequestedVcpu {
  readonly cpu: Cpu;
  readonly mmu: Mmu;
}

/** Adds a vCPU that runs on a CPU. `region` prefixes the names of its words. */
export function addVcpuThread(builder: SystemBuilder, cpu: Cpu, mmu: Mmu, region: string): VcpuThread {
  const words = builder.region(`${region}.kvm`, 2);
  const of: { readonly mode: Address; readonly requests: Address } = { mode: words.at(0), requests: words.at(1) };
  return { cpu, name: cpu.name, mmu, words: of };
}

/** kvm_flush_remote_tlbs() of a host whose vCPUs are threads: they are kicked by an IPI to the CPU they are on. */
export function vcpuRequests(smp: Smp, vcpus: readonly VcpuThread[]): SecondaryTlb {
  const ack_kick = smp.register({
    name: 'ack_kick',
    *run(cpu) {
      for (const vcpu of vcpus) if (vcpu.cpu === cpu) yield* serve_requests(vcpu);
    },
  });
  return requestsTo(vcpus, {
    *kvm_kick_many_cpus(mask) {
      const kicked = new Set(vcpus.filter((_, i) => (mask & (1 << i)) !== 0).map(({ cpu }) => cpu.id));
      const self = yield* smp_processor_id();
      const cpus = cpumaskWhere(smp.cpus, (id) => kicked.has(id));
      yield* smp.smp_call_function_many(smp.cpus[self] as Cpu, cpus, ack_kick);
    },
  });
}

const SMP_PROCESSOR_ID = defineOperation({
  name: 'smp_processor_id',
  cost: 'load',
  perform: (cx) => cx.processor,
  footprint: () => ({ reads: [], writes: [] }),
});

function* smp_processor_id(): Steps<number> {
  return yield operation(SMP_PROCESSOR_ID, 0, 0, 0, undefined, { label: 'smp_processor_id()' });
}

function* serve_requests(vcpu: VcpuThread): Steps {
  if (yield* kvm_check_request(vcpu)) yield* flush(vcpu);
}

function* flush({ mmu }: VcpuThread): Steps {
  yield* count(VcpuCounter.flushes);
  yield* mmu.invpcid_all();
}

/** An interrupt finds a vCPU's CPU in the guest: that is an exit, and an entry afterwards. */
export const vmx_handle_exit_irqoff = routine(
  'vmx_handle_exit_irqoff',
  function* (vcpu: VcpuThread, handler: Program): Steps {
    if ((yield* load(vcpu.words.mode, { label: 'vcpu->mode' })) === IN_GUEST_MODE) {
      yield* count(VcpuCounter.interruptExits);
      yield* work('vmexit', { label: '(exit and entry)' });
    }
    yield* handler.start() as Steps;
  },
);

/** The way into the guest. */
export const enter_guest = noted(function* enter_guest(vcpu: VcpuThread): Steps {
  if (yield* enter_guest_mode(vcpu)) yield* flush(vcpu);
});

/** The way out of it, to user space. */
export function leave_guest(vcpu: VcpuThread): Steps {
  return leave_guest_mode(vcpu);
}

/** An access of the guest to a page of its memory, which faults until it goes through. False: there is no such page. */
export const guest_access = routine(
  'guest_access',
  function* (vcpu: VcpuThread, kvm: Kvm, primary: PrimaryMmu, gfn: number, write: boolean): Steps<boolean> {
    while ((yield* vcpu.mmu.access(gfn, write)) !== Fault.none)
      if (!(yield* handle_ept_violation(vcpu, kvm, primary, gfn, write))) return false;
    return true;
  },
);

const handle_ept_violation = routine(
  'handle_ept_violation',
  function* (vcpu: VcpuThread, kvm: Kvm, primary: PrimaryMmu, gfn: number, write: boolean): Steps<boolean> {
    yield* leave_guest_mode(vcpu);
    yield* count(VcpuCounter.faultExits);
    yield* work('vmexit', { label: '(exit and entry)' });
    yield* work('kvm_page_fault', { label: '(what a fault costs besides)' });
    const mapped = yield* kvm_tdp_page_fault(kvm, primary, gfn, write);
    yield* enter_guest(vcpu);
    return mapped;
  },
);
