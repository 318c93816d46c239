/**
 * Secondary MMUs of a process: virtual machines whose vCPUs are its threads, and devices that use its memory, each with
 * a table of its own behind the process's mmu notifiers.
 */
import {
  addVcpuThread,
  CHANGE_PTE_ARM64,
  CHANGE_PTE_X86,
  enter_guest,
  guest_access,
  Kvm,
  leave_guest,
  secondary,
  vcpuRequests,
  vmx_handle_exit_irqoff,
  type ChangePteDesign,
  type Kernel,
  type Mm,
  type Smp,
  type VcpuThread,
} from '@shootdown/mm';
import { ModelError, program, type Program, type Steps, type SystemBuilder } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { Fault, Mmu, tinyShape, type MmuGeometry } from '@shootdown/mmu';
import {
  addDevice,
  addFaultHandler,
  InvalidationQueue,
  Odp,
  pagefault_mr,
  Slot,
  type FaultHandler,
  type MmuNotifierSubscriptions,
} from '@shootdown/mmu-notifier';
import type { LinkEnd } from './device-link.ts';
import { DriverLink } from './remote-device.ts';
import { actionsIn, type KernelDescription } from './schema.ts';

const CHANGE_PTE: Readonly<Record<string, ChangePteDesign>> = {
  x86: CHANGE_PTE_X86,
  arm64: CHANGE_PTE_ARM64,
};
/** Has an MMU drop everything. */
const DROP_ALL = { type: 'invpcid', kind: 2, asid: 0, vpn: 0 } as const;

/** What a thread can do with a secondary MMU. */
export interface SecondaryUse {
  /** The pages of an area are what it translates from now on. */
  attach(first: number, pages: number): Steps;
  readonly slot: Slot;
  /** The actor of the faults of the thread that asked for it. */
  readonly fault?: FaultHandler;
  /** The thread's CPU, or its device, accesses each page of the slot so many times over. */
  run(cpu: Cpu, body: SecondaryBody): Steps;
}

/** What a guest or a device does. */
export interface SecondaryBody {
  readonly rounds: number;
  readonly write: boolean;
  /** Computing before each access, */
  readonly cycles: number;
  /** which is this on the CPU of the thread. */
  readonly computes: () => Steps;
  readonly fault?: FaultHandler;
}

/** The secondary MMUs of a kernel. */
export interface SecondaryUsers {
  readonly kernel: Kernel;
  /** The handler of a CPU's call interrupts, and what a guest makes of it. */
  handler(cpu: Cpu): Program;
  /** @param thread which uses it, as the description has it */
  named(mmu: string, thread: Thread): SecondaryUse | null;
  /** The end of the link to a device that runs elsewhere. */
  readonly link: LinkEnd | null;
}

type SecondaryDescription = KernelDescription['processes'][number]['secondaryMmus'][number];
type Thread = KernelDescription['processes'][number]['threads'][number];

/** Adds them, if a process has any. */
export function addSecondaryMmus(
  { processes }: KernelDescription,
  kernel: Kernel,
  mms: readonly Mm[],
  smp: Smp,
  geometry: MmuGeometry,
  remote = false,
): SecondaryUsers {
  const index = processes.findIndex(({ secondaryMmus }) => secondaryMmus.length > 0);
  const process = processes[index];
  if (!process) return { kernel, handler: (cpu) => smp.handler(cpu), named: () => null, link: null };
  const mm = mms[index] as Mm;
  const design = secondary.NotifierEra[process.notifiers];
  const notifying = secondary.notifyingKernel(kernel, mm, design, kernel.frames.tables);
  const vcpus = new Map<number, VcpuThread>();
  const uses = new Map<string, SecondaryUse>();
  const faults = new Map<string, ReadonlyMap<Thread, FaultHandler>>();
  let link: LinkEnd | null = null;
  process.secondaryMmus.forEach((description, table) => {
    const on = process.threads.filter(({ run }) =>
      actionsIn(run).some((action) => action.do === 'guest' && action.mmu === description.name),
    );
    const parts = { ...notifying, mm, smp, geometry, description, table };
    const driver =
      remote && description.kind === 'device' && description.placement
        ? new DriverLink(notifying.kernel, description.name)
        : null;
    if (driver) link = driver.end;
    const use =
      description.kind === 'kvm'
        ? addKvm(parts, [...new Set(on.map(({ cpu }) => kernel.cpus[cpu] as Cpu))], vcpus)
        : driver
          ? addRemoteDevice(parts, driver)
          : addDeviceTable(parts);
    uses.set(description.name, use);
    faults.set(description.name, faultHandlers(notifying.kernel, process.threads, description.name));
  });
  return {
    kernel: notifying.kernel,
    named(mmu, thread) {
      const use = uses.get(mmu);
      const fault = faults.get(mmu)?.get(thread);
      return use ? { ...use, ...(fault && { fault }) } : null;
    },
    link,
    handler(cpu) {
      const vcpu = vcpus.get(cpu.id);
      return vcpu ? program(vmx_handle_exit_irqoff, vcpu, smp.handler(cpu)) : smp.handler(cpu);
    },
  };
}

/** Threads that share a CPU may be in the middle of a fault at once, so each has an actor of its own. */
function faultHandlers({ builder, cpus }: Kernel, threads: readonly Thread[], mmu: string): Map<Thread, FaultHandler> {
  const handlers = new Map<Thread, FaultHandler>();
  const onCpu = new Set<number>();
  threads.forEach((thread, index) => {
    if (!actionsIn(thread.run).some((action) => (action.do === 'guest' || action.do === 'dma') && action.mmu === mmu))
      return;
    const name = onCpu.has(thread.cpu) ? `${mmu}.thread${index}` : mmu;
    onCpu.add(thread.cpu);
    handlers.set(thread, addFaultHandler(builder, (cpus[thread.cpu] as Cpu).name, name));
  });
  return handlers;
}

/** How the fault handler of a thread finds pages in its process. */
function lookupFor({ fault }: SecondaryBody): secondary.LookupOptions {
  return { takesMmapLock: true, ...(fault && { fault }) };
}

interface Parts {
  readonly kernel: Kernel;
  readonly subscriptions: MmuNotifierSubscriptions;
  readonly mm: Mm;
  readonly smp: Smp;
  readonly geometry: MmuGeometry;
  readonly description: SecondaryDescription;
  readonly table: number;
}

function secondaryMmu(builder: SystemBuilder, name: string, { kernel: { frames }, geometry }: Parts): Mmu {
  return new Mmu(builder, name, frames, tinyShape(1, frames.entriesPerTable), geometry);
}

/** A slot changes while nobody who holds the mmap lock is in the middle of an invalidation. */
function* attach({ mm, kernel, description }: Parts, slot: Slot, first: number, pages: number): Steps {
  const { entriesPerTable } = kernel.frames;
  if (pages > entriesPerTable)
    throw new ModelError(
      `topology: attach: ${description.name} translates at most ${entriesPerTable} pages: its table has one level (${pages})`,
    );
  yield* mm.mmap_write_lock();
  yield* slot.set(first, pages);
  yield* mm.mmap_write_unlock();
}

function addKvm(parts: Parts, cpus: readonly Cpu[], vcpus: Map<number, VcpuThread>): SecondaryUse {
  const { kernel, subscriptions, mm, smp, description, table } = parts;
  const { builder, frames } = kernel;
  const { name, changePte } = description;
  const mine = cpus.map((cpu, i) => {
    const vcpu = addVcpuThread(builder, cpu, secondaryMmu(builder, `${name}.vcpu${i}`, parts), `${name}.vcpu${i}`);
    vcpus.set(cpu.id, vcpu);
    return vcpu;
  });
  const kvm = new Kvm(builder, name, {
    frames,
    table,
    format: secondary.entryFormat,
    lock: secondary.spinlock(builder, `${name}.mmu_lock`),
    tlb: vcpuRequests(smp, mine),
    ...(changePte !== 'none' && { change_pte: CHANGE_PTE[changePte] as ChangePteDesign }),
  });
  const slot = new Slot(builder, name);
  subscriptions.add(name, slot.ops(kvm.ops));
  return {
    slot,
    attach: (first, pages) => attach(parts, slot, first, pages),
    *run(cpu, body) {
      const { rounds, write, computes } = body;
      const vcpu = vcpus.get(cpu.id) as VcpuThread;
      const primary = slot.primary(secondary.primaryMmu(kernel, cpu, mm, lookupFor(body)));
      const pages = yield* slot.size();
      yield* vcpu.mmu.load_root(table, 0, false);
      yield* enter_guest(vcpu);
      for (let i = 0; i < rounds * pages; i++) {
        yield* computes();
        if (!(yield* guest_access(vcpu, kvm, primary, i % pages, write))) break;
      }
      yield* leave_guest(vcpu);
    },
  };
}

/** The device is a part by itself: here is its driver, which is a kernel thread of whoever uses it. */
function addRemoteDevice(parts: Parts, driver: DriverLink): SecondaryUse {
  const { kernel, subscriptions, mm, description } = parts;
  const { builder, frames } = kernel;
  const { name } = description;
  const odp = new Odp(builder, name, {
    frames,
    table: driver,
    format: secondary.entryFormat,
    lock: secondary.mutex(builder, `${name}.umem_mutex`),
    device: addDevice(builder, `${name}.device`),
    tlb: driver,
  });
  const slot = new Slot(builder, name);
  subscriptions.add(name, slot.ops(odp.ops));
  return {
    slot,
    attach: (first, pages) => attach(parts, slot, first, pages),
    *run(cpu, body) {
      const primary = slot.primary(secondary.primaryMmu(kernel, cpu, mm, lookupFor(body)));
      yield* driver.serves(odp, primary, yield* slot.size(), body);
    },
  };
}

/** The engine of a device is as fast as the CPU of the thread that stands for it. */
function addDeviceTable(parts: Parts): SecondaryUse {
  const { kernel, subscriptions, mm, description, table } = parts;
  const { builder, frames } = kernel;
  const { name } = description;
  const mmu = secondaryMmu(builder, name, parts);
  const odp = new Odp(builder, name, {
    frames,
    table,
    format: secondary.entryFormat,
    lock: secondary.mutex(builder, `${name}.umem_mutex`),
    device: addDevice(builder, `${name}.device`),
    tlb: new InvalidationQueue(builder, `${name}.invalidation_queue`, [mmu.name], DROP_ALL),
  });
  const slot = new Slot(builder, name);
  subscriptions.add(name, slot.ops(odp.ops));
  return {
    slot,
    attach: (first, pages) => attach(parts, slot, first, pages),
    *run(cpu, body) {
      const { rounds, write, computes } = body;
      const primary = slot.primary(secondary.primaryMmu(kernel, cpu, mm, lookupFor(body)));
      const pages = yield* slot.size();
      yield* mmu.load_root(table, 0, false);
      for (let i = 0; i < rounds * pages; i++) {
        yield* computes();
        while ((yield* mmu.access(i % pages, write)) !== Fault.none)
          if (!(yield* pagefault_mr(odp, primary, i % pages, write))) return;
      }
    },
  };
}
