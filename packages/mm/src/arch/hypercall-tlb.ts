/**
 * TLB flushing by hypercall: the hypervisor flushes the vCPUs of a mask, and no interrupt reaches the guest.
 *
 * Mirrors arch/x86/hyperv/mmu.c, hyperv_flush_tlb_multi(), and arch/x86/xen/mmu_pv.c, xen_flush_tlb_multi(), v6.18. No
 * CPU's tlb_gen advances by it, not even the own one's: whoever is flushed by IPI next finds generations missing and
 * flushes everything.
 */
import {
  checkValues,
  choose,
  count,
  is,
  load,
  ModelError,
  routine,
  wordsOf,
  type OptionValues,
  type Steps,
} from '@shootdown/machine';
import { local_irq_restore, local_irq_save, type Cpu } from '@shootdown/cpu';
import type { RemoteRequest } from '@shootdown/mmu';
import {
  BITS_PER_WORD,
  cpumask_empty,
  cpumask_equal,
  cpumask_test_cpu,
  cpumask_without,
  cpumaskWhere,
  type CpuMask,
} from '../cpumask.ts';
import type { Mm } from '../kernel.ts';
import { flushRange, mmuOf, type FlushTlbMulti, type X86TlbState } from './x86-state.ts';
import { native_flush_tlb_multi } from './x86-tlb.ts';

/** Counters of the flush by hypercall; the kernel has none of its own. */
export const HypercallCounter = { hypercalls: 'flush_hypercalls', failed: 'flush_hypercalls_failed' } as const;

/** Guards that can be left out one at a time. */
export type HypercallMutant =
  /** Lazy CPUs are skipped even when page tables are about to be freed. */
  | 'lazy CPUs keep freed tables'
  /** Whether the hypercall has succeeded is not looked at. */
  | 'failure is ignored';

/** The hypervisor, and how it answers. */
export interface HypercallTlbOptions {
  /** `hyper-v`: HvFlushVirtualAddressList/Space. `xen-pv`: MMUEXT_INVLPG_MULTI and MMUEXT_TLB_FLUSH_MULTI. */
  readonly hypervisor: 'hyper-v' | 'xen-pv';
  /** Hyper-V may refuse a hypercall: both outcomes are explored; a run sees none refused. Default false. */
  readonly mayFail?: boolean;
  readonly mutant?: HypercallMutant;
}

const HYPERCALL_TLB_VALUES: OptionValues<HypercallTlbOptions> = {
  hypervisor: is.oneOf(wordsOf<HypercallTlbOptions['hypervisor']>()('hyper-v', 'xen-pv')),
  mayFail: is.flag,
  mutant: is.oneOf(wordsOf<HypercallMutant>()('lazy CPUs keep freed tables', 'failure is ignored')),
};

/**
 * The back end of flush_tlb_multi() that a guest of Hyper-V or of Xen installs. The MMUs must be connected
 * (connectMmus()).
 */
export function hypercallTlbFlush(options: HypercallTlbOptions): FlushTlbMulti {
  checkValues('mm: hypercallTlbFlush', options, HYPERCALL_TLB_VALUES, ['hypervisor']);
  return (x86, cpu, mm, mask, freed_tables, trim_cpumask) =>
    options.hypervisor === 'xen-pv'
      ? xen_flush_tlb_multi(x86, cpu, mask)
      : hyperv_flush_tlb_multi(x86, options, cpu, mm, mask, freed_tables, trim_cpumask);
}

const hyperv_flush_tlb_multi = routine(
  'hyperv_flush_tlb_multi',
  function* (
    x86: X86TlbState,
    options: HypercallTlbOptions,
    cpu: Cpu,
    mm: Mm | null,
    mask: CpuMask,
    freed_tables: boolean,
    trim_cpumask: boolean,
  ): Steps {
    const flags = yield* local_irq_save(cpu);
    const processor_mask = yield* targets(x86, mask, !freed_tables || options.mutant === 'lazy CPUs keep freed tables');
    if (cpumask_empty(processor_mask)) {
      yield* local_irq_restore(cpu, flags);
      return;
    }
    const range = yield* flushRange(x86, cpu.id);
    const failed =
      options.mayFail === true &&
      (yield* choose(2, { label: 'hv_do_hypercall()', fact: (status) => (status === 0 ? 'accepted' : 'refused') })) !==
        0;
    if (!failed)
      yield* mmuOf(x86, cpu).hypercall_flush(
        hypercallMask(x86, processor_mask),
        requestOf(range),
        range.pages === 0 ? 'HvFlushVirtualAddressSpace' : 'HvFlushVirtualAddressList',
      );
    yield* count(failed ? HypercallCounter.failed : HypercallCounter.hypercalls);
    yield* local_irq_restore(cpu, flags);
    if (failed && options.mutant !== 'failure is ignored')
      yield* native_flush_tlb_multi(x86, cpu, mm, mask, freed_tables, trim_cpumask);
  },
);

/**
 * HV_FLUSH_ALL_PROCESSORS if all CPUs are meant, lazy or not; otherwise those that may not wait until they stop being
 * lazy.
 */
function* targets(x86: X86TlbState, mask: CpuMask, do_lazy: boolean): Steps<CpuMask> {
  const cpu_present_mask = cpumaskWhere(x86.smp.cpus, () => true);
  if (cpumask_equal(mask, cpu_present_mask) || !do_lazy) return mask;
  let processor_mask = mask;
  for (const { id } of x86.smp.cpus) {
    if (!cpumask_test_cpu(id, mask)) continue;
    if ((yield* load(x86.is_lazy.at(id), { label: `cpu_is_lazy(${id})` })) !== 0)
      processor_mask = cpumask_without(processor_mask, id);
  }
  return processor_mask;
}

/** Xen looks at no CPU's state; it knows of one page or of everything. */
const xen_flush_tlb_multi = routine(
  'xen_flush_tlb_multi',
  function* (x86: X86TlbState, cpu: Cpu, mask: CpuMask): Steps {
    if (cpumask_empty(mask)) return;
    const range = yield* flushRange(x86, cpu.id);
    const one = range.pages === 1;
    yield* mmuOf(x86, cpu).hypercall_flush(
      hypercallMask(x86, mask),
      one ? requestOf(range) : { asid: -1 },
      one ? 'MMUEXT_INVLPG_MULTI' : 'MMUEXT_TLB_FLUSH_MULTI',
    );
    yield* count(HypercallCounter.hypercalls);
  },
);

/** The hypercall names its vCPUs in one word. */
function hypercallMask(x86: X86TlbState, mask: CpuMask): number {
  if (typeof mask === 'number') return mask;
  throw new ModelError(`mm: flush by hypercall: ${x86.smp.cpus.length} vCPUs, at most ${BITS_PER_WORD}`);
}

/** A hypervisor names no PCID: the pages go in every address space of a vCPU. */
function requestOf({ start, pages }: { readonly start: number; readonly pages: number }): RemoteRequest {
  return pages === 0 ? { asid: -1 } : { asid: -1, pages: { vpn: start, count: pages } };
}
