/**
 * The description of a machine: what a topology file may say. Unknown keys are errors.
 */
import { architectures, secondary, type ArchitectureName } from '@shootdown/mm';
import { parseTlbGeometry, PFN_LIMIT } from '@shootdown/mmu';
import * as z from 'zod/mini';
import english from 'zod/v4/locales/en.js';
import { COMPUTE_STEP_CYCLES, PHASE_PREFIX, type Action } from './actions.ts';

const CPUS_MAX = 256;
/** 32 GB, and the tables that map them in pages of 4 KB. */
const PAGES_MAX = 1 << 23;
const TABLES_MAX = 1 << 14;

/**
 * The pages of a memory that have frames. An entry has 20 bits for the number of one, so that at most 4 GB can be in
 * use at once, whatever the machine has.
 */
export function numberedPages(
  tables: number,
  pages: number,
): { readonly pages: number; readonly pagesWithoutFrames: number } {
  const numbered = Math.min(pages, PFN_LIMIT - tables);
  return { pages: numbered, pagesWithoutFrames: pages - numbered };
}

/** vCPUs of a host in all: each has a VPID of its own (`packages/mmu`). */
export const VCPUS_MAX = 255;
const VMS_MAX = 64;
const SECONDARY_MMUS_MAX = 8;
const KERNEL_THREADS_MAX = 64;

/** Kernel version by version: what secondary MMUs are told (packages/mm/src/notify.ts). */
const notifierDesigns = Object.keys(secondary.NotifierEra) as [NotifierEraName, ...NotifierEraName[]];
type NotifierEraName = keyof typeof secondary.NotifierEra;

/** A third of a second: nothing that one operation does takes longer, and sums of it stay exact. */
const COST_CYCLES_MAX = 1_000_000_000;

// What is wrong is said in English, whatever the host.
z.config(english());

/** A whole number within bounds. */
const whole = (least: number, most = Number.MAX_SAFE_INTEGER): z.ZodMiniNumberFormat =>
  z.int().check(z.gte(least), z.lte(most));
/** A list that is not empty. */
const some = <T extends z.ZodMiniType>(schema: T): z.ZodMiniArray<T> => z.array(schema).check(z.minLength(1));
const path = z.string().check(z.minLength(1), z.maxLength(1000));

/** What is named is printed in tables. */
const name = z
  .string()
  .check(z.regex(/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,100}$/u, 'expected a name of 1 to 100 printable characters'));
const area = name;
const counter = name.check(
  z.refine((text) => !text.startsWith(PHASE_PREFIX), `names that begin with ${PHASE_PREFIX} are phases: use measure`),
);

const computeCycles = whole(COMPUTE_STEP_CYCLES, 1_000_000_000).check(z.multipleOf(COMPUTE_STEP_CYCLES));

const action: z.ZodMiniType<Action> = z.lazy(() =>
  z.discriminatedUnion('do', [
    z.strictObject({
      do: z.literal('mmap'),
      area,
      pages: whole(1, PAGES_MAX),
    }),
    z.strictObject({ do: z.literal('touch'), area, write: z.optional(z.boolean()) }),
    z.strictObject({ do: z.literal('mprotect'), area, prot: z.enum(['r', 'rw']) }),
    z.strictObject({ do: z.enum(['madvise-dontneed', 'munmap']), area }),
    z.strictObject({ do: z.literal('fork'), child: name }),
    z.strictObject({ do: z.enum(['exit', 'spin', 'wait-for-others']) }),
    z.strictObject({ do: z.literal('sleep'), microseconds: z.optional(whole(1, 10_000_000)) }),
    z.strictObject({ do: z.literal('vmalloc'), huge: z.optional(z.boolean()) }),
    z.strictObject({ do: z.enum(['vfree', 'ptdump']) }),
    z.strictObject({ do: z.literal('attach'), mmu: name, area }),
    z.strictObject({
      do: z.enum(['guest', 'dma']),
      mmu: name,
      rounds: whole(1, 1_000_000),
      write: z.optional(z.boolean()),
      cycles: z.optional(computeCycles),
    }),
    z.strictObject({
      do: z.enum(['ksm-scan', 'reclaim', 'collapse', 'numa-scan']),
      process: name,
      pages: whole(1, 1_000_000),
    }),
    z.strictObject({ do: z.literal('measure'), phase: name }),
    z.strictObject({
      do: z.literal('compute'),
      cycles: computeCycles,
    }),
    z.strictObject({ do: z.literal('count'), counter }),
    z.strictObject({
      do: z.literal('repeat'),
      times: whole(1, 1_000_000),
      as: z.optional(z.string().check(z.regex(/^\w+$/, 'expected letters, digits and _'))),
      body: some(action),
    }),
  ]),
);

const geometry = z.string().check(({ value, issues }) => {
  try {
    parseTlbGeometry(value);
  } catch (error) {
    issues.push({ code: 'custom', input: value, message: error instanceof Error ? error.message : String(error) });
  }
});

const memory = z.strictObject({
  tables: z._default(whole(4, TABLES_MAX), 64),
  pages: z._default(whole(1, PAGES_MAX), 8192),
});

/** A CPU, or several: `0-31` stands for a thread on each of them, all told the same. */
const cpuRange = z.string().check(
  z.regex(/^\d{1,3}-\d{1,3}$/, 'expected a CPU or a range of them, as 0-31'),
  z.refine((text) => new Set(cpusOf(text)).size > 0, 'the first CPU comes after the last'),
);

/** CPUs of the host: one, a range, or a list. */
const cpuSet = z.pipe(
  z.union([whole(0), cpuRange, some(whole(0))]),
  z.transform((cpus) => (typeof cpus === 'object' ? cpus : cpusOf(cpus))),
);

function cpusOf(cpu: number | string): number[] {
  if (typeof cpu === 'number') return [cpu];
  const [first = 0, last = 0] = cpu.split('-').map(Number);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

const threads = z.pipe(
  some(
    z.strictObject({
      cpu: z.union([whole(0), cpuRange]),
      /** The CPUs that it may run on, the one it begins on among them (sched_setaffinity()). Default: that one. */
      cpus: z.optional(cpuSet),
      run: z._default(z.array(action), []),
      /** What the thread runs instead: a routine that a module exports by this name ({@link topologySchema}). */
      routine: z.optional(name),
      /** Or the memory references that it makes: a recorded trace, by its path from the file. */
      trace: z.optional(path),
    }),
  ),
  z.transform((list) => list.flatMap(({ cpu, ...thread }) => cpusOf(cpu).map((id) => ({ cpu: id, ...thread })))),
);

/** A table of its own that translates memory of a process: KVM's second stage, or a device's. */
const secondaryMmu = z.strictObject({
  name,
  kind: z.enum(['kvm', 'device']),
  /** How change_pte() goes about it, where the kernel calls it: KVM's on x86 or on arm64. A device never had one. */
  changePte: z._default(z.enum(['none', 'x86', 'arm64']), 'none'),
  /**
   * A device that is placed is a part by itself, in a thread of its own or in this one; messages are all that crosses.
   * Left out: its engine is the CPU of the thread that says `dma`.
   */
  placement: z.optional(z.enum(['process', 'worker'])),
});

const processes = z.array(
  z.strictObject({
    name,
    threads,
    placement: z._default(z.enum(['process', 'worker']), 'process'),
    /** x86: who uses its memory through an MMU of its own. */
    secondaryMmus: z._default(z.array(secondaryMmu).check(z.maxLength(SECONDARY_MMUS_MAX)), []),
    /** What these are told, and when: an era of the kernel, or a proposal. `E5` is v6.10 and later. */
    notifiers: z._default(z.enum(notifierDesigns), 'E5'),
  }),
);

/** Threads without an address space: ksmd and its like. The run does not wait for them. */
const kernelThreads = z
  .array(z.strictObject({ name, cpu: whole(0), run: some(action) }))
  .check(z.maxLength(KERNEL_THREADS_MAX));

/** KVM on x86: the CPUs of the machine are physical ones, and its processes run in virtual machines. */
const host = z.lazy(() =>
  z.strictObject({
    timesliceMicroseconds: z._default(whole(1, 1_000_000), 3000),
    /** Ticks per second of the host's timer: each is an exit, and a timeslice is a whole number of them. */
    hz: z._default(whole(1, 10_000), 1000),
    /** False: guest-physical memory is the host's, and a TLB miss walks as natively. */
    secondStage: z.prefault(
      z.union([
        z.literal(false),
        z.strictObject({
          levels: z._default(z.union([z.literal(4), z.literal(5)]), 4),
          nestedTlb: z._default(whole(0, 1024), 32),
          nestedTables: z._default(whole(0, 1024), 16),
        }),
      ]),
      {},
    ),
    /** Intel's PAUSE-loop exiting with KVM's directed yield: on, as kvm_intel has it. */
    pauseLoopExiting: z._default(z.boolean(), true),
    /**
     * KVM_VCPU_PREEMPTED is set between two instructions only (v5.19); false: wherever the vCPU is scheduled out,
     * halted too.
     */
    preemptedAtBoundaryOnly: z._default(z.boolean(), true),
    vms: z
      .array(
        z.strictObject({
          name,
          vcpus: whole(1, CPUS_MAX),
          /** KVM_FEATURE_PV_TLB_FLUSH: kvm_flush_tlb_multi() instead of IPIs to preempted vCPUs. */
          paravirtualFlush: z._default(z.boolean(), true),
          memory: z.optional(memory),
          /** The host's CPUs that run its vCPUs, in turn. Default: all of them. */
          cpus: z.optional(cpuSet),
          /** `worker`: in a thread of its own. It must share its CPUs with no other. */
          placement: z._default(z.enum(['process', 'worker']), 'process'),
          processes: processes.check(z.minLength(1)),
          kernelThreads: z._default(kernelThreads, []),
        }),
      )
      .check(z.minLength(1), z.maxLength(VMS_MAX)),
  }),
);

/** A topology file, as it is read. Made when it is first asked for: most commands read none. */
export const topologySchema = z.lazy(() =>
  z.strictObject({
    $schema: z.optional(z.string()),
    name,
    /** A paragraph for whoever runs it: what it shows, and what to look at. */
    about: z.optional(z.string().check(z.maxLength(2000))),
    /** x86-64-4l and x86-64-5l flush by IPI, arm64-4k-48 by broadcast TLBI. */
    architecture: z.enum(Object.keys(architectures) as [ArchitectureName, ...ArchitectureName[]]),
    memoryModel: z._default(z.enum(['sc', 'tso']), 'sc'),
    cpus: whole(1, CPUS_MAX),
    /** SMT siblings, which share a TLB: the CPUs of each core. Default: a core per CPU. */
    cores: z.optional(some(cpuSet)),
    /** The CPUs of each socket. Default: those of each node, or one socket. */
    sockets: z.optional(some(cpuSet)),
    /** The CPUs of each NUMA node. Default: a node per socket. */
    nodes: z.optional(some(cpuSet)),
    /**
     * Distances of the nodes from one another, as numactl shows them: 10 from itself, and by default 21 from others.
     */
    distances: z.optional(z.array(z.array(whole(10, 255)))),
    /** Size of the last-level cache of each socket. */
    llcMegabytes: z._default(whole(1, 4096), 36),
    tlb: z.prefault(
      z.strictObject({
        l1: z._default(geometry, '64x4'),
        l2: z._default(geometry, '1536x12'),
        walkCache: z._default(whole(1, 1024), 32),
      }),
      {},
    ),
    /** Of the machine; of each virtual machine that says nothing else. */
    memory: z.prefault(memory, {}),
    /** Cycles that replace entries of the architecture's cost table. */
    costs: z._default(z.record(z.string(), whole(0, COST_CYCLES_MAX)), {}),
    /**
     * What lazy MMU mode puts off: a name of `lazyArchs`. x86: `x86-native` (nothing) or `xen-pv` (stores). arm64:
     * `arm64`, whose barriers are for the kernel's entries, or `arm64-v6.16`.
     */
    lazyMmu: z.optional(z.string()),
    /** arm64: the folios of anonymous memory. `64K`: mapped by contiguous entries, where an area covers their block. */
    folio: z._default(z.enum(['4K', '64K']), '4K'),
    /** x86: pages a flush may have before it becomes a full one. */
    flushCeiling: z._default(whole(0), 33),
    /**
     * Timer interrupts per second of virtual time that advance jiffies; 0: time stands still and mm_cpumask is never
     * trimmed.
     */
    hz: z._default(whole(0, 10_000), 0),
    /** How long a thread has a CPU that it shares with others before it is their turn. */
    timesliceMicroseconds: z._default(whole(1, 1_000_000), 3000),
    /** The module that exports the routines of threads, by its path from the file; who reads the file loads it. */
    routines: z.optional(path),
    /** The arm64 kernel's own page table, for threads that map kernel memory or dump the table: its size. */
    kernelTables: z.prefault(
      z.strictObject({ pmds: z._default(whole(1, 512), 8), ptes: z._default(whole(1, 512), 32) }),
      {},
    ),
    /** The run ends after so much virtual time, done or not. Default: when the threads are done. */
    runMicroseconds: z.optional(whole(1, 1_000_000_000)),
    host: z.optional(host),
    processes: z._default(processes, []),
    kernelThreads: z._default(kernelThreads, []),
  }),
);

/** A machine description with defaults filled in. */
export type Topology = z.output<typeof topologySchema>;
/** A virtual machine of it. */
export type VmDescription = NonNullable<Topology['host']>['vms'][number];

/** What runs on one kernel: the machine's own, or a guest's. */
export type KernelDescription = Pick<Topology, 'processes'> & {
  readonly cpus: number;
  readonly kernelTables?: Topology['kernelTables'];
  readonly kernelThreads?: Topology['kernelThreads'];
};

/** A machine description as one writes it. */
export type TopologyInput = z.input<typeof topologySchema>;
