/**
 * The architectures that a machine of topology can have, each one value: what its tables look like, what its operations
 * cost, how it keeps TLBs coherent, and what its barriers are.
 */
import { arm64Costs, x86Costs, type Address, type CostModel, type SystemBuilder } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { formatEntry, mk_pte, type InvalidationLatency, type MmuInstructions } from '@shootdown/mmu';
import { arm64V6_16, lazyArchs, type LazyArch } from '../lazy/arch.ts';
import type { Mm, TlbArch } from '../kernel.ts';
import type { Smp } from '../smp.ts';
import { arm64Tlb } from './arm64-tlb.ts';
import type { FlushTlbMulti } from './x86-state.ts';
import { x86Tlb } from './x86-tlb.ts';

/** What the flushes of a kernel are made of. */
export interface TlbParts {
  readonly builder: SystemBuilder;
  readonly cpus: readonly Cpu[];
  readonly mmus: readonly MmuInstructions[];
  readonly smp: Smp;
  readonly mms: readonly Mm[];
  /** Where jiffies are, and how many there are in a second. Left out: no timer. */
  readonly jiffies?: { readonly address: Address; readonly hz: number } | undefined;
  /** tlb_single_page_flush_ceiling of x86. */
  readonly flushCeiling: number;
  /** Back end of flush_tlb_multi() on x86. Left out: native. */
  readonly flush_tlb_multi?: FlushTlbMulti | undefined;
}

/** One architecture. */
export interface Architecture {
  /** Name of its geometry in `page-table`: levels, entries, page sizes. */
  readonly geometry: string;
  /** Entries as the simulated hardware reads them: cut to one word, and alike on all of these. */
  readonly entry: { readonly make: typeof mk_pte; readonly format: typeof formatEntry };
  readonly costs: CostModel;
  /** How MMUs hear of the invalidations of others by themselves. Null: by IPI alone. */
  readonly interconnect: InvalidationLatency | null;
  /** How it switches address spaces and flushes. */
  readonly tlb: (parts: TlbParts) => TlbArch;
  /**
   * What makes a store to a table visible to walkers before an invalidation, and what the invalidation is complete by.
   */
  readonly barriers: { readonly before: string; readonly complete: string };
  /** What lazy MMU mode may put off on it, the usual first. */
  readonly lazyModes: readonly [LazyArch, ...LazyArch[]];
  /** Entries may have the contiguous bit. */
  readonly hasContiguousEntries: boolean;
  /** KVM is modelled on it. */
  readonly hasVirtualMachines: boolean;
}

const entry = { make: mk_pte, format: formatEntry };

const x86 = {
  entry,
  costs: x86Costs,
  interconnect: null,
  tlb: ({ builder, smp, mmus, mms, jiffies, flushCeiling, flush_tlb_multi }) =>
    x86Tlb(builder, smp, mmus, () => mms, {
      ceiling: flushCeiling,
      ...(jiffies && { jiffies }),
      ...(flush_tlb_multi && { flush_tlb_multi }),
    }),
  barriers: { before: 'inc_mm_tlb_gen(): a locked instruction', complete: 'csd_lock_wait()' },
  lazyModes: [lazyArchs['x86-native'], lazyArchs['xen-pv']],
  hasContiguousEntries: false,
  hasVirtualMachines: true,
} as const satisfies Omit<Architecture, 'geometry'>;

/** By name. */
export const architectures = {
  'x86-64-4l': { ...x86, geometry: 'x86-64-4l' },
  'x86-64-5l': { ...x86, geometry: 'x86-64-5l' },
  'arm64-4k-48': {
    geometry: 'arm64-4k-48',
    entry,
    costs: arm64Costs,
    interconnect: 'dvm',
    tlb: ({ builder, cpus, mmus }) => arm64Tlb(builder, cpus, mmus),
    barriers: { before: 'dsb(ishst)', complete: 'dsb(ish)' },
    lazyModes: [lazyArchs.arm64, arm64V6_16],
    hasContiguousEntries: true,
    hasVirtualMachines: false,
  },
} as const satisfies Readonly<Record<string, Architecture>>;

/** Names of the architectures. */
export type ArchitectureName = keyof typeof architectures;
