/**
 * Ways of invalidating what other CPUs' hardware holds, as far as software walkers can tell them apart: whether a CPU
 * with interrupts off, or one that does not run, holds the flush up. What hardware holds are sets of frames here: see
 * {@link HeldTranslations}. The CPU that flushes invalidates nothing of its own.
 *
 * Each begins with a full barrier: an entry that was cleared by a plain store is seen to be clear before anybody is
 * asked, or spared. On x86 it is inc_mm_tlb_gen(), of which nothing else matters here: no CPU's tlb_gen is modelled.
 */
import { notedMethods, ModelError, routine, smp_mb, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { kvm_flush_tlb_multi, type KvmTlbOptions } from './kvm-tlb.ts';
import { HeldTranslations } from './held-translations.ts';
import type { TlbArch } from '../kernel.ts';
import type { CpuMask } from '../cpumask.ts';
import type { Smp } from '../smp.ts';

/** How a machine flushes. */
export interface FlushBackEnd {
  readonly name: string;
  /** What the hardware holds, if anybody looks. */
  readonly held?: HeldTranslations;
  /** flush_tlb_mm_range(): on return no CPU's hardware uses what was removed before the call. */
  flush_tlb_mm_range(cpu: Cpu): Steps;
}

/** The architecture of a machine without translation hardware, whose CPUs all run one mm for ever. */
export function interruptsOnly(flush: FlushBackEnd): TlbArch {
  return notedMethods({
    name: flush.name,
    flush_tlb_mm_range: (cpu) => flush.flush_tlb_mm_range(cpu),
    switch_mm: () => unsupported(flush.name, 'switch_mm'),
    enter_lazy_tlb: () => unsupported(flush.name, 'enter_lazy_tlb'),
    leave_mm: () => unsupported(flush.name, 'leave_mm'),
    *init_new_context() {},
    pte_needs_flush: () => true,
  });
}

function unsupported(name: string, what: string): never {
  throw new ModelError(`mm: ${name}: ${what}: no CPU of this machine has translation hardware: use x86Tlb or arm64Tlb`);
}

/** flush_tlb_mm_range() of arch/x86/mm/tlb.c, v6.18, with what it does after inc_mm_tlb_gen(). */
function x86(name: string, held: HeldTranslations, flush_tlb_multi: (cpu: Cpu) => Steps): FlushBackEnd {
  const flush_tlb_mm_range = routine('flush_tlb_mm_range', function* (cpu: Cpu): Steps {
    yield* smp_mb({ label: 'inc_mm_tlb_gen(mm)', unmodelled: 'tlb_gen' });
    yield* flush_tlb_multi(cpu);
  });
  return { name, held, flush_tlb_mm_range: (cpu) => flush_tlb_mm_range(cpu) };
}

/**
 * x86 without a hypervisor's help: an IPI to every other CPU that runs the mm, and all of them are waited for.
 * @param mask mm_cpumask(mm)
 */
export function nativeIpi(smp: Smp, mask: number): FlushBackEnd {
  const held = new HeldTranslations();
  const native_flush_tlb_multi = nativeFlush(smp, held);
  return x86('native-ipi', held, (cpu) => native_flush_tlb_multi(cpu, mask));
}

/** Which pages flush_tlb_func() invalidates makes no difference here: all of them. */
function nativeFlush(smp: Smp, held: HeldTranslations) {
  const fn = smp.register({
    name: 'flush_tlb_func',
    run: (cpu) => held.local(cpu.id, { label: 'flush_tlb_func()' }),
  });
  return routine('native_flush_tlb_multi', (cpu: Cpu, mask: CpuMask) => smp.smp_call_function_many(cpu, mask, fn));
}

/**
 * A KVM guest: a vCPU that the host has preempted gets no IPI, KVM flushes before it runs again. A vCPU says by the
 * option `flushed` of addVcpu() that it has.
 */
export function kvmPv(smp: Smp, mask: number, kvm: KvmTlbOptions): FlushBackEnd {
  const held = new HeldTranslations();
  const native_flush_tlb_multi = nativeFlush(smp, held);
  const others = (cpu: Cpu): number => mask & ~(1 << cpu.id);
  return x86('kvm-pv', held, (cpu) =>
    kvm_flush_tlb_multi(kvm, smp.cpus, others(cpu), (flushmask) => native_flush_tlb_multi(cpu, flushmask)),
  );
}

/**
 * A guest of Hyper-V: the hypervisor flushes, whatever the vCPUs are doing (arch/x86/hyperv/mmu.c, v6.18). It may
 * refuse, and the guest sends IPIs then; both are explored. Xen's guests do the same and know no refusal.
 */
export function hypercall(smp: Smp, mask: number): FlushBackEnd {
  const held = new HeldTranslations();
  const native_flush_tlb_multi = nativeFlush(smp, held);
  const hyperv_flush_tlb_multi = routine('hyperv_flush_tlb_multi', function* (cpu: Cpu): Steps {
    const status = yield* held.hypercall({
      label: 'HvFlushVirtualAddressList()',
      fact: (refused) => (refused === 0 ? 'flushed' : 'refused'),
    });
    if (status !== 0) yield* native_flush_tlb_multi(cpu, mask);
  });
  return x86('hypercall', held, (cpu) => hyperv_flush_tlb_multi(cpu));
}

/**
 * AMD with a global ASID: the instruction reaches every CPU by itself (arch/x86/mm/tlb.c, broadcast_tlb_flush(),
 * v6.18).
 */
export function invlpgb(): FlushBackEnd {
  const held = new HeldTranslations();
  const broadcast_tlb_flush = routine('broadcast_tlb_flush', function* (_cpu: Cpu): Steps {
    yield* held.everywhere({ label: 'invlpgb; tlbsync' });
  });
  return x86('invlpgb', held, (cpu) => broadcast_tlb_flush(cpu));
}

/** arm64: the instruction reaches every CPU by itself, whatever it is doing (arch/arm64/include/asm/tlbflush.h). */
export function tlbi(): FlushBackEnd {
  const held = new HeldTranslations();
  const __flush_tlb_range = routine('__flush_tlb_range', function* (_cpu: Cpu): Steps {
    yield* held.everywhere({ label: 'dsb(ishst); tlbi vae1is; dsb(ish)' });
  });
  return { name: 'tlbi', held, flush_tlb_mm_range: (cpu) => __flush_tlb_range(cpu) };
}
