/** Machines that run mm routines, for tests: any number of CPUs and address spaces, a real or the saturated TLB. */
import {
  DirectExecutor,
  Frames,
  PctScheduler,
  program,
  RandomScheduler,
  routine,
  runScheduler,
  runVirtualTime,
  SystemBuilder,
  x86Costs,
  type Executor,
  type MemoryModel,
  type Region,
  type ScheduledRun,
  type Steps,
  type System,
  type VirtualTimeRun,
} from '@shootdown/machine';
import { addCpu, send_IPI, startCpu, type Cpu } from '@shootdown/cpu';
import {
  connectMmus,
  FlushMonitor,
  Mmu,
  pte_pfn,
  pte_present,
  SaturatedTlb,
  tinyShape,
  tlbGeometry,
  type BreakBeforeMakeRule,
  type MmuGeometry,
  type WalkShape,
} from '@shootdown/mmu';
import { Rcu } from '@shootdown/sync';
import { Arm64Contpte } from './arch/arm64-contpte.ts';
import { arm64Tlb } from './arch/arm64-tlb.ts';
import type { X86TlbOptions, X86TlbState } from './arch/x86-state.ts';
import { x86Tlb } from './arch/x86-tlb.ts';
import { ScanHand } from './daemons/scan.ts';
import { HugePages, type HugePagesMutant } from './huge-pages.ts';
import { Mm, type Kernel, type TlbArch } from './kernel.ts';
import { monitoredArch } from './monitored.ts';
import { LocklessWalkers } from './lockless-walkers.ts';
import type { SecondaryMmus } from './notify.ts';
import { NumaBalancing, type NumaMutant } from './numa-fault.ts';
import { BatchedUnmaps, type ReclaimMutant } from './tlb-batched.ts';
import { rcuTableFree } from './mmu-gather.ts';
import { CALL_FUNCTION_VECTOR, Smp } from './smp.ts';

/** Where tests map: top of a small address space. */
export const BASE = 32;
const RCU_VECTOR = 'RCU_VECTOR';
const SMALL_TLB: MmuGeometry = { l1: tlbGeometry(4, 2), l2: tlbGeometry(16, 4), walkCacheEntries: 4 };

export interface MachineOptions {
  readonly cpus: number;
  readonly mms?: number;
  readonly arch?: 'x86' | 'arm64';
  readonly tlb?: 'real' | 'saturated';
  /** Default: three levels of four entries, 64 pages. */
  readonly shape?: WalkShape;
  readonly tables?: number;
  readonly pages?: number;
  readonly x86?: X86TlbOptions;
  /** x86: CPUs can invalidate on others (INVLPGB, hypercalls). */
  readonly connected?: boolean;
  /** Tables are freed by RCU; one more CPU runs its callbacks. */
  readonly rcu?: boolean;
  readonly memoryModel?: MemoryModel;
  /** Pages whose translations are followed: needed for the saturated TLB, checked by a monitor on both. */
  readonly watched?: readonly number[];
  /** Replaces the architecture, for instance by one that records. */
  readonly wrap?: (arch: TlbArch) => TlbArch;
  /** A kernel with khugepaged, and what is left out of it. */
  readonly thp?: HugePagesMutant | 'complete' | undefined;
  /** arm64: a kernel with folios of 64 KB, in tables that have room for some. */
  readonly contpte?: boolean;
  /** A kernel that balances NUMA nodes: CPU n has a node of its own, and pages in equal shares. */
  readonly numa?: NumaMutant | 'complete' | undefined;
  /** A kernel that puts flushes of unmapped pages off. */
  readonly reclaim?: ReclaimMutant | 'complete' | undefined;
  /** arm64, saturated TLB: what may be changed without break-before-make. */
  readonly breakBeforeMake?: BreakBeforeMakeRule;
  /** saturated TLB: hardware sets dirty bits. */
  readonly dirtyBits?: boolean;
  /** Gives the first address space secondary MMUs. */
  readonly secondary?: (builder: SystemBuilder, mm: Mm) => SecondaryMmus;
}

/** What a routine of such a machine has at hand. */
export interface Machine {
  readonly system: System;
  readonly kernel: Kernel;
  readonly mms: readonly Mm[];
  readonly smp: Smp;
  readonly x86: X86TlbState | null;
  /** Words for tests to signal with. */
  readonly flags: Region;
  readonly jiffies: Region;
  /** Of a kernel thread that goes through an address space. */
  readonly hand: ScanHand;
}

export type Body = (machine: Machine, cpu: Cpu) => Steps;

export function mmMachine(options: MachineOptions, bodies: readonly Body[]): Machine {
  const { tlb = 'real', shape = tinyShape(3, 4), watched = [] } = options;
  const builder = new SystemBuilder({ memoryModel: options.memoryModel ?? 'sc' });
  const tables = options.tables ?? 12;
  const frames = new Frames(builder, {
    tables,
    entriesPerTable: Math.max(...shape.levels.map((l) => l.entries)),
    pages: options.pages ?? 16,
    ...(options.numa && {
      nodes: {
        count: options.cpus,
        zonelist: (cpu: number) => Array.from({ length: options.cpus }, (_, i) => (cpu + i) % options.cpus),
      },
    }),
  });
  const vectors = options.rcu ? [CALL_FUNCTION_VECTOR, RCU_VECTOR] : [CALL_FUNCTION_VECTOR];
  const cpus = Array.from({ length: options.cpus + (options.rcu ? 1 : 0) }, (_, id) => addCpu(builder, id, vectors));
  const names = cpus.map((cpu) => cpu.name);
  const saturated =
    tlb === 'saturated'
      ? new SaturatedTlb(builder, names, frames, shape, -1, watched, {
          spaces: 2,
          faultsInvalidate: options.arch !== 'arm64',
          ...(options.dirtyBits && { dirtyBits: true }),
          ...(options.breakBeforeMake && { breakBeforeMake: options.breakBeforeMake }),
        })
      : null;
  const real = saturated ? [] : names.map((name) => new Mmu(builder, name, frames, shape, SMALL_TLB));
  const mmus = saturated?.mmus ?? real;
  const smp = new Smp(builder, cpus);
  const mms = Array.from(
    { length: options.mms ?? 1 },
    (_, i) => new Mm(builder, i + 1, undefined, { tasks: cpus.length }),
  );
  const flags = builder.region('flags', 8);
  const jiffies = builder.region('jiffies', 1);
  if (options.arch === 'arm64') connectMmus(builder, mmus, 'dvm');
  else if (options.connected) connectMmus(builder, mmus, options.x86?.invlpgb ? 'invlpgb_remote' : 'hypercall_flush');
  const x86 = options.arch === 'arm64' ? null : x86Tlb(builder, smp, mmus, () => mms, options.x86);
  const native = x86 ?? arm64Tlb(builder, cpus, mmus);
  const monitors =
    watched.length === 0
      ? []
      : mms.map((mm): [Mm, FlushMonitor] => [
          mm,
          new FlushMonitor(builder, frames, shape, {
            name: `monitor${mm.id}`,
            root: mm.pgd.at(0),
            cpus: cpus.length,
            pages: watched,
          }),
        ]);
  const list = monitors.map(([, monitor]) => monitor);
  if (saturated) saturated.monitors = list;
  for (const mmu of real) mmu.monitors = list;
  const arch = options.wrap ? options.wrap(native) : monitoredArch(native, new Map(monitors));
  const interrupts = { request: (_from: number, to: number): Steps => send_IPI(cpus[to] as Cpu, RCU_VECTOR) };
  const rcu = options.rcu ? new Rcu(builder, { processors: cpus.length, interrupts }) : null;
  const ptl = builder.region('ptl', tables);
  const thp = options.thp && new HugePages(builder, frames, tlb_remove_table_sync_one(frames, smp));
  if (thp && options.thp !== 'complete') thp.mutant = options.thp!;
  const batched = options.reclaim && new BatchedUnmaps(builder, mms);
  if (batched && options.reclaim !== 'complete') batched.mutant = options.reclaim!;
  const numa = options.numa && new NumaBalancing((cpu) => cpu.id);
  if (numa && options.numa !== 'complete') numa.mutant = options.numa!;
  const secondary = options.secondary && { secondary: options.secondary(builder, mms[0] as Mm) };
  const kernel: Kernel = {
    builder,
    cpus,
    mmus,
    frames,
    shape,
    arch,
    ptl,
    tlb_remove_table_free: rcu ? rcuTableFree(rcu, frames) : undefined,
    ...secondary,
    ...(thp && { thp }),
    ...(options.contpte && { contpte: new Arm64Contpte(builder, frames, mmus) }),
    ...(numa && { numa }),
    ...(batched && { batched }),
  };
  const hand = new ScanHand(builder, 'scan');
  const machine = { kernel, mms, smp, x86: x86?.state ?? null, flags, jiffies, hand };
  const body = routine('test', function* (cpu: Cpu): Steps {
    yield* (bodies[cpu.id] ?? function* (): Steps {})({ ...machine, system }, cpu);
  });
  for (const cpu of cpus) {
    const handlers = {
      [CALL_FUNCTION_VECTOR]: smp.handler(cpu),
      ...(rcu && { [RCU_VECTOR]: rcu.rcu_exp_handler(cpu.id) }),
    };
    startCpu(builder, cpu, [rcu && cpu.id === options.cpus ? rcu.rcuc(cpu.id) : program(body, cpu)], handlers);
  }
  const system: System = builder.build();
  return { ...machine, system };
}

const tlb_remove_table_sync_one = (frames: Frames, smp: Smp): ((cpu: Cpu) => Steps) =>
  new LocklessWalkers({ frames, smp, firstTable: 0 }).tlb_remove_table_sync_one;

/** A run that counted. */
export interface CountedRun {
  readonly run: VirtualTimeRun;
  readonly executor: Executor;
  /** Per counter, per CPU. */
  readonly counts: Readonly<Record<string, readonly number[]>>;
  readonly violation: string | null;
}

/** Runs a machine in virtual time until all its routines have returned or rest. */
export function runMachine(machine: Machine, before?: (executor: Executor) => void): CountedRun {
  const executor = new DirectExecutor(machine.system);
  before?.(executor);
  const counts: Record<string, number[]> = {};
  executor.observe = true;
  executor.onCount = (cpu, counter, amount) => {
    const row = (counts[counter] ??= machine.kernel.cpus.map(() => 0));
    row[cpu] = (row[cpu] ?? 0) + amount;
  };
  const run = runVirtualTime(executor, { costs: x86Costs, stepsMax: 1_000_000 });
  return { run, executor, counts, violation: executor.violation?.detail ?? null };
}

/** Runs under seeded random schedules; half of the seeds make long runs of one CPU (PCT). */
export function randomRuns(
  machine: Machine,
  seeds: readonly number[],
  afterRun: (run: ScheduledRun, executor: Executor) => void,
  stepsMax = 20_000,
): void {
  const executor = new DirectExecutor(machine.system);
  executor.observe = true;
  for (const seed of seeds) {
    const scheduler = seed % 2 === 0 ? new RandomScheduler(seed) : new PctScheduler(seed, 4, 400);
    afterRun(runScheduler(executor, scheduler, stepsMax), executor);
  }
}

/** Frames in use now: numbers of tables and pages. */
export function inUse(
  { kernel }: Machine,
  executor: Executor,
): { readonly tables: number[]; readonly pages: number[] } {
  const { frames } = kernel;
  const used = Array.from({ length: frames.count }, (_, frame) => frame).filter(
    (frame) => executor.store.read(frames.state.at(frame)) > 0,
  );
  return {
    tables: used.filter((frame) => frame < frames.tables),
    pages: used.filter((frame) => frame >= frames.tables),
  };
}

/** The entry of a page as memory has it, 0 if a table is missing. */
export function entryOf({ kernel }: Machine, executor: Executor, mm: Mm, vpn: number): number {
  const { frames, shape } = kernel;
  let table = executor.store.read(mm.pgd.at(0)) - 1;
  for (const [depth, level] of shape.levels.entries()) {
    if (table < 0) return 0;
    const entry = executor.store.read(frames.entry(table, Math.floor(vpn / level.spanPages) % level.entries).address);
    if (depth === shape.levels.length - 1) return entry;
    table = pte_present(entry) ? pte_pfn(entry) : -1;
  }
  return 0;
}

/** Spans of the tables of an mm, below the root: `[level, first page]`. */
export function tablesOf({ kernel }: Machine, executor: Executor, mm: Mm): [string, number][] {
  const { frames, shape } = kernel;
  const found: [string, number][] = [];
  const visit = (table: number, depth: number, base: number): void => {
    const level = shape.levels[depth]!;
    if (depth === shape.levels.length - 1) return;
    for (let i = 0; i < level.entries; i++) {
      const entry = executor.store.read(frames.entry(table, i).address);
      if (!pte_present(entry)) continue;
      const first = base + i * level.spanPages;
      found.push([shape.levels[depth + 1]!.name, first]);
      visit(pte_pfn(entry), depth + 1, first);
    }
  };
  visit(executor.store.read(mm.pgd.at(0)) - 1, 0, 0);
  return found;
}

/** A flush as an architecture was asked for it. */
export interface Flushed {
  readonly cpu: number;
  readonly start: number;
  readonly end: number;
  readonly freed_tables: boolean;
}

/** Records flushes in a list, and still does them. */
export function recording(list: Flushed[]): (arch: TlbArch) => TlbArch {
  return (arch) => ({
    ...arch,
    *flush_tlb_mm_range(cpu, mm, start, end, freed_tables) {
      list.push({ cpu: cpu.id, start, end, freed_tables });
      yield* arch.flush_tlb_mm_range(cpu, mm, start, end, freed_tables);
    },
  });
}
