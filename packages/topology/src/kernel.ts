/**
 * One kernel and what runs on it: the whole of a native machine, or a guest of a host.
 */
import {
  ModelError,
  program,
  type Address,
  type Frames,
  type Program,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { RESCHEDULE_VECTOR, startCpu, swapper, type Cpu } from '@shootdown/cpu';
import type { MmuGeometry, MmuInstructions, WalkShape } from '@shootdown/mmu';
import {
  Arm64Contpte,
  CALL_FUNCTION_VECTOR,
  daemons,
  lazy,
  lazy_flush_begins,
  LocklessWalkers,
  Mm,
  Smp,
  type Architecture,
  type FlushTlbMulti,
  type Kernel,
  type TlbArch,
} from '@shootdown/mm';
import type { LinkEnd } from './device-link.ts';
import { addTimer } from './timer.ts';
import { actionsIn, areaNamesIn, endsAtRest, forkedIn, type Action, type KernelDescription } from './schema.ts';
import { addKernelTables, type KernelRange } from './kernel-tables.ts';
import { addKernelThreads, kthread } from './kernel-threads.ts';
import { runActions, thread, type ProcessState, type RunContext, type Task, type ThreadContext } from './script.ts';
import { addSecondaryMmus, type SecondaryUsers } from './secondary.ts';
import { sharedCpus } from './shared-cpus.ts';
import { addScheduler, KERNEL, type Tasks } from './tasks.ts';

/** Routines of one's own, by process name and thread: they run instead of that thread's actions. */
export type OwnThreads = ReadonlyMap<string, (context: ThreadContext) => Steps>;

const INHERITED_AREAS_MAX = 256;

/** Key of {@link OwnThreads}. Processes of virtual machines may have the same name. */
export function ownThreadKey(process: string, thread: number, vm?: string): string {
  return vm === undefined ? `${process}@${thread}` : `${vm}/${process}@${thread}`;
}

/** What a kernel stands on. */
export interface KernelParts {
  readonly builder: SystemBuilder;
  readonly cpus: readonly Cpu[];
  readonly mmus: readonly MmuInstructions[];
  readonly frames: Frames;
  readonly shape: WalkShape;
  /** Processors of the whole machine, its other guests' too. */
  readonly tasks: number;
  readonly architecture: Architecture;
  /** Lazy MMU mode. Default: none, for a guest. */
  readonly lazyMode?: lazy.LazyArch;
  /** Folios of 64 KB, and contiguous entries. Default false. */
  readonly contpte?: boolean;
  readonly flushCeiling: number;
  readonly hz: number;
  /** Cycles per second of its CPUs. */
  readonly hertz: number;
  /** NUMA node of a CPU. Left out: there is one. */
  readonly nodeOf?: (cpu: number) => number;
  /** How long a task has a CPU that it shares. */
  readonly timesliceMicroseconds: number;
  /** Of every TLB, those of secondary MMUs too. */
  readonly geometry: MmuGeometry;
  /** x86: the back end of flush_tlb_multi(). Default: native. */
  readonly flush_tlb_multi?: FlushTlbMulti;
  /** What must let each CPU execute, by id. Default: nothing. */
  readonly gates?: readonly string[];
  readonly own?: OwnThreads;
  /** Devices that are placed elsewhere are: this is the machine without them. */
  readonly remote?: boolean;
  /** The virtual machine, if it is one. */
  readonly vm?: string;
}

/** A kernel with its processes. */
export interface StartedKernel {
  readonly kernel: Kernel;
  /** Processor of each CPU. */
  readonly processors: readonly number[];
  readonly end: MachineEnd;
  readonly link?: LinkEnd;
}

/** When the work of a machine is over. */
export interface MachineEnd {
  /** Processors whose thread returns. */
  readonly until: readonly number[];
  /** Processors whose thread ends in `spin` or `sleep`: what it does before that is work as well. */
  readonly untilAtRest: readonly number[];
  /** Words that count the tasks of shared CPUs that have work left. */
  readonly untilZero: readonly Address[];
}

/** Puts a kernel and its processes on CPUs. */
export function startKernel(description: KernelDescription, parts: KernelParts): StartedKernel {
  const { builder, cpus, mmus, frames, shape } = parts;
  const smp = new Smp(builder, cpus);
  const mms = description.processes.map(
    (_, i) => new Mm(builder, i + 1, undefined, { tasks: parts.tasks, cpus: cpus.length }),
  );
  const jiffies = parts.hz > 0 ? addTimer(builder, parts.hz, parts.hertz) : undefined;
  const { architecture, flushCeiling, flush_tlb_multi, hz } = parts;
  const arch = architecture.tlb({
    builder,
    cpus,
    mmus,
    smp,
    mms,
    jiffies: jiffies === undefined ? undefined : { address: jiffies, hz },
    flushCeiling,
    flush_tlb_multi,
  });
  const mode = parts.lazyMode && parts.lazyMode.defers !== 'nothing' ? lazyMmuOf(parts, parts.lazyMode) : undefined;
  const plain: Kernel = {
    builder,
    cpus,
    mmus,
    frames,
    shape,
    arch: mode ? judgingFlushes(arch, mode) : arch,
    ptl: builder.region('ptl', frames.tables, { lineWords: 1, memory: 'strong' }),
    ...(mode && { lazy: mode }),
    ...(does(description, 'collapse') && { thp: hugePages(builder, frames, smp) }),
    ...(does(description, 'numa-scan') && { numa: new daemons.NumaBalancing((cpu) => parts.nodeOf?.(cpu.id) ?? 0) }),
    ...((does(description, 'reclaim') || does(description, 'numa-scan')) && {
      batched: new daemons.BatchedUnmaps(builder, mms),
    }),
    ...(parts.contpte && { contpte: new Arm64Contpte(builder, frames, mmus) }),
  };
  const users = addSecondaryMmus(description, plain, mms, smp, parts.geometry, parts.remote);
  const { kernel } = users;
  const tasks = addScheduler(description, parts, kernel, mms);
  const processes = processStates(description, builder, mms, tasks);
  return {
    kernel,
    ...(users.link && { link: users.link }),
    ...startThreads(description, parts, users, smp, processes, tasks),
  };
}

/** Whether a kernel thread does something. */
function does({ kernelThreads = [] }: KernelDescription, what: Action['do']): boolean {
  return kernelThreads.some(({ run }) => actionsIn(run).some((action) => action.do === what));
}

function waitsForOthers(run: readonly Action[]): boolean {
  return actionsIn(run).some((action) => action.do === 'wait-for-others');
}

function hugePages(builder: SystemBuilder, frames: Frames, smp: Smp): daemons.HugePages {
  const walkers = new LocklessWalkers({ frames, smp, firstTable: 0 });
  return new daemons.HugePages(builder, frames, walkers.tlb_remove_table_sync_one);
}

/** The interrupts that the CPUs of a kernel can be sent. */
export function vectorsOf(description: KernelDescription, cpu: number): readonly string[] {
  return sharedCpus(description).has(cpu) ? [CALL_FUNCTION_VECTOR, RESCHEDULE_VECTOR] : [CALL_FUNCTION_VECTOR];
}

/** Lazy MMU mode of a run: no hazard ends it, all of them are counted. */
function lazyMmuOf({ builder, frames, cpus }: KernelParts, arch: lazy.LazyArch): lazy.LazyMmu {
  return new lazy.LazyMmu(builder, {
    frames,
    cpus,
    tasks: cpus.length,
    arch,
    batch: arch.batchMax,
    hazards: 'count',
    // Processes' entries only: no barrier is put off, and whose flush is late is not asked page by page.
    kernelEntries: 1,
    pageAt: () => 0,
    invalidate: () => undefined,
  });
}

function judgingFlushes(arch: TlbArch, mode: lazy.LazyMmu): TlbArch {
  return {
    ...arch,
    *flush_tlb_mm_range(cpu, mm, start, end, freed_tables) {
      yield* lazy_flush_begins({ lazy: mode }, cpu);
      yield* arch.flush_tlb_mm_range(cpu, mm, start, end, freed_tables);
    },
  };
}

function startThreads(
  description: KernelDescription,
  { builder, gates, own, vm }: KernelParts,
  users: SecondaryUsers,
  smp: Smp,
  processes: readonly ProcessState[],
  tasks: Tasks | null,
): Pick<StartedKernel, 'processors' | 'end'> {
  const { kernel } = users;
  const ranges = addKernelTables(description, builder, kernel.cpus, smp);
  const alone = new Map<number, { program: Program; ends: 'returns' | 'rests' | 'goes on' }>();
  const sharing: Program[] = [];
  const put = (cpu: number, task: Task | null, work: Program, ends: 'returns' | 'rests' | 'goes on'): void => {
    if (task) sharing[task.id] = work;
    else alone.set(cpu, { program: work, ends });
  };
  const contextOf = (cpu: number, task: Task | null, range: KernelRange | null): RunContext => ({
    kernel,
    cpu: kernel.cpus[cpu] as Cpu,
    processNamed: (wanted: string) => named(processes, wanted),
    task,
    scheduler: tasks?.scheduler ?? null,
    kernelRange: range,
  });
  description.processes.forEach(({ name, threads }, p) => {
    const process = processes[p] as ProcessState;
    threads.forEach((t, index) => {
      const task = tasks?.of(p, index) ?? null;
      const context = {
        ...contextOf(t.cpu, task, ranges(p, index)),
        process,
        mm: process.mm,
        awaited: threads.some(({ run }, other) => other !== index && waitsForOthers(run)),
        secondary: (mmu: string) => users.named(mmu, t),
      };
      const mine = own?.get(ownThreadKey(name, index, vm));
      if (t.routine !== undefined && mine === undefined)
        throw new ModelError(
          `topology: ${name}: thread ${index}: routine ${t.routine}: no module exports it: name the module (routines, or --routines)`,
        );
      if (t.trace !== undefined && mine === undefined)
        throw new ModelError(
          `topology: ${name}: thread ${index}: trace ${t.trace}: nobody has read it: run the topology from its file`,
        );
      const body = mine ?? ((c: ThreadContext) => runActions(c, t.run));
      const ends = mine !== undefined || !endsAtRest(t.run) ? 'returns' : 'rests';
      put(t.cpu, task, program(thread, context, index === 0, body), ends);
    });
  });
  const shared = addKernelThreads(description, builder, processes);
  description.kernelThreads?.forEach(({ cpu, run }, t) => {
    const task = tasks?.of(KERNEL, t) ?? null;
    if (shared) put(cpu, task, program(kthread, contextOf(cpu, task, ranges(KERNEL, t)), shared, run), 'goes on');
  });
  const processors: number[] = [];
  const end = { until: [] as number[], untilAtRest: [] as number[], untilZero: tasks ? [tasks.unfinished] : [] };
  for (const cpu of kernel.cpus) {
    const scheduler = tasks?.scheduler.has(cpu) ? tasks.scheduler : null;
    const work = alone.get(cpu.id);
    const programs = scheduler?.programs(cpu, (task) => sharing[task] as Program);
    const gate = gates?.[cpu.id];
    const processor = startCpu(
      builder,
      cpu,
      programs ?? [work?.program ?? program(swapper, cpu)],
      {
        [CALL_FUNCTION_VECTOR]: users.handler(cpu),
        ...(scheduler && { [RESCHEDULE_VECTOR]: scheduler.handler(cpu) }),
      },
      {
        ...(gate !== undefined && { gate }),
        ...(scheduler && { ticks: false, givesTo: scheduler.othersOf(cpu) }),
      },
    );
    processors.push(processor);
    if (work?.ends === 'returns') end.until.push(processor);
    if (work?.ends === 'rests') end.untilAtRest.push(processor);
  }
  return { processors, end };
}

function processStates(
  description: KernelDescription,
  builder: SystemBuilder,
  mms: readonly Mm[],
  tasks: Tasks | null,
): ProcessState[] {
  return description.processes.map((p, i) => {
    const parent = description.processes.find((other) => other.threads.some((t) => forkedIn(t.run).includes(p.name)));
    const names = new Set<string>();
    for (const t of parent?.threads ?? []) areaNamesIn(t.run, INHERITED_AREAS_MAX, {}, names);
    return {
      name: p.name,
      mm: mms[i] as Mm,
      threads: p.threads.length,
      resting: builder.region(`${p.name}.resting`, 1),
      started: builder.region(`${p.name}.started`, 1),
      forked: parent !== undefined,
      inheritedNames: [...names],
      inherited: builder.region(`${p.name}.inherited`, Math.max(1, 2 * names.size)),
      tasks: p.threads.flatMap((_, index) => tasks?.of(i, index)?.id ?? []),
    };
  });
}

function named(processes: readonly ProcessState[], name: string): ProcessState {
  const process = processes.find((p) => p.name === name);
  if (!process) throw new ModelError(`topology: no process ${name} (have: ${processes.map((p) => p.name).join(', ')})`);
  return process;
}
