/**
 * The description of a machine: what a topology file may say. Unknown keys are errors.
 */
import { ModelError } from '@shootdown/machine';
import { architectures, type ArchitectureName, type lazy } from '@shootdown/mm';
import { parseTlbGeometry } from '@shootdown/mmu';
import { z } from 'zod';

const CPUS_MAX = 256;
const THREADS_PER_CPU_MAX = 64;

/** vCPUs of a host in all: each has a VPID of its own (`packages/mmu`). */
const VCPUS_MAX = 255;
const VMS_MAX = 64;
const MICROSECONDS = 1_000_000;

/** A third of a second: nothing that one operation does takes longer, and sums of it stay exact. */
const COST_CYCLES_MAX = 1_000_000_000;

/** Lists and objects inside one another: what reads a description goes down as deep. */
const DEPTH_MAX = 64;

/** A thread that computes takes interrupts every so many cycles: the `compute` entry of the cost table. */
export const COMPUTE_STEP_CYCLES = 1000;

/** What a thread can be told to do. Areas are named; `{i}` in a name is replaced by the loop variable `i`. */
export type Action =
  | { readonly do: 'mmap'; readonly area: string; readonly pages: number }
  | { readonly do: 'touch'; readonly area: string; readonly write?: boolean | undefined }
  | { readonly do: 'mprotect'; readonly area: string; readonly prot: 'r' | 'rw' }
  | { readonly do: 'madvise-dontneed' | 'munmap'; readonly area: string }
  /** Copies the address space; the process `child` may run from then on, and knows the areas mapped so far. */
  | { readonly do: 'fork'; readonly child: string }
  /** Removes the whole address space. */
  | { readonly do: 'exit' }
  /** Ends the thread in user mode, computing for ever. */
  | { readonly do: 'spin' }
  /** Sleeps for so long, a whole number of ticks. Without a time it ends the thread asleep, with its CPU idle. */
  | { readonly do: 'sleep'; readonly microseconds?: number | undefined }
  /** Waits until all other threads of the process have come to rest in spin or sleep. */
  | { readonly do: 'wait-for-others' }
  /** Counters from here on are booked under this name. */
  | { readonly do: 'measure'; readonly phase: string }
  /** Computes in user mode for so many cycles, a multiple of {@link COMPUTE_STEP_CYCLES}. */
  | { readonly do: 'compute'; readonly cycles: number }
  /** Counts one event of the program's own. */
  | { readonly do: 'count'; readonly counter: string }
  | {
      readonly do: 'repeat';
      readonly times: number;
      readonly as?: string | undefined;
      readonly body: readonly Action[];
    };

/** Counter names that begin with this are phases: `measure` actions. */
export const PHASE_PREFIX = 'phase:';

/** What is named is printed in tables. */
const name = z
  .string()
  .regex(/^[\p{L}\p{M}\p{N}\p{P}\p{S} ]{1,100}$/u, 'expected a name of 1 to 100 printable characters');
const area = name;
const counter = name.refine(
  (text) => !text.startsWith(PHASE_PREFIX),
  `names that begin with ${PHASE_PREFIX} are phases: use measure`,
);

const action: z.ZodType<Action> = z.lazy(() =>
  z.discriminatedUnion('do', [
    z.strictObject({
      do: z.literal('mmap'),
      area,
      pages: z
        .int()
        .min(1)
        .max(1 << 20),
    }),
    z.strictObject({ do: z.literal('touch'), area, write: z.boolean().optional() }),
    z.strictObject({ do: z.literal('mprotect'), area, prot: z.enum(['r', 'rw']) }),
    z.strictObject({ do: z.enum(['madvise-dontneed', 'munmap']), area }),
    z.strictObject({ do: z.literal('fork'), child: name }),
    z.strictObject({ do: z.enum(['exit', 'spin', 'wait-for-others']) }),
    z.strictObject({ do: z.literal('sleep'), microseconds: z.int().min(1).max(10_000_000).optional() }),
    z.strictObject({ do: z.literal('measure'), phase: name }),
    z.strictObject({
      do: z.literal('compute'),
      cycles: z.int().min(COMPUTE_STEP_CYCLES).max(1_000_000_000).multipleOf(COMPUTE_STEP_CYCLES),
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
  tables: z.int().min(4).max(4096).default(64),
  pages: z
    .int()
    .min(1)
    .max(1 << 20)
    .default(8192),
});

/** A CPU, or several: `0-31` stands for a thread on each of them, all told the same. */
const cpuRange = z
  .string()
  .regex(/^\d{1,3}-\d{1,3}$/, 'expected a CPU or a range of them, as 0-31')
  .refine((text) => new Set(cpusOf(text)).size > 0, 'the first CPU comes after the last');

function cpusOf(cpu: number | string): number[] {
  if (typeof cpu === 'number') return [cpu];
  const [first = 0, last = 0] = cpu.split('-').map(Number);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

const threads = z
  .array(z.strictObject({ cpu: z.union([z.int().min(0), cpuRange]), run: z.array(action) }))
  .min(1)
  .transform((list) => list.flatMap(({ cpu, run }) => cpusOf(cpu).map((id) => ({ cpu: id, run }))));

const processes = z.array(z.strictObject({ name, threads }));

/** KVM on x86: the CPUs of the machine are physical ones, and its processes run in virtual machines. */
const host = z.strictObject({
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
   * KVM_VCPU_PREEMPTED is set between two instructions only (v5.19); false: wherever the vCPU is scheduled out, halted
   * too.
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
        processes: processes.min(1),
      }),
    )
    .min(1)
    .max(VMS_MAX),
});

/** What a topology file may say. */
export const topologySchema = z.strictObject({
  $schema: z.string().optional(),
  name,
  /** A paragraph for whoever runs it: what it shows, and what to look at. */
  about: z.string().max(2000).optional(),
  /** x86-64-4l and x86-64-5l flush by IPI, arm64-4k-48 by broadcast TLBI. */
  architecture: z.enum(Object.keys(architectures) as [ArchitectureName, ...ArchitectureName[]]),
  memoryModel: z.enum(['sc', 'tso']).default('sc'),
  cpus: z.int().min(1).max(CPUS_MAX),
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
  /** The run ends after so much virtual time, done or not. Default: when the threads are done. */
  runMicroseconds: z.int().min(1).max(1_000_000_000).optional(),
  host: host.optional(),
  processes: processes.default([]),
});

/** A machine description with defaults filled in. */
export type Topology = z.output<typeof topologySchema>;
/** A virtual machine of it. */
export type VmDescription = NonNullable<Topology['host']>['vms'][number];

/** What runs on one kernel: the machine's own, or a guest's. */
export type KernelDescription = Pick<Topology, 'processes'> & { readonly cpus: number };

/** A machine description as one writes it. */
export type TopologyInput = z.input<typeof topologySchema>;

/** Checks a description. Throws a ModelError of one line that names the place and the mistake. */
export function parseTopology(input: unknown, source = 'topology'): Topology {
  if (isDeeperThan(input, DEPTH_MAX))
    throw new ModelError(`topology: ${source}: top level: nested more than ${DEPTH_MAX} deep`);
  const parsed = topologySchema.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const place = issue && issue.path.length > 0 ? issue.path.join('.') : 'top level';
    throw new ModelError(`topology: ${source}: ${place}: ${issue?.message ?? 'not a topology'}`);
  }
  checkReferences(parsed.data, source);
  lazyModeOf(parsed.data, source);
  const { architecture, folio } = parsed.data;
  if (folio !== '4K' && !architectures[architecture].hasContiguousEntries)
    throw new ModelError(`topology: ${source}: folio: contiguous entries are arm64 only (${folio} on ${architecture})`);
  return parsed.data;
}

/** Lazy MMU mode of a machine. Throws ModelError on one that its architecture cannot have. */
export function lazyModeOf(
  { architecture, lazyMmu }: Pick<Topology, 'architecture' | 'lazyMmu'>,
  source: string,
): lazy.LazyArch {
  const [first, ...others] = architectures[architecture].lazyModes;
  if (lazyMmu === undefined) return first;
  const found = [first, ...others].find(({ name }) => name === lazyMmu);
  if (!found)
    throw new ModelError(
      `topology: ${source}: lazyMmu: no ${lazyMmu} on ${architecture} (have: ${[first, ...others].map(({ name }) => name).join(', ')})`,
    );
  return found;
}

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeperThan(inner, depth - 1));
}

/** Checks a description given as JSON text. */
export function parseTopologyText(text: string, source: string): Topology {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch (error) {
    throw new ModelError(`topology: ${source}: not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  return parseTopology(input, source);
}

function checkReferences(topology: Topology, source: string): void {
  const { host, processes } = topology;
  if (host) checkHost(topology, host, source);
  else {
    if (processes.length === 0)
      throw new ModelError(`topology: ${source}: processes: at least one process, or a host with virtual machines`);
    checkKernel(topology, source);
  }
  const known = architectures[topology.architecture].costs.costs;
  for (const name of Object.keys(topology.costs)) {
    if (!Object.hasOwn(known, name))
      throw new ModelError(`topology: ${source}: costs: no entry ${name} (have: ${Object.keys(known).join(', ')})`);
  }
}

function checkHost(topology: Topology, host: NonNullable<Topology['host']>, source: string): void {
  if (!architectures[topology.architecture].hasVirtualMachines)
    throw new ModelError(`topology: ${source}: host: virtual machines are x86 only (${topology.architecture})`);
  if (topology.memoryModel !== 'sc')
    throw new ModelError(
      `topology: ${source}: host: virtual machines run on memory model sc only (${topology.memoryModel})`,
    );
  if (topology.processes.length > 0)
    throw new ModelError(
      `topology: ${source}: host: the host runs virtual machines only: put the processes into host.vms`,
    );
  const ticks = (host.timesliceMicroseconds * host.hz) / MICROSECONDS;
  if (!Number.isInteger(ticks))
    throw new ModelError(
      `topology: ${source}: host: a timeslice of ${host.timesliceMicroseconds} us is no whole number of ticks at ${host.hz} Hz`,
    );
  const total = host.vms.reduce((sum, vm) => sum + vm.vcpus, 0);
  if (total > VCPUS_MAX) throw new ModelError(`topology: ${source}: host: ${total} vCPUs, at most ${VCPUS_MAX} in all`);
  const names = new Set<string>();
  host.vms.forEach((vm, i) => {
    if (names.has(vm.name)) throw new ModelError(`topology: ${source}: host.vms.${i}: name taken twice (${vm.name})`);
    names.add(vm.name);
    checkKernel({ cpus: vm.vcpus, processes: vm.processes }, source, `host.vms.${i}.`);
  });
}

/** @param at where the kernel stands in the description */
function checkKernel(kernel: KernelDescription, source: string, at = ''): void {
  const used = new Map<number, number>();
  const names = new Set<string>();
  kernel.processes.forEach((process, p) => {
    if (names.has(process.name))
      throw new ModelError(`topology: ${source}: ${at}processes.${p}: name taken twice (${process.name})`);
    names.add(process.name);
    process.threads.forEach((thread, t) => {
      const place = `${at}processes.${p}.threads.${t}`;
      if (thread.cpu >= kernel.cpus)
        throw new ModelError(
          `topology: ${source}: ${place}: CPU ${thread.cpu} of ${kernel.cpus} (0 .. ${kernel.cpus - 1})`,
        );
      const sharing = (used.get(thread.cpu) ?? 0) + 1;
      if (sharing > THREADS_PER_CPU_MAX)
        throw new ModelError(
          `topology: ${source}: ${place}: CPU ${thread.cpu} has more than ${THREADS_PER_CPU_MAX} threads (${sharing})`,
        );
      used.set(thread.cpu, sharing);
      checkEnd(thread.run, `topology: ${source}: ${place}.run`, false);
    });
  });
  checkForks(kernel, source, names);
}

/** Nothing happens after an action that ends the thread. */
function checkEnd(run: readonly Action[], place: string, goesOn: boolean): void {
  run.forEach((action, i) => {
    const more = goesOn || i < run.length - 1;
    if (action.do === 'repeat') checkEnd(action.body, `${place}.${i}.body`, more || action.times > 1);
    else if (more && endsThread(action))
      throw new ModelError(`${place}.${i}: nothing can come after ${action.do}, which ends the thread`);
  });
}

function endsThread(action: Action): boolean {
  return action.do === 'exit' || isRest(action);
}

function isRest(action: Action): boolean {
  return action.do === 'spin' || (action.do === 'sleep' && action.microseconds === undefined);
}

/** True if the last thing that a thread does is to spin or to sleep for good. */
export function endsAtRest(run: readonly Action[]): boolean {
  const last = run.at(-1);
  return last?.do === 'repeat' ? endsAtRest(last.body) : last !== undefined && isRest(last);
}

/** True if a thread sleeps for a time: then its CPU has a scheduler. */
export function sleepsForATime(run: readonly Action[]): boolean {
  return run.some((action) =>
    action.do === 'repeat' ? sleepsForATime(action.body) : action.do === 'sleep' && action.microseconds !== undefined,
  );
}

/** Every forked process has one parent, and the first parent of all is not forked. */
function checkForks(kernel: KernelDescription, source: string, names: ReadonlySet<string>): void {
  const parents = new Map<string, string>();
  for (const process of kernel.processes) {
    for (const child of process.threads.flatMap((t) => forkedIn(t.run))) {
      if (!names.has(child))
        throw new ModelError(`topology: ${source}: fork: no process ${child} (have: ${[...names].join(', ')})`);
      if (parents.has(child))
        throw new ModelError(
          `topology: ${source}: fork: process ${child} is forked twice: give every fork a process of its own`,
        );
      parents.set(child, process.name);
    }
  }
  for (const process of kernel.processes) {
    const seen = new Set<string>();
    for (let name: string | undefined = process.name; name !== undefined; name = parents.get(name)) {
      if (seen.has(name)) throw new ModelError(`topology: ${source}: fork: process ${name} is its own ancestor`);
      seen.add(name);
    }
  }
}

/** Names of the processes forked by a script. */
export function forkedIn(run: readonly Action[]): string[] {
  return run.flatMap((a) =>
    a.do === 'fork' ? [a.child] : a.do === 'repeat' ? repeated(a.times, forkedIn(a.body)) : [],
  );
}

/** What a loop forks, twice if it goes round more than once: enough to see that it does. */
function repeated(times: number, children: readonly string[]): readonly string[] {
  const once = [...new Set(children)];
  return times > 1 ? [...once, ...once] : children;
}

/** Names of the areas a script maps, loops unrolled; at most `limit`. */
export function areaNamesIn(
  run: readonly Action[],
  limit: number,
  variables: Readonly<Record<string, number>> = {},
  names = new Set<string>(),
): Set<string> {
  for (const action of run) {
    if (action.do === 'mmap') names.add(substitute(action.area, variables));
    if (names.size > limit) throw new ModelError(`topology: fork: a process that forks may map at most ${limit} areas`);
    if (action.do !== 'repeat') continue;
    // A loop whose variable names no area maps the same ones each time it goes round.
    const times = action.as !== undefined && namesArea(action.body, action.as) ? action.times : 1;
    for (let i = 0; i < times; i++)
      areaNamesIn(action.body, limit, action.as === undefined ? variables : { ...variables, [action.as]: i }, names);
  }
  return names;
}

function namesArea(run: readonly Action[], variable: string): boolean {
  return run.some((action) =>
    action.do === 'mmap'
      ? action.area.includes(`{${variable}}`)
      : action.do === 'repeat' && action.as !== variable && namesArea(action.body, variable),
  );
}

/** Replaces `{i}` by the loop variable `i`. */
export function substitute(text: string, variables: Readonly<Record<string, number>>): string {
  return text.replaceAll(/\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(variables, name) ? String(variables[name]) : whole,
  );
}
