/**
 * The description of a machine: what a topology file may say. Unknown keys are errors.
 */
import { architectures, secondary, type ArchitectureName } from '@shootdown/mm';
import { parseTlbGeometry, PFN_LIMIT } from '@shootdown/mmu';
import { z } from 'zod';
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

/** What is named is printed in tables. */
const name = z
  .string()
  .regex(/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,100}$/u, 'expected a name of 1 to 100 printable characters');
const area = name;
const counter = name.refine(
  (text) => !text.startsWith(PHASE_PREFIX),
  `names that begin with ${PHASE_PREFIX} are phases: use measure`,
);

const computeCycles = z.int().min(COMPUTE_STEP_CYCLES).max(1_000_000_000).multipleOf(COMPUTE_STEP_CYCLES);

const action: z.ZodType<Action> = z.lazy(() =>
  z.discriminatedUnion('do', [
    z.strictObject({
      do: z.literal('mmap'),
      area,
      pages: z.int().min(1).max(PAGES_MAX),
    }),
    z.strictObject({ do: z.literal('touch'), area, write: z.boolean().optional() }),
    z.strictObject({ do: z.literal('mprotect'), area, prot: z.enum(['r', 'rw']) }),
    z.strictObject({ do: z.enum(['madvise-dontneed', 'munmap']), area }),
    z.strictObject({ do: z.literal('fork'), child: name }),
    z.strictObject({ do: z.enum(['exit', 'spin', 'wait-for-others']) }),
    z.strictObject({ do: z.literal('sleep'), microseconds: z.int().min(1).max(10_000_000).optional() }),
    z.strictObject({ do: z.literal('vmalloc'), huge: z.boolean().optional() }),
    z.strictObject({ do: z.enum(['vfree', 'ptdump']) }),
    z.strictObject({ do: z.literal('attach'), mmu: name, area }),
    z.strictObject({
      do: z.enum(['guest', 'dma']),
      mmu: name,
      rounds: z.int().min(1).max(1_000_000),
      write: z.boolean().optional(),
      cycles: computeCycles.optional(),
    }),
    z.strictObject({
      do: z.enum(['ksm-scan', 'reclaim', 'collapse', 'numa-scan']),
      process: name,
      pages: z.int().min(1).max(1_000_000),
    }),
    z.strictObject({ do: z.literal('measure'), phase: name }),
    z.strictObject({
      do: z.literal('compute'),
      cycles: computeCycles,
    }),
    z.strictObject({ do: z.literal('count'), counter }),
    z.strictObject({
      do: z.literal('repeat'),
      times: z.int().min(1).max(1_000_000),
      as: z.string().regex(/^\w+$/, 'expected letters, digits and _').optional(),
      body: z.array(action).min(1),
    }),
  ]),
);

const geometry = z.string().superRefine((text, context) => {
  try {
    parseTlbGeometry(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
  }
});

const memory = z.strictObject({
  tables: z.int().min(4).max(TABLES_MAX).default(64),
  pages: z.int().min(1).max(PAGES_MAX).default(8192),
});

/** A CPU, or several: `0-31` stands for a thread on each of them, all told the same. */
const cpuRange = z
  .string()
  .regex(/^\d{1,3}-\d{1,3}$/, 'expected a CPU or a range of them, as 0-31')
  .refine((text) => new Set(cpusOf(text)).size > 0, 'the first CPU comes after the last');

/** CPUs of the host: one, a range, or a list. */
const cpuSet = z
  .union([z.int().min(0), cpuRange, z.array(z.int().min(0)).min(1)])
  .transform((cpus) => (typeof cpus === 'object' ? cpus : cpusOf(cpus)));

function cpusOf(cpu: number | string): number[] {
  if (typeof cpu === 'number') return [cpu];
  const [first = 0, last = 0] = cpu.split('-').map(Number);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

const threads = z
  .array(
    z.strictObject({
      cpu: z.union([z.int().min(0), cpuRange]),
      /** The CPUs that it may run on, the one it begins on among them (sched_setaffinity()). Default: that one. */
      cpus: cpuSet.optional(),
      run: z.array(action).default([]),
      /** What the thread runs instead: a routine that a module exports by this name ({@link topologySchema}). */
      routine: name.optional(),
      /** Or the memory references that it makes: a recorded trace, by its path from the file. */
      trace: z.string().min(1).max(1000).optional(),
    }),
  )
  .min(1)
  .transform((list) => list.flatMap(({ cpu, ...thread }) => cpusOf(cpu).map((id) => ({ cpu: id, ...thread }))));

/** A table of its own that translates memory of a process: KVM's second stage, or a device's. */
const secondaryMmu = z.strictObject({
  name,
  kind: z.enum(['kvm', 'device']),
  /** How change_pte() goes about it, where the kernel calls it: KVM's on x86 or on arm64. A device never had one. */
  changePte: z.enum(['none', 'x86', 'arm64']).default('none'),
  /**
   * A device that is placed is a part by itself, in a thread of its own or in this one; messages are all that crosses.
   * Left out: its engine is the CPU of the thread that says `dma`.
   */
  placement: z.enum(['process', 'worker']).optional(),
});

const processes = z.array(
  z.strictObject({
    name,
    threads,
    placement: z.enum(['process', 'worker']).default('process'),
    /** x86: who uses its memory through an MMU of its own. */
    secondaryMmus: z.array(secondaryMmu).max(SECONDARY_MMUS_MAX).default([]),
    /** What these are told, and when: an era of the kernel, or a proposal. `E5` is v6.10 and later. */
    notifiers: z.enum(notifierDesigns).default('E5'),
  }),
);

/** Threads without an address space: ksmd and its like. The run does not wait for them. */
const kernelThreads = z
  .array(z.strictObject({ name, cpu: z.int().min(0), run: z.array(action).min(1) }))
  .max(KERNEL_THREADS_MAX);

/** KVM on x86: the CPUs of the machine are physical ones, and its processes run in virtual machines. */
const host = z.lazy(() =>
  z.strictObject({
    timesliceMicroseconds: z.int().min(1).max(1_000_000).default(3000),
    /** Ticks per second of the host's timer: each is an exit, and a timeslice is a whole number of them. */
    hz: z.int().min(1).max(10_000).default(1000),
    /** False: guest-physical memory is the host's, and a TLB miss walks as natively. */
    secondStage: z
      .union([
        z.literal(false),
        z.strictObject({
          levels: z.union([z.literal(4), z.literal(5)]).default(4),
          nestedTlb: z.int().min(0).max(1024).default(32),
          nestedTables: z.int().min(0).max(1024).default(16),
        }),
      ])
      .prefault({}),
    /** Intel's PAUSE-loop exiting with KVM's directed yield: on, as kvm_intel has it. */
    pauseLoopExiting: z.boolean().default(true),
    /**
     * KVM_VCPU_PREEMPTED is set between two instructions only (v5.19); false: wherever the vCPU is scheduled out,
     * halted too.
     */
    preemptedAtBoundaryOnly: z.boolean().default(true),
    vms: z
      .array(
        z.strictObject({
          name,
          vcpus: z.int().min(1).max(CPUS_MAX),
          /** KVM_FEATURE_PV_TLB_FLUSH: kvm_flush_tlb_multi() instead of IPIs to preempted vCPUs. */
          paravirtualFlush: z.boolean().default(true),
          memory: memory.optional(),
          /** The host's CPUs that run its vCPUs, in turn. Default: all of them. */
          cpus: cpuSet.optional(),
          /** `worker`: in a thread of its own. It must share its CPUs with no other. */
          placement: z.enum(['process', 'worker']).default('process'),
          processes: processes.min(1),
          kernelThreads: kernelThreads.default([]),
        }),
      )
      .min(1)
      .max(VMS_MAX),
  }),
);

/** A topology file, as it is read. Made when it is first asked for: most commands read none. */
export const topologySchema = z.lazy(() =>
  z.strictObject({
    $schema: z.string().optional(),
    name,
    /** A paragraph for whoever runs it: what it shows, and what to look at. */
    about: z.string().max(2000).optional(),
    /** x86-64-4l and x86-64-5l flush by IPI, arm64-4k-48 by broadcast TLBI. */
    architecture: z.enum(Object.keys(architectures) as [ArchitectureName, ...ArchitectureName[]]),
    memoryModel: z.enum(['sc', 'tso']).default('sc'),
    cpus: z.int().min(1).max(CPUS_MAX),
    /** SMT siblings, which share a TLB: the CPUs of each core. Default: a core per CPU. */
    cores: z.array(cpuSet).min(1).optional(),
    /** The CPUs of each socket. Default: those of each node, or one socket. */
    sockets: z.array(cpuSet).min(1).optional(),
    /** The CPUs of each NUMA node. Default: a node per socket. */
    nodes: z.array(cpuSet).min(1).optional(),
    /**
     * Distances of the nodes from one another, as numactl shows them: 10 from itself, and by default 21 from others.
     */
    distances: z.array(z.array(z.int().min(10).max(255))).optional(),
    /** Size of the last-level cache of each socket. */
    llcMegabytes: z.int().min(1).max(4096).default(36),
    tlb: z
      .strictObject({
        l1: geometry.default('64x4'),
        l2: geometry.default('1536x12'),
        walkCache: z.int().min(1).max(1024).default(32),
      })
      .prefault({}),
    /** Of the machine; of each virtual machine that says nothing else. */
    memory: memory.prefault({}),
    /** Cycles that replace entries of the architecture's cost table. */
    costs: z.record(z.string(), z.int().min(0).max(COST_CYCLES_MAX)).default({}),
    /**
     * What lazy MMU mode puts off: a name of `lazyArchs`. x86: `x86-native` (nothing) or `xen-pv` (stores). arm64:
     * `arm64`, whose barriers are for the kernel's entries, or `arm64-v6.16`.
     */
    lazyMmu: z.string().optional(),
    /** arm64: the folios of anonymous memory. `64K`: mapped by contiguous entries, where an area covers their block. */
    folio: z.enum(['4K', '64K']).default('4K'),
    /** x86: pages a flush may have before it becomes a full one. */
    flushCeiling: z.int().min(0).default(33),
    /**
     * Timer interrupts per second of virtual time that advance jiffies; 0: time stands still and mm_cpumask is never
     * trimmed.
     */
    hz: z.int().min(0).max(10_000).default(0),
    /** How long a thread has a CPU that it shares with others before it is their turn. */
    timesliceMicroseconds: z.int().min(1).max(1_000_000).default(3000),
    /** The module that exports the routines of threads, by its path from the file; who reads the file loads it. */
    routines: z.string().min(1).max(1000).optional(),
    /** The arm64 kernel's own page table, for threads that map kernel memory or dump the table: its size. */
    kernelTables: z
      .strictObject({ pmds: z.int().min(1).max(512).default(8), ptes: z.int().min(1).max(512).default(32) })
      .prefault({}),
    /** The run ends after so much virtual time, done or not. Default: when the threads are done. */
    runMicroseconds: z.int().min(1).max(1_000_000_000).optional(),
    host: host.optional(),
    processes: processes.default([]),
    kernelThreads: kernelThreads.default([]),
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
