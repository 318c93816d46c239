/** What a small machine may be made of. */
import type { VcpuOptions } from '@shootdown/hypervisor';
import type { MemoryModel } from '@shootdown/machine';
import type { HypercallTlbOptions, KvmTlbOptions, TlbArch, X86TlbOptions } from '@shootdown/mm';
import type { SmallMachine } from './small-machine.ts';

/**
 * How the machine flushes. `x86`: by IPI, as arch/x86/mm/tlb.c does, with lazy CPUs. `kvm`, `hyper-v`, `xen-pv`,
 * `invlpgb`: the other back ends of x86. `arm64`: by broadcast TLBI. `ipi`: by IPI to every CPU of the mm, and nothing
 * cleverer. `atomic`: in one step, for questions to which the steps of IPIs only add states.
 */
export type FlushName = 'x86' | 'kvm' | 'hyper-v' | 'xen-pv' | 'invlpgb' | 'arm64' | 'ipi' | 'atomic';

/** By name. */
export const FLUSHES: readonly FlushName[] = ['x86', 'kvm', 'hyper-v', 'xen-pv', 'invlpgb', 'arm64', 'ipi', 'atomic'];

/** What the host does with a CPU that is virtual. A function is asked when the rest of the machine is there. */
export type VcpuChoice = VcpuOptions | ((machine: SmallMachine) => VcpuOptions);

/** Options of a {@link SmallMachine}: everything but the memory model may be left out. */
export interface SmallMachineOptions {
  readonly memoryModel: MemoryModel;
  /** How many CPUs, all of them running mm 1; or which mm each has loaded to begin with, by id (0: none). Default 2. */
  readonly cpus?: number | readonly number[];
  /** What the CPUs are called: the heads of the columns. Default `CPU0` and so on. */
  readonly names?: readonly string[];
  /** Address spaces, ids 1 and up; only the first maps pages. Default 1. */
  readonly mms?: number;
  /** Virtual pages 0, 1, ... that TLBs follow. Default 1. */
  readonly pages?: number;
  /** How many of them are mapped to begin with: the first ones, each by a page frame of its own. Default all. */
  readonly mapped?: number;
  /** Page frames that are free to begin with. Default 0. */
  readonly spare?: number;
  /** Levels of the tables, 1 to 4. Default 1: one table of ptes per mm. */
  readonly levels?: number;
  /** Entries of a table, a power of two. Default: 2; with one level as many as there are pages. */
  readonly entries?: number;
  /** Flags of the pages' entries. Default `_PAGE_PRESENT | _PAGE_RW | _PAGE_USER`. */
  readonly flags?: number;
  /** References to each mapped page to begin with. Default 1, its mapping's. */
  readonly references?: number;
  /** Each page frame has a word of data, which stores and loads reach. Default false. */
  readonly contents?: boolean;
  /** TLBs and tables keep dirty bits: hardware sets them. Default false. */
  readonly dirtyBits?: boolean;
  /** CPUs that begin lazy (flush `x86` and its back ends). Default none. */
  readonly lazy?: readonly number[];
  /** Virtual CPUs, by CPU number: what their host does; undefined where it never interferes. Default: no guest. */
  readonly vcpus?: readonly (VcpuChoice | undefined)[];
  /** How the machine flushes, or what makes an architecture of one's own. Default `x86`. */
  readonly flush?: FlushName | ((machine: SmallMachine) => TlbArch);
  /** Options of the flushes of x86. */
  readonly x86?: X86TlbOptions;
  /** Options of `kvm`. */
  readonly kvm?: Omit<KvmTlbOptions, 'stealTime'>;
  /** Options of `hyper-v` and `xen-pv`. */
  readonly hypercall?: Omit<HypercallTlbOptions, 'hypervisor'>;
  /** Address spaces that a TLB keeps apart, by ASID modulo this. Default: as many as there are mms. */
  readonly spaces?: number;
  /** Ids of the mms that have a global ASID to begin with (INVLPGB). Default: all with `invlpgb`, otherwise none. */
  readonly global?: readonly number[];
  /** CPUs can invalidate on others. Default: where the flush needs it. */
  readonly connected?: boolean;
  /** False: nobody checks that no translation of mm 1 is used after its flush. Default true. */
  readonly checksFlushes?: boolean;
  /** See {@link Kernel.ignoresNestedGathers}. */
  readonly ignoresNestedGathers?: boolean;
  /** Operations a routine may perform without a `point`. Default 96. */
  readonly maxHistory?: number;
}
