/**
 * Ways of invalidating what other CPUs' hardware holds, as far as software walkers can tell them apart: whether a CPU with
 * interrupts off, or one that does not run, holds the flush up. What hardware holds is not modelled here.
 */
import { cmpxchg, load, routine, work, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { formatPreempted, KVM_VCPU_FLUSH_TLB, KVM_VCPU_PREEMPTED, type Vcpu } from '@shootdown/hypervisor';
import type { Smp } from '../smp.ts';

/** How a machine flushes. */
export interface FlushBackEnd {
  readonly name: string;
  /** flush_tlb_mm_range(): on return no CPU's hardware uses what was removed before the call. */
  flush_tlb_mm_range(cpu: Cpu): Steps;
}

/** flush_tlb_func() on one CPU. Which pages it invalidates makes no difference to a software walker. */
function* flush_tlb_func(): Steps {
  yield* work('invlpg', { label: 'flush_tlb_func()' });
}

/**
 * x86 without a hypervisor's help: an IPI to every other CPU that runs the mm, and all of them are waited for.
 * @param mask mm_cpumask(mm)
 */
export function nativeIpi(smp: Smp, mask: number): FlushBackEnd {
  const native_flush_tlb_multi = nativeFlush(smp);
  return { name: 'native-ipi', flush_tlb_mm_range: (cpu) => native_flush_tlb_multi(cpu, mask) };
}

function nativeFlush(smp: Smp) {
  const fn = smp.register({ name: 'flush_tlb_func', run: () => flush_tlb_func() });
  return routine('native_flush_tlb_multi', (cpu: Cpu, mask: number) => smp.smp_call_function_many(cpu, mask, fn));
}

/**
 * A KVM guest: a vCPU that the host has preempted gets no IPI, KVM flushes before it runs again.
 * Mirrors arch/x86/kernel/kvm.c, kvm_flush_tlb_multi(), v6.18. It does not ask whether page tables are about to be freed.
 * @param vcpus those that the host may preempt
 */
export function kvmPv(smp: Smp, mask: number, vcpus: readonly { readonly cpu: Cpu; readonly vcpu: Vcpu }[]): FlushBackEnd {
  const native_flush_tlb_multi = nativeFlush(smp);
  const flush = routine('kvm_flush_tlb_multi', function* (cpu: Cpu): Steps {
    let flushmask = mask & ~(1 << cpu.id);
    for (const { cpu: target, vcpu } of vcpus) {
      if ((flushmask & (1 << target.id)) === 0) continue;
      const state = yield* load(vcpu.stealTime, { label: `READ_ONCE(preempted[${target.id}])`, fact: formatPreempted });
      if ((state & KVM_VCPU_PREEMPTED) === 0) continue;
      const label = `try_cmpxchg(preempted[${target.id}])`;
      const old = yield* cmpxchg(vcpu.stealTime, state, state | KVM_VCPU_FLUSH_TLB, { label, fact: (found) => (found === state ? 'IPI elided' : formatPreempted(found)) });
      if (old === state) flushmask &= ~(1 << target.id);
    }
    yield* native_flush_tlb_multi(cpu, flushmask);
  });
  return { name: 'kvm-pv', flush_tlb_mm_range: (cpu) => flush(cpu) };
}

/** arm64: the instruction reaches every CPU by itself, whatever it is doing (arch/arm64/include/asm/tlbflush.h). */
export function tlbi(): FlushBackEnd {
  const flush = routine('__flush_tlb_range', function* (_cpu: Cpu): Steps {
    yield* work('dvm', { label: 'dsb(ishst); tlbi vae1is; dsb(ish)' });
  });
  return { name: 'tlbi', flush_tlb_mm_range: (cpu) => flush(cpu) };
}
