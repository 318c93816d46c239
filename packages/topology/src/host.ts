/**
 * A host: virtual machines whose vCPUs are pinned round robin onto its physical CPUs.
 */
import { Frames, ModelError, ScopedBuilder, type SystemBuilder } from '@shootdown/machine';
import { addCpu, interruptPending, type Cpu } from '@shootdown/cpu';
import { addHost, addVcpu, ept_violation, guestHooks, Vm, type Vcpu } from '@shootdown/hypervisor';
import {
  formatEntry,
  Mmu,
  NestedMmu,
  PhysicalTlb,
  SecondStage,
  walkShape,
  type MmuGeometry,
  type MmuInstructions,
  type WalkShape,
} from '@shootdown/mmu';
import { architectures, GuestMemory, kvmTlbFlush, lazy, type Kernel } from '@shootdown/mm';
import { geometryNamed } from '@shootdown/page-table';
import type { Layout, Placed } from './layout.ts';
import { numberedPages } from './description.ts';
import { startKernel, vectorsOf, type MachineEnd, type OwnThreads } from './kernel.ts';
import type { Topology, VmDescription } from './schema.ts';

type HostDescription = NonNullable<Topology['host']>;

const MICROSECONDS = 1e6;
const NESTED_SHAPES = { 4: 'x86-64-4l', 5: 'x86-64-5l' } as const;

/** A virtual machine of an assembled host. */
export interface AssembledVm {
  readonly name: string;
  readonly kernel: Kernel;
  readonly vm: Vm;
  readonly vcpus: readonly Vcpu[];
  readonly stage: SecondStage | null;
  /** Processor of each of its CPUs. */
  readonly processors: readonly number[];
}

/** The virtual machines of a host. */
export interface AssembledHost {
  readonly vms: readonly AssembledVm[];
  readonly end: MachineEnd;
}

/** What a machine is made of besides its description. */
export interface MachineParts {
  readonly geometry: MmuGeometry;
  /** Cycles per second of every CPU. */
  readonly hertz: number;
  readonly own: OwnThreads;
  /** Where the physical CPUs are, and what runs on each. */
  readonly layout: Layout;
  readonly where: Placed;
}

/** Adds a host's physical CPUs, its virtual machines and what runs in them. */
export function assembleHost(
  builder: SystemBuilder,
  topology: Topology,
  host: HostDescription,
  parts: MachineParts,
): AssembledHost {
  const shape = walkShape(geometryNamed(topology.architecture));
  const second = host.secondStage === false ? null : secondStages(builder, topology, host, host.secondStage, parts);
  const onCpu: Vcpu[][] = Array.from({ length: topology.cpus }, () => []);
  let next = 0;
  const vms = host.vms.map((description, index) => {
    const pins = description.cpus;
    const cpuOf = (vcpu: number): number =>
      pins ? (pins[vcpu % pins.length] as number) : (next + vcpu) % topology.cpus;
    const before = onCpu.map((vcpus) => vcpus.length);
    const first = (vcpu: number): boolean =>
      before[cpuOf(vcpu)] === 0 && !Array.from({ length: vcpu }, (_, i) => cpuOf(i)).includes(cpuOf(vcpu));
    const scope = new ScopedBuilder(builder, description.name);
    const guest = assembleVm(scope, topology, host, description, shape, {
      stage: second?.stages[index] ?? null,
      tlbOf: (vcpu) => second?.tlbs[cpuOf(vcpu)] ?? null,
      ...parts,
      vpidOf: (vcpu) => next + vcpu + 1,
      waits: (vcpu) => !first(vcpu),
    });
    guest.vcpus.forEach((vcpu, i) => onCpu[cpuOf(i)]?.push(vcpu));
    placeVm(parts.where, guest, cpuOf);
    next += guest.vcpus.length;
    return guest;
  });
  addPhysicalCpus(builder, topology, host, parts.hertz, onCpu);
  const end = {
    until: vms.flatMap((vm) => vm.end.until),
    untilAtRest: vms.flatMap((vm) => vm.end.untilAtRest),
    untilZero: vms.flatMap((vm) => vm.end.untilZero),
  };
  return { vms, end };
}

/** Which physical CPU the processors and actors of a virtual machine are on. */
function placeVm({ processors, components }: Placed, guest: AssembledVm, cpuOf: (vcpu: number) => number): void {
  guest.processors.forEach((processor, i) => (processors[processor] = cpuOf(i)));
  guest.kernel.cpus.forEach((cpu, i) => {
    components.set(cpu.component, cpuOf(i)).set((guest.vcpus[i] as Vcpu).component, cpuOf(i));
    components.set((guest.kernel.mmus[i] as MmuInstructions).component, cpuOf(i));
  });
}

/** The physical CPUs are out of step with one another, as the schedulers of a host are. */
function addPhysicalCpus(
  builder: SystemBuilder,
  { cpus }: Topology,
  { timesliceMicroseconds, hz }: HostDescription,
  hertz: number,
  onCpu: readonly (readonly Vcpu[])[],
): void {
  const timesliceCycles = Math.round((timesliceMicroseconds * hertz) / MICROSECONDS);
  const sliceTicks = (timesliceMicroseconds * hz) / MICROSECONDS;
  onCpu.forEach((vcpus, id) => {
    if (vcpus.length > 0)
      addHost(builder, id, vcpus, {
        timesliceCycles,
        sliceTicks,
        firstCycles: Math.floor((timesliceCycles * (id + 1)) / cpus),
      });
  });
}

interface SecondStages {
  readonly stages: readonly SecondStage[];
  /** By physical CPU. */
  readonly tlbs: readonly PhysicalTlb[];
}

/** The host's memory is as large as all of its guests': nothing is overcommitted but the CPUs. */
function secondStages(
  builder: SystemBuilder,
  topology: Topology,
  host: HostDescription,
  options: Exclude<HostDescription['secondStage'], false>,
  { geometry, layout }: MachineParts,
): SecondStages {
  const shape = walkShape(geometryNamed(NESTED_SHAPES[options.levels]));
  const entriesPerTable = Math.max(...shape.levels.map((level) => level.entries));
  const guestFrames = host.vms.map((vm) => guestFramesOf(topology, vm));
  const tables = guestFrames.reduce((sum, frames) => sum + options.levels - 1 + Math.ceil(frames / entriesPerTable), 0);
  const pages = guestFrames.reduce((a, b) => a + b, 0);
  const frames = new Frames(builder, {
    name: 'host.frame',
    tables,
    entriesPerTable,
    ...numberedPages(tables, pages),
    initialTables: host.vms.map(() => []),
    formatEntry,
  });
  const stages = host.vms.map(
    (vm, root) =>
      new SecondStage(builder, {
        name: `${vm.name}.ept`,
        host: frames,
        shape,
        root,
        guestFrames: guestFrames[root] ?? 0,
      }),
  );
  const tlbs = new Map<number, PhysicalTlb>();
  for (const [id, core] of layout.core.entries())
    if (!tlbs.has(core))
      tlbs.set(core, new PhysicalTlb(builder, `host.CPU${id}.tlb`, shape.bitsPerLevel, geometry, options));
  return { stages, tlbs: layout.core.map((core) => tlbs.get(core) as PhysicalTlb) };
}

function memoryOf(topology: Topology, vm: VmDescription): Topology['memory'] {
  return vm.memory ?? topology.memory;
}

function guestFramesOf(topology: Topology, vm: VmDescription): number {
  const { tables, pages } = memoryOf(topology, vm);
  return tables + numberedPages(tables, pages).pages;
}

interface Under extends MachineParts {
  readonly stage: SecondStage | null;
  readonly tlbOf: (vcpu: number) => PhysicalTlb | null;
  readonly vpidOf: (vcpu: number) => number;
  readonly waits: (vcpu: number) => boolean;
}

function assembleVm(
  builder: SystemBuilder,
  topology: Topology,
  host: HostDescription,
  description: VmDescription,
  shape: WalkShape,
  under: Under,
): AssembledVm & { readonly end: MachineEnd } {
  const { tables, pages } = memoryOf(topology, description);
  const frames = new Frames(builder, {
    tables,
    entriesPerTable: Math.max(...shape.levels.map((level) => level.entries)),
    ...numberedPages(tables, pages),
    pageLists: host.vms.reduce((sum, vm) => sum + vm.vcpus, 0),
    formatEntry: lazy.formatLazyEntry,
  });
  const { stage } = under;
  const vm = new Vm(builder, {
    pauseLoopExiting: host.pauseLoopExiting,
    ...(stage && { page_fault: (cx, gfn, vcpu) => behind?.page_fault(cx, gfn, vcpu) }),
  });
  const behind = stage && new GuestMemory(builder, vm, { name: 'kvm', stage });
  const kernel = { ...description, cpus: description.vcpus };
  const cpus = Array.from({ length: description.vcpus }, (_, id) => addCpu(builder, id, vectorsOf(kernel, id)));
  const vcpus: Vcpu[] = [];
  const mmus = cpus.map((cpu) => guestMmu(builder, cpu, frames, shape, under, () => vcpus[cpu.id]));
  for (const cpu of cpus) vcpus.push(guestVcpu(builder, cpu, mmus[cpu.id] as MmuInstructions, vm, host, under));
  const flush = description.paravirtualFlush
    ? { flush_tlb_multi: kvmTlbFlush({ stealTime: vcpus.map((vcpu) => vcpu.stealTime) }) }
    : {};
  const started = startKernel(kernel, {
    builder,
    cpus,
    mmus,
    frames,
    shape,
    tasks: host.vms.reduce((sum, vm) => sum + vm.vcpus, 0),
    architecture: architectures[topology.architecture],
    flushCeiling: topology.flushCeiling,
    hz: topology.hz,
    hertz: under.hertz,
    timesliceMicroseconds: topology.timesliceMicroseconds,
    gates: vcpus.map((vcpu) => vcpu.gateName),
    geometry: under.geometry,
    own: under.own,
    vm: description.name,
    ...flush,
  });
  cpus.forEach((cpu, id) => {
    const vcpu = vcpus[id] as Vcpu;
    if (vcpu.member) vcpu.member.processor = started.processors[id] as number;
    cpu.guest = guestHooks(vm, vcpu);
  });
  return { name: description.name, vm, vcpus, stage: under.stage, ...started };
}

function guestMmu(
  builder: SystemBuilder,
  cpu: Cpu,
  frames: Frames,
  shape: WalkShape,
  under: Under,
  vcpu: () => Vcpu | undefined,
): MmuInstructions {
  const tlb = under.tlbOf(cpu.id);
  if (!under.stage || !tlb) return new Mmu(builder, cpu.name, frames, shape, under.geometry);
  return new NestedMmu(builder, cpu.name, frames, shape, {
    stage: under.stage,
    tlb,
    vpid: under.vpidOf(cpu.id),
    violation(cx, gfn, _write, from) {
      const mine = vcpu();
      if (!mine) throw new ModelError(`topology: ${cpu.name}: EPT violation before there is a vCPU`);
      ept_violation(cx, mine, gfn, from);
    },
  });
}

function guestVcpu(
  builder: SystemBuilder,
  cpu: Cpu,
  mmu: MmuInstructions,
  vm: Vm,
  host: HostDescription,
  under: Under,
): Vcpu {
  const tlb = under.tlbOf(cpu.id);
  return addVcpu(builder, cpu, {
    mmu,
    waits: under.waits(cpu.id),
    onlyAtInstructionBoundary: host.preemptedAtBoundaryOnly,
    of: {
      vm,
      interruptPending: (cx) => interruptPending(cx, cpu),
      ...(under.stage && tlb && { invept: (cx) => tlb.invept(cx) }),
    },
  });
}
