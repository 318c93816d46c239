/**
 * The small machine on which flushes are explored: one page that is mapped from the start, the saturated TLB, and the
 * check that nothing uses its translation after a flush of it has completed.
 */
import { addCpu, startCpu, user_mode, type Cpu, schedules } from '@shootdown/cpu';
import { addVcpu, KVM_VCPU_FLUSH_TLB, type Vcpu, type VcpuOptions } from '@shootdown/hypervisor';
import {
  Frames,
  program,
  routine,
  SystemBuilder,
  type MemoryModel,
  type Property,
  type Routine,
  type Steps,
  type System,
} from '@shootdown/machine';
import {
  CALL_FUNCTION_VECTOR,
  globalAsidOf,
  kvmTlbFlush,
  madvise_dontneed,
  Mm,
  monitoredArch,
  Smp,
  x86Tlb,
  type Kernel,
  type KvmTlbOptions,
  type X86Tlb,
  type X86TlbOptions,
  use_global_asid,
} from '@shootdown/mm';
import {
  pte_pfn,
  _PAGE_PRESENT,
  _PAGE_RW,
  _PAGE_TABLE,
  _PAGE_USER,
  connectMmus,
  FlushMonitor,
  mk_pte,
  SaturatedTlb,
  tinyShape,
  type MmuInstructions,
  formatEntry,
} from '@shootdown/mmu';
import { madvises } from './tasks.ts';

/** The page that is unmapped, whose frame is the first after the tables; and the page beside it, where there is one. */
export const PAGE = 0;
export const NEIGHBOUR = 1;
const ENTRIES = 2;
/** Operations in a row without a point. */
const HISTORY_MAX = 96;
const HZ = 1000;
const LEAF = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;

/** What a machine consists of. */
export interface FlushMachineOptions {
  readonly memoryModel: MemoryModel;
  /** Which of {@link FlushMachine.mms} each CPU has loaded to begin with, by id. */
  readonly loaded: readonly number[];
  readonly mms: number;
  /** CPUs that have left the first mm and are in its mm_cpumask still. Default none. */
  readonly left?: readonly number[];
  /** A second has passed: the next flush of an mm goes to those as well, so that they leave the mask. Default false. */
  readonly trims?: boolean;
  /** Pages that the first mm maps. Default 1. */
  readonly pages?: 1 | 2;
  /** Levels of the tables. Default 1. */
  readonly levels?: 1 | 2;
  /** Address spaces that a TLB keeps apart, by PCID modulo this. Default: as many as there are mms. */
  readonly spaces?: number;
  readonly x86?: X86TlbOptions;
  /** Ids of the mms that have a global ASID to begin with. Default none. */
  readonly global?: readonly number[];
  /** CPUs can invalidate on others: INVLPGB, or a hypercall. Default false. */
  readonly connected?: boolean;
  /** See {@link Kernel.ignoresNestedGathers}. */
  readonly ignoresNestedGathers?: boolean;
  /**
   * The page belongs to a file: the page cache has a reference to it too, and TLBs and tables keep its dirty bit.
   * Default false.
   */
  readonly file?: boolean;
  /** How the host treats each CPU, if the machine is a guest: undefined for a vCPU that is never preempted. */
  readonly host?: readonly (((machine: FlushMachine) => VcpuOptions) | undefined)[];
  readonly kvm?: Omit<KvmTlbOptions, 'stealTime'>;
}

/** A machine under construction. */
export interface FlushMachine {
  readonly builder: SystemBuilder;
  readonly kernel: Kernel;
  readonly x86: X86Tlb;
  readonly mms: readonly Mm[];
  readonly tlb: SaturatedTlb;
  readonly monitor: FlushMonitor;
  /** The page belongs to a file, whose page cache keeps it. */
  readonly file: boolean;
  /** By CPU number; undefined where the host never interferes. */
  readonly vcpus: readonly (Vcpu | undefined)[];
}

/** What a CPU runs. */
export type CpuRoutine = Routine<readonly [FlushMachine, Cpu], void>;

/** Builds everything but what the CPUs run: that, and the properties, come with {@link startMachine}. */
export function flushMachine(options: FlushMachineOptions): FlushMachine {
  const builder = new SystemBuilder({ memoryModel: options.memoryModel, maxHistory: HISTORY_MAX });
  const { pages: mapped = 1, levels = 1 } = options;
  const tables = options.mms + levels - 1;
  const leaves = Array.from({ length: mapped }, (_, page) => mk_pte(tables + page, LEAF));
  const first = levels === 1 ? leaves : [mk_pte(options.mms, _PAGE_TABLE)];
  const roots = Array.from({ length: options.mms }, (_, table) => (table === 0 ? first : []));
  const frames = new Frames(builder, {
    pointsTo: pte_pfn,
    tables,
    entriesPerTable: ENTRIES,
    formatEntry,
    pages: mapped,
    initialTables: levels === 1 ? roots : [...roots, leaves],
    initialPages: mapped,
    initialReferences: leaves.map(() => (options.file ? 2 : 1)),
  });
  const pages = leaves.map((_, page) => page);
  const cpus = options.loaded.map((_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const shape = tinyShape(levels, ENTRIES);
  const { global = [] } = options;
  const asid = 1 + (global.includes(1) ? globalAsidOf(1) : 0);
  const tlb = new SaturatedTlb(
    builder,
    cpus.map((cpu) => cpu.name),
    frames,
    shape,
    0,
    pages,
    {
      asid,
      roots: options.loaded.map((id) => id - 1),
      spaces: options.spaces ?? options.mms,
      suspendable: options.host !== undefined,
      dirtyBits: options.file ?? false,
    },
  );
  if (options.connected) connectMmus(builder, tlb.mmus, options.x86?.invlpgb ? 'invlpgb_remote' : 'hypercall_flush');
  const mms = Array.from({ length: options.mms }, (_, i) => {
    const id = i + 1;
    const globalAsid = global.includes(id) && { globalAsid: globalAsidOf(id) };
    const left = id === 1 ? (options.left ?? []).reduce((mask, cpu) => mask | (1 << cpu), 0) : 0;
    const initial = { root: i, cpumask: maskOf(options.loaded, id) | left, ...globalAsid };
    return new Mm(builder, id, initial, { tasks: cpus.length });
  });
  const monitor = new FlushMonitor(builder, frames, shape, {
    root: (mms[0] as Mm).pgd.at(0),
    cpus: cpus.length,
    pages,
  });
  tlb.monitors = [monitor];
  const vcpus: (Vcpu | undefined)[] = [];
  const kvm = options.host && {
    flush_tlb_multi: kvmTlbFlush({
      ...options.kvm,
      get stealTime() {
        return vcpus.map((vcpu) => vcpu?.stealTime);
      },
    }),
  };
  const jiffies = options.trims === true ? builder.region('jiffies', 1, { initial: [1] }).at(0) : undefined;
  const x86 = x86Tlb(builder, new Smp(builder, cpus), tlb.mmus, () => mms, {
    loaded: options.loaded,
    ...(jiffies !== undefined && { jiffies: { address: jiffies, hz: HZ } }),
    ...kvm,
    ...options.x86,
  });
  const arch = monitoredArch(x86, new Map([[mms[0] as Mm, monitor]]));
  const ptl = builder.region('ptl', tables, { memory: 'strong' });
  const ignoresNestedGathers = options.ignoresNestedGathers ?? false;
  const kernel: Kernel = { builder, cpus, mmus: tlb.mmus, frames, shape, arch, ptl, ignoresNestedGathers };
  const machine: FlushMachine = { builder, kernel, x86, mms, tlb, monitor, file: options.file ?? false, vcpus };
  options.host?.forEach((host, id) => {
    const mmu = tlb.mmus[id];
    vcpus[id] = host && mmu && addVcpu(builder, { id }, { mmu, ...host(machine) });
  });
  return machine;
}

/** A task of the first mm gives the page back. */
export const unmap = madvises(function* ({ kernel, mms }: FlushMachine, cpu: Cpu): Steps {
  yield* madvise_dontneed(kernel, cpu, mms[0] as Mm, PAGE, PAGE + 1);
});

/**
 * CPU 0 decides that the mm shall have a global ASID, goes on with another of its threads, which changes to it, and
 * unmaps.
 */
export const getsGlobalAsid = routine('getsGlobalAsid', function* (machine: FlushMachine, cpu: Cpu): Steps {
  const mm = machine.mms[0] as Mm;
  yield* use_global_asid(machine.x86.state, mm);
  yield* machine.kernel.arch.switch_mm(cpu, mm);
  yield* unmap(machine, cpu);
});

/** A task accesses the page at any time, then computes. */
export function accesses(name: string): CpuRoutine {
  return routine(name, function* ({ kernel }: FlushMachine, cpu: Cpu): Steps {
    yield* (kernel.mmus[cpu.id] as MmuInstructions).access(PAGE, false);
    yield* user_mode(cpu);
  });
}

/** A CPU runs the first mm, so that it may have the page in its TLB, then another, and comes back to it. */
export const comesBack = schedules(function* ({ kernel, mms }: FlushMachine, cpu: Cpu): Steps {
  yield* kernel.arch.switch_mm(cpu, mms[1] as Mm);
  yield* kernel.arch.switch_mm(cpu, mms[0] as Mm);
  yield* (kernel.mmus[cpu.id] as MmuInstructions).access(PAGE, false);
});

/** A CPU comes to run the first mm. */
export const comes = schedules(function* ({ kernel, mms }: FlushMachine, cpu: Cpu): Steps {
  yield* kernel.arch.switch_mm(cpu, mms[0] as Mm);
  yield* (kernel.mmus[cpu.id] as MmuInstructions).access(PAGE, false);
});

/** The witness that a paravirtual flush does what it is for. */
export function elided({ stealTime }: Vcpu): Property {
  return {
    name: 'a flush is elided',
    kind: 'sometimes',
    why: 'without a preempted vCPU a paravirtual flush is a native one',
    reads: [stealTime],
    check: (read) => (read(stealTime) & KVM_VCPU_FLUSH_TLB) !== 0,
  };
}

/** Whoever gives a page back does so: a routine that keeps it forever would break nothing else. */
function nothingLeaked({ kernel: { frames } }: FlushMachine): Property {
  const pages = Array.from({ length: frames.count - frames.tables }, (_, i) => frames.state.at(frames.tables + i));
  return {
    name: 'what was mapped is free in the end',
    kind: 'finally',
    why: 'a page that nobody gives back is lost',
    reads: pages,
    check: (read) => pages.every((page) => read(page) <= 0),
    detail: (read) =>
      pages.flatMap((page, i) => (read(page) <= 0 ? [] : [`0x${(frames.tables + i).toString(16)}`])).join(', ') +
      ' is still in use',
  };
}

/** Puts a routine on each CPU and seals the machine. */
export function startMachine(machine: FlushMachine, routines: readonly CpuRoutine[]): System {
  const { builder, kernel, x86, vcpus } = machine;
  if (!machine.file) builder.property(nothingLeaked(machine));
  kernel.cpus.forEach((cpu, id) => {
    const gate = vcpus[id]?.gateName;
    startCpu(
      builder,
      cpu,
      [program(routines[id] as CpuRoutine, machine, cpu)],
      { [CALL_FUNCTION_VECTOR]: x86.state.smp.handler(cpu) },
      gate === undefined ? {} : { gate },
    );
  });
  return builder.build();
}

function maskOf(loaded: readonly number[], id: number): number {
  return loaded.reduce((mask, mm, cpu) => (mm === id ? mask | (1 << cpu) : mask), 0);
}
