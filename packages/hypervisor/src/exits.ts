/** What exits are called, what they cost, and how they are counted. */
import type { OperationContext } from '@shootdown/machine';
import type { ExitReason } from './vcpu.machine.ts';

/** Every reason to leave guest mode. */
export type AnyExitReason = ExitReason | 'hlt' | 'emulation';

/**
 * Cost-table entry by reason. `emulation` is an instruction that KVM decodes and emulates in the kernel, as for a
 * device it models there; what a host does while a vCPU is halted costs the guest nothing.
 */
const COSTS: Readonly<Record<AnyExitReason, string>> = {
  external_interrupt: 'vmexit',
  ept_violation: 'ept_violation',
  msr_write: 'vmexit',
  pause: 'vmexit',
  hlt: 'vmexit',
  emulation: 'vmexit_device',
};

/** Exit reasons, in the order in which they are printed. */
export const EXIT_REASONS = Object.keys(COSTS) as readonly AnyExitReason[];

/** Counters of the hypervisor, per guest CPU. */
export const HypervisorCounter = {
  ipisSent: 'kvm_ipis_sent',
  /** The vCPU is scheduled out while runnable, blocks, is woken, is scheduled in. */
  schedOut: 'kvm_sched_out',
  blocked: 'kvm_blocked',
  woken: 'kvm_woken',
  schedIn: 'kvm_sched_in',
  /** Preemptions that the guest could see: KVM_VCPU_PREEMPTED was set. And those it could not. */
  preemptionReported: 'kvm_preemption_reported',
  preemptionOther: 'kvm_preemption_other',
  flushOnEntry: 'kvm_flush_on_entry',
  directedYieldAttempted: 'kvm_directed_yield_attempted',
  directedYieldSuccessful: 'kvm_directed_yield_successful',
} as const;

/** The counter of an exit reason. */
export function exitCounter(reason: string): string {
  return `kvm_exit:${reason}`;
}

/** Books an exit on the processor of the step. */
export function bookExit(cx: OperationContext, reason: string): void {
  cx.count(COUNTERS.get(reason) ?? exitCounter(reason));
  cx.spend(COSTS[reason as AnyExitReason]);
}

const COUNTERS = new Map<string, string>(EXIT_REASONS.map((reason) => [reason, exitCounter(reason)]));
