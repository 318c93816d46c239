/**
 * TLB flushing in a KVM guest: vCPUs that the host has preempted get a request instead of an IPI.
 * Mirrors arch/x86/kernel/kvm.c, kvm_flush_tlb_multi(), v6.18.
 */
import {
  cmpxchg,
  count,
  load,
  routine,
  store,
  type Address,
  type OptionValues,
  type Steps,
  checkValues,
  is,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { formatPreempted, KVM_VCPU_FLUSH_TLB, KVM_VCPU_PREEMPTED } from '@shootdown/hypervisor';
import { cpumask_test_cpu, cpumask_without, type CpuMask } from '../cpumask.ts';
import type { FlushTlbMulti } from './x86-state.ts';
import { native_flush_tlb_multi } from './x86-tlb.ts';

/** Counters of the paravirtual flush; the kernel has none of its own. */
export const KvmCounter = { elided: 'kvm_flush_elided' } as const;

/** What a guest knows of its host. */
export interface KvmTlbOptions {
  /** per_cpu(steal_time, cpu).preempted by CPU number; a CPU without one is never preempted. */
  readonly stealTime: readonly (Address | undefined)[];
  /** `plain store`: the request is written without comparing, so that the host may have read the byte meanwhile. */
  readonly mutant?: 'plain store';
}

const KVM_TLB_VALUES: OptionValues<KvmTlbOptions> = { stealTime: is.anything, mutant: is.oneOf(['plain store']) };

/** The back end of flush_tlb_multi() that kvm_guest_init() installs under KVM_FEATURE_PV_TLB_FLUSH. */
export function kvmTlbFlush(kvm: KvmTlbOptions): FlushTlbMulti {
  checkValues('mm: kvmTlbFlush', kvm, KVM_TLB_VALUES, ['stealTime']);
  return (x86, cpu, mm, mask, freed_tables, trim_cpumask) =>
    kvm_flush_tlb_multi(kvm, x86.smp.cpus, mask, (flushmask) =>
      native_flush_tlb_multi(x86, cpu, mm, flushmask, freed_tables, trim_cpumask),
    );
}

/**
 * Whether page tables are about to be freed is looked at nowhere here: a preempted vCPU gets no IPI even then.
 * @param native native_flush_tlb_multi() for those of the mask that need an IPI
 */
export const kvm_flush_tlb_multi = routine(
  'kvm_flush_tlb_multi',
  function* (kvm: KvmTlbOptions, cpus: readonly Cpu[], mask: CpuMask, native: (flushmask: CpuMask) => Steps): Steps {
    let flushmask = mask;
    for (const other of cpus) {
      const preempted = kvm.stealTime[other.id];
      if (!cpumask_test_cpu(other.id, mask) || preempted === undefined) continue;
      // The own vCPU is not preempted: it is not skipped, but it never leaves the mask either.
      const state = yield* load(preempted, {
        label: `READ_ONCE(steal_time(${other.id})->preempted)`,
        fact: formatPreempted,
      });
      if ((state & KVM_VCPU_PREEMPTED) === 0) continue;
      if (yield* requestFlush(kvm, other, preempted, state)) {
        flushmask = cpumask_without(flushmask, other.id);
        yield* count(KvmCounter.elided);
      }
    }
    yield* native(flushmask);
  },
);

/** Flush on enter: true if the request is there before the host looks. */
function* requestFlush(kvm: KvmTlbOptions, other: Cpu, preempted: Address, state: number): Steps<boolean> {
  const wanted = state | KVM_VCPU_FLUSH_TLB;
  if (kvm.mutant === 'plain store') {
    yield* store(preempted, wanted, { label: `steal_time(${other.id})->preempted = ${formatPreempted(wanted)}` });
    return true;
  }
  const fact = (old: number): string => (old === state ? 'no IPI' : `failed: ${formatPreempted(old)}`);
  const old = yield* cmpxchg(preempted, state, wanted, {
    label: `try_cmpxchg(preempted, ${formatPreempted(state)}, ${formatPreempted(wanted)})`,
    fact,
  });
  return old === state;
}
