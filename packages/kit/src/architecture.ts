/** The ways of flushing that a small machine may be asked for. */
import type { Address, SystemBuilder } from '@shootdown/machine';
import {
  arm64Tlb,
  atomicTlb,
  hypercallTlbFlush,
  ipiTlb,
  kvmTlbFlush,
  x86Tlb,
  type Mm,
  type Smp,
  type TlbArch,
  type X86Tlb,
  type X86TlbOptions,
} from '@shootdown/mm';
import { connectMmus, type InvalidationLatency, type MmuInstructions } from '@shootdown/mmu';
import type { FlushName, SmallMachineOptions } from './options.ts';

/** What a flush is made of. */
interface Parts {
  readonly builder: SystemBuilder;
  readonly smp: Smp;
  readonly mmus: readonly MmuInstructions[];
  readonly mms: readonly Mm[];
  readonly loaded: readonly number[];
  readonly pages: number;
  /** kvm_steal_time.preempted by CPU; asked when a routine runs. */
  readonly stealTime: () => readonly (Address | undefined)[];
}

/** Flushes in which every mm has its own number as its ASID, on every CPU. */
const ASID_IS_MM: readonly FlushName[] = ['arm64', 'ipi', 'atomic'];

/** True if a mm's ASID is its id: on x86 each CPU gives it one of its six slots. */
export function asidIsMm(flush: SmallMachineOptions['flush']): boolean {
  return typeof flush === 'string' && ASID_IS_MM.includes(flush);
}

/** Makes the MMUs reach each other where that is how the machine flushes. */
export function connect(builder: SystemBuilder, mmus: readonly MmuInstructions[], options: SmallMachineOptions): void {
  const { flush, x86 } = options;
  const latency: InvalidationLatency | null =
    flush === 'arm64'
      ? 'dvm'
      : flush === 'invlpgb' || x86?.invlpgb
        ? 'invlpgb_remote'
        : flush === 'hyper-v' || flush === 'xen-pv'
          ? 'hypercall_flush'
          : null;
  if (options.connected ?? latency !== null) connectMmus(builder, mmus, latency ?? 'hypercall_flush');
}

/** Builds what flushes; with the state of x86 where there is one. */
export function architecture(parts: Parts, options: SmallMachineOptions): TlbArch | X86Tlb {
  const { builder, smp, mmus, mms, loaded, pages, stealTime } = parts;
  switch (options.flush) {
    case 'arm64':
      return arm64Tlb(builder, smp.cpus, mmus, loaded);
    case 'ipi':
      return ipiTlb(smp, mmus, pages);
    case 'atomic':
      return atomicTlb(mmus);
    default: {
      const lazy = options.lazy ?? [];
      return x86Tlb(builder, smp, mmus, () => mms, { loaded, lazy, ...backEnd(options, stealTime), ...options.x86 });
    }
  }
}

function backEnd({ flush, kvm, hypercall }: SmallMachineOptions, stealTime: Parts['stealTime']): X86TlbOptions {
  if (flush === 'invlpgb') return { invlpgb: {} };
  if (flush === 'hyper-v' || flush === 'xen-pv')
    return { flush_tlb_multi: hypercallTlbFlush({ ...hypercall, hypervisor: flush }) };
  if (flush !== 'kvm') return {};
  const options = {
    ...kvm,
    get stealTime() {
      return stealTime();
    },
  };
  return { flush_tlb_multi: kvmTlbFlush(options) };
}
