/**
 * The machine on which change_pte() is measured: a guest of two vCPUs on two CPUs of a host, and on a third CPU
 * somebody who replaces its pages: ksmd, which merges them, or a thread of the virtual machine monitor, which writes to
 * merged ones and so breaks the merge.
 */
import { addCpu, startCpu, swapper, type Cpu } from '@shootdown/cpu';
import {
  count,
  Frames,
  program,
  Random,
  rest,
  routine,
  SystemBuilder,
  work,
  type Program,
  type Steps,
  type System,
} from '@shootdown/machine';
import {
  addVcpuThread,
  CALL_FUNCTION_VECTOR,
  enter_guest,
  guest_access,
  Kvm,
  Mm,
  secondary,
  Smp,
  use_mm,
  user_access,
  VcpuCounter,
  vcpuRequests,
  VM_DATA_DEFAULT_FLAGS,
  vmx_handle_exit_irqoff,
  x86Tlb,
  type ChangePteDesign,
  type Kernel,
  type VcpuThread,
} from '@shootdown/mm';
import { defaultMmuGeometry, formatEntry, mk_pte, Mmu, tinyShape } from '@shootdown/mmu';
import { addDevice, InvalidationQueue, Odp, type MmuNotifierSubscriptions } from '@shootdown/mmu-notifier';
import { DROP_ALL, entryFormat, mutex, notifyingKernel, READ_ONLY, spinlock, WRITABLE } from './secondary-machine.ts';

/** Pages of the guest that may be replaced, and as many that stay as they are. */
export const MERGEABLE_PAGES = 256;
const GUEST_PAGES = 2 * MERGEABLE_PAGES;
const VCPUS = 2;
const PRIMARY = 0;
const SECOND_STAGE = 1;
const DEVICE_TABLE = 2;
const TABLES = 3;
/** The page of KSM's stable tree: all of the guest's pages are equal to it. */
const KPAGE = TABLES + GUEST_PAGES;

/** Who replaces pages of the guest. */
export type Replacer =
  /** ksmd merges one page after the other. The guest only reads. */
  | 'merge'
  /** All pages are merged; the monitor writes to one after the other (emulated DMA, say), and the guest reads. */
  | 'host breaks'
  /** All pages are merged; a vCPU writes to one after the other, and the other vCPU reads. */
  | 'guest breaks';

/** What is run. */
export interface ChangePteLoad {
  readonly replacer: Replacer;
  /** Cost of what the replacer does between two pages: that sets its rate. Entry of the cost table. */
  readonly pause: string;
  /** So many of the mergeable pages are replaced, the first ones. */
  readonly pages: number;
  /** Of every so many mergeable pages the guest reads one, at random, and otherwise pages that stay as they are. */
  readonly oneIn: number;
}

/** How the kernel tells KVM. */
export interface ChangePteKernel {
  readonly design: secondary.NotifierDesign;
  readonly change_pte?: ChangePteDesign;
  /** A device with a table of its own has subscribed, too. It accesses nothing. */
  readonly device?: boolean;
}

/** Counters of a run. */
export const GuestCounter = {
  accesses: 'guest accesses',
  ...VcpuCounter,
  replaced: 'pages replaced',
} as const;

/** Builds the machine. */
export function buildChangePte({ design, change_pte, device }: ChangePteKernel, load: ChangePteLoad): System {
  const { replacer } = load;
  const builder = new SystemBuilder();
  const frames = framesOf(builder, replacer !== 'merge');
  const cpus = Array.from({ length: 1 + VCPUS }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]));
  const shape = tinyShape(1, GUEST_PAGES);
  const mmuOf = (name: string): Mmu => new Mmu(builder, name, frames, shape, defaultMmuGeometry);
  const mmus = cpus.map((cpu) => mmuOf(cpu.name));
  const smp = new Smp(builder, cpus);
  const mm = new Mm(builder, 1, { root: PRIMARY, cpumask: 0 }, { tasks: cpus.length });
  const ptl = builder.region('ptl', TABLES, { memory: 'strong' });
  const arch = x86Tlb(builder, smp, mmus, () => [mm]);
  const { kernel, subscriptions } = notifyingKernel(
    { builder, cpus, mmus, frames, shape, arch, ptl },
    mm,
    design,
    PRIMARY + 1,
  );
  const vcpus = cpus.slice(1).map((cpu, i) => addVcpuThread(builder, cpu, mmuOf(`guest${i}`), `vcpu${i}`));
  const kvm = new Kvm(builder, 'kvm', {
    frames,
    table: SECOND_STAGE,
    format: entryFormat,
    lock: spinlock(builder, 'mmu_lock'),
    tlb: vcpuRequests(smp, vcpus),
    ...(change_pte && { change_pte }),
  });
  subscriptions.add('kvm', kvm.ops);
  if (device) addIdleDevice(kernel, subscriptions, mmuOf('device0'));
  const guestBreaks = replacer === 'guest breaks';
  const bodies: Program[] = [
    guestBreaks ? program(swapper, cpus[0] as Cpu) : program(replaces, kernel, cpus[0] as Cpu, mm, load),
    ...vcpus.map((vcpu, i) => program(runs, kernel, kvm, mm, vcpu, i, load, guestBreaks && i === 0)),
  ];
  cpus.forEach((cpu, id) => {
    const vcpu = vcpus.find((v) => v.cpu === cpu);
    const handler = smp.handler(cpu);
    startCpu(builder, cpu, [bodies[id] as Program], {
      [CALL_FUNCTION_VECTOR]: vcpu ? program(vmx_handle_exit_irqoff, vcpu, handler) : handler,
    });
  });
  return builder.build();
}

/** All pages are the guest's own and writable, or the mergeable ones are merged already. */
function framesOf(builder: SystemBuilder, merged: boolean): Frames {
  const pages = [...Array.from({ length: GUEST_PAGES }).keys()];
  const primary = pages.map((i) =>
    merged && i < MERGEABLE_PAGES ? mk_pte(KPAGE, READ_ONLY) : mk_pte(TABLES + i, WRITABLE),
  );
  return new Frames(builder, {
    tables: TABLES,
    entriesPerTable: GUEST_PAGES,
    formatEntry,
    pages: 2 * GUEST_PAGES + 1,
    initialTables: [primary, primary, []],
    initialPages: GUEST_PAGES + 1,
    initialReferences: merged ? [...pages.map(() => 1), 1 + MERGEABLE_PAGES] : [],
  });
}

/** A vCPU: computes and reads, for ever; or writes to one page after the other. */
const runs = routine(
  'kvm_arch_vcpu_ioctl_run',
  function* (
    kernel: Kernel,
    kvm: Kvm,
    mm: Mm,
    vcpu: VcpuThread,
    seed: number,
    { pause, pages, oneIn }: ChangePteLoad,
    writes: boolean,
  ): Steps {
    const random = new Random(seed);
    const primary = secondary.primaryMmu(kernel, vcpu.cpu, mm);
    yield* use_mm(kernel, vcpu.cpu, mm);
    yield* vcpu.mmu.load_root(SECOND_STAGE, 0, false);
    yield* enter_guest(vcpu);
    for (let i = 0; !writes || i < pages; i++) {
      yield* work(writes ? pause : 'guest_compute');
      const gfn = writes ? i : readPage(random.below(MERGEABLE_PAGES), oneIn);
      yield* guest_access(vcpu, kvm, primary, gfn, writes);
      yield* count(writes ? GuestCounter.replaced : GuestCounter.accesses);
    }
    yield* rest();
  },
);

/** Whatever share of the mergeable pages is read, each of those is read equally often. */
function readPage(page: number, oneIn: number): number {
  return page % oneIn === 0 ? page : MERGEABLE_PAGES + page;
}

/** ksmd, or the thread of the monitor. */
const replaces = routine(
  'replacer',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, { replacer, pause, pages }: ChangePteLoad): Steps {
    yield* mm.vmas.insert(0, GUEST_PAGES, VM_DATA_DEFAULT_FLAGS, { label: '(guest memory)' });
    yield* use_mm(kernel, cpu, mm);
    for (let vpn = 0; vpn < pages; vpn++) {
      yield* work(pause);
      // A page that a fault has just pinned is not merged: ksmd goes on to the next.
      const replaced =
        replacer === 'merge'
          ? yield* secondary.try_to_merge_one_page(kernel, cpu, mm, vpn, KPAGE)
          : (yield* user_access(kernel, cpu, mm, vpn, true)) === 'retry';
      if (replaced) yield* count(GuestCounter.replaced);
    }
  },
);

function addIdleDevice(kernel: Kernel, subscriptions: MmuNotifierSubscriptions, mmu: Mmu): void {
  const { builder, frames } = kernel;
  const tlb = new InvalidationQueue(builder, 'invalidation_queue', [mmu.name], DROP_ALL);
  subscriptions.add(
    'odp',
    new Odp(builder, 'odp', {
      frames,
      table: DEVICE_TABLE,
      format: entryFormat,
      lock: mutex(builder, 'umem_mutex'),
      device: addDevice(builder, 'device'),
      tlb,
    }).ops,
  );
}
