/**
 * The machine under the scenarios of secondary MMUs: CPUs of one address space, and beside them a guest and devices
 * that use the same pages through tables and TLBs of their own.
 */
import { addCpu, startCpu, type Cpu } from '@shootdown/cpu';
import {
  FrameKind,
  Frames,
  program,
  SystemBuilder,
  type Address,
  type MemoryModel,
  type Program,
  type Property,
  type System,
} from '@shootdown/machine';
import {
  AnonRmap,
  CALL_FUNCTION_VECTOR,
  handle_mm_fault,
  ipiTlb,
  Kvm,
  Memslots,
  Mm,
  secondary,
  Smp,
  zap_page_range_single,
  type ChangePteDesign,
  type FaultProtocol,
  type IpiTlbOptions,
  type Kernel,
  type KvmMutant,
  type ReuseEra,
} from '@shootdown/mm';
import {
  BBML0,
  _PAGE_TABLE,
  mk_pte,
  pte_pfn,
  pte_present,
  SaturatedTlb,
  tinyShape,
  type SaturatedMmu,
  formatEntry,
} from '@shootdown/mmu';
import {
  addDevice,
  addFaultHandler,
  InvalidationQueue,
  type MmuNotifierSubscriptions,
  Odp,
  Sva,
} from '@shootdown/mmu-notifier';

/** Operations in a row without a point. */
const HISTORY_MAX = 200;
/** Has an MMU drop everything. */
export const DROP_ALL = { type: 'invpcid', kind: 2, asid: 0, vpn: 0 } as const;

export const { entryFormat, mutex, notifyingKernel, READ_ONLY, spinlock, WRITABLE } = secondary;

/** A page of the address space as it is to begin with. */
export interface InitialPage {
  readonly writable: boolean;
  /** References to the page behind it: more than one, and a write copies it. */
  readonly references: number;
  /** The secondary tables map it already. */
  readonly established: boolean;
}

/** A CPU that changes the address space, or uses it. */
export interface PrimaryCpu {
  readonly run: (machine: SecondaryMachine, cpu: Cpu) => Program;
  /** It accesses the pages itself; otherwise it has none of their translations, and is not in mm_cpumask. */
  readonly accesses: boolean;
}

/** A guest. */
export interface GuestOptions extends secondary.SecondaryProgram {
  readonly protocol?: FaultProtocol;
  readonly change_pte?: ChangePteDesign;
  readonly rmapLock?: boolean;
  /**
   * The range has no memslot to begin with; one may be added. `at once`: without waiting for invalidations (a mutant).
   */
  readonly memslots?: 'waits' | 'at once';
  readonly mutant?: KvmMutant;
  /** False: a second invalidation replaces the range of the first (a mutant). */
  readonly rangeGrows?: boolean;
  readonly lookup?: secondary.LookupOptions;
}

/** A device. */
export interface DeviceOptions extends secondary.SecondaryProgram {
  /** `table`: one of its own, and a driver that may sleep. `tlb`: it walks the primary table. */
  readonly kind: 'table' | 'tlb';
  readonly lookup?: secondary.LookupOptions;
}

/** What the machine is made of. */
export interface SecondaryMachineOptions {
  readonly memoryModel: MemoryModel;
  readonly pages: readonly InitialPage[];
  /** Levels of the primary table. Default 1. */
  readonly levels?: 1 | 2;
  /** KSM has a stable page whose contents are those of the first page. Its frame: {@link SecondaryMachine.kpage}. */
  readonly stablePage?: boolean;
  /** Free page frames to begin with. */
  readonly freePages: number;
  readonly design: secondary.NotifierDesign;
  readonly tlb?: IpiTlbOptions;
  /** What decides whether a write fault copies. Left out: the reference count. */
  readonly reuse?: ReuseEra;
  readonly cpus: readonly PrimaryCpu[];
  readonly guest?: GuestOptions;
  readonly device?: DeviceOptions;
}

/** The machine while it is built. */
export interface SecondaryMachine {
  readonly builder: SystemBuilder;
  readonly kernel: Kernel;
  readonly mm: Mm;
  readonly subscriptions: MmuNotifierSubscriptions;
  readonly contents: secondary.PageContents;
  readonly kpage: number;
  readonly kvm: Kvm | null;
  readonly odp: Odp | null;
  /** Translations that may be cached: by the CPUs that access the pages, in their order, and by the device. */
  readonly tlbs: { readonly cpus: SaturatedTlb | null; readonly device: SaturatedTlb | null };
}

/** Frames of the tables: the primary ones, root first, then KVM's and the device's. */
const ROOT = 0;
const KVM_TABLE = 2;
const DEVICE_TABLE = 3;
const TABLES = 4;
/** Of one page: an entry, somebody else's, and one for each processor that could be looking at it. */
const REFERENCES_MAX = 8;
const ENTRIES = 2;

/** Builds the machine; `properties` adds what the scenario wants to hold. */
export function buildSecondaryMachine(
  options: SecondaryMachineOptions,
  properties: (machine: SecondaryMachine) => readonly Property[] = () => [],
): System {
  const { pages, guest, device, levels = 1 } = options;
  const builder = new SystemBuilder({ memoryModel: options.memoryModel, maxHistory: HISTORY_MAX });
  const frames = framesOf(builder, options);
  const kpage = TABLES + pages.length;
  const home = [...pages.keys(), ...(options.stablePage ? [0] : [])];
  const contents = new secondary.PageContents(builder, frames, home, options.stablePage ? 1 << kpage : 0);
  const agents = (guest ? 1 : 0) + (device ? 1 : 0);
  const cpus = Array.from({ length: options.cpus.length + agents }, (_, id) =>
    addCpu(builder, id, [CALL_FUNCTION_VECTOR]),
  );
  const users = cpus.filter(({ id }) => options.cpus[id]?.accesses);
  const shape = tinyShape(levels, ENTRIES);
  const tlb =
    users.length === 0
      ? null
      : new SaturatedTlb(
          builder,
          users.map((cpu) => cpu.name),
          frames,
          shape,
          ROOT,
          [...pages.keys()],
          { asid: 1, ...(options.tlb?.flushesUpgrades && { breakBeforeMake: BBML0 }) },
        );
  const mmus = cpus.map((cpu) => tlb?.mmus[users.indexOf(cpu)] as SaturatedMmu);
  const cpumask = users.reduce((mask, { id }) => mask | (1 << id), 0);
  const mm = new Mm(builder, 1, { root: ROOT, cpumask }, { tasks: cpus.length });
  const smp = new Smp(builder, cpus);
  const ptl = builder.region('ptl', TABLES, { memory: 'strong' });
  const arch = ipiTlb(smp, mmus, pages.length, options.tlb);
  const { kernel, subscriptions } = notifyingKernel(
    { builder, cpus, mmus, frames, shape, arch, ptl, contents, ...anonRmap(builder, frames, options) },
    mm,
    options.design,
    levels,
  );
  const programs: Program[] = [];
  const [first, second] = cpus.slice(options.cpus.length);
  const surroundings = { kernel, mm, subscriptions, contents, programs };
  const kvm = guest ? addGuest(surroundings, first as Cpu, guest) : null;
  const added = device ? addDeviceTo(surroundings, (guest ? second : first) as Cpu, device) : null;
  const machine: SecondaryMachine = {
    builder,
    kernel,
    mm,
    subscriptions,
    contents,
    kpage,
    kvm,
    odp: added?.odp ?? null,
    tlbs: { cpus: tlb, device: added?.tlb ?? null },
  };
  const all = [...options.cpus.map(({ run }, id) => run(machine, cpus[id] as Cpu)), ...programs];
  cpus.forEach((cpu, id) => startCpu(builder, cpu, [all[id] as Program], { [CALL_FUNCTION_VECTOR]: smp.handler(cpu) }));
  builder.property(referencesAddUp(machine, options));
  for (const property of properties(machine)) builder.property(property);
  return builder.build();
}

/** A page with more than one reference is mapped by others as well. */
function anonRmap(
  builder: SystemBuilder,
  { count }: Frames,
  { reuse, pages }: SecondaryMachineOptions,
): Pick<Kernel, 'anon'> {
  if (reuse === undefined) return {};
  const mapped = Array.from({ length: count }, (_, frame) => pages[frame - TABLES]?.references ?? 0);
  return { anon: new AnonRmap(builder, reuse, mapped) };
}

/** All tables exist from the start; those that nobody uses stay empty. */
function framesOf(
  builder: SystemBuilder,
  { pages, levels = 1, stablePage, freePages }: SecondaryMachineOptions,
): Frames {
  const flagsOf = (page: InitialPage): number => (page.writable ? WRITABLE : READ_ONLY);
  const mapped = pages.map((page, i) => mk_pte(TABLES + i, flagsOf(page)));
  const established = pages.map((page, i) => (page.established ? (mapped[i] as number) : 0));
  const primary = levels === 1 ? [mapped, []] : [[mk_pte(1, _PAGE_TABLE)], mapped];
  const stable = stablePage ? 1 : 0;
  return new Frames(builder, {
    pointsTo: pte_pfn,
    tables: TABLES,
    entriesPerTable: ENTRIES,
    formatEntry,
    pages: pages.length + stable + freePages,
    initialTables: [...primary, established, established],
    initialPages: pages.length + stable,
    initialReferences: pages.map((page) => page.references),
    referencesMax: REFERENCES_MAX,
  });
}

/** What a guest or device is added to, and the programs of those that are. */
interface Surroundings extends Pick<SecondaryMachine, 'kernel' | 'mm' | 'subscriptions' | 'contents'> {
  readonly programs: Program[];
}

function addGuest(
  { kernel, mm, subscriptions, contents, programs }: Surroundings,
  cpu: Cpu,
  options: GuestOptions,
): Kvm {
  const { builder, frames } = kernel;
  const vpns = [...Array.from({ length: ENTRIES }).keys()];
  const tlb = new SaturatedTlb(builder, ['vCPU0'], frames, tinyShape(1, ENTRIES), KVM_TABLE, vpns, {
    name: 'vcpu_tlb',
  });
  const kvm = new Kvm(builder, 'kvm', {
    frames,
    table: KVM_TABLE,
    format: entryFormat,
    lock: spinlock(builder, 'mmu_lock'),
    tlb: new InvalidationQueue(builder, 'kvm_requests', ['vCPU0.mmu'], DROP_ALL),
    ...(options.protocol && { protocol: options.protocol }),
    ...(options.change_pte && { change_pte: options.change_pte }),
    ...(options.rmapLock && { rmap_lock: spinlock(builder, 'rmap') }),
    ...(options.memslots && { memslots: new Memslots(builder, 'kvm', { waits: options.memslots === 'waits' }) }),
    ...(options.mutant && { mutant: options.mutant }),
    ...(options.rangeGrows !== undefined && { rangeGrows: options.rangeGrows }),
  });
  subscriptions.add('kvm', kvm.ops);
  programs.push(
    program(
      secondary.vcpu_run,
      kvm,
      secondary.primaryMmu(kernel, cpu, mm, { ...options.lookup, fault: addFaultHandler(builder, cpu.name, 'kvm') }),
      { tlb, index: 0, frames, contents },
      options,
    ),
  );
  return kvm;
}

function addDeviceTo(
  { kernel, mm, subscriptions, contents, programs }: Surroundings,
  cpu: Cpu,
  options: DeviceOptions,
): { readonly odp: Odp | null; readonly tlb: SaturatedTlb } {
  const { builder, frames } = kernel;
  const device = addDevice(builder, 'device');
  const table = options.kind === 'table' ? DEVICE_TABLE : ROOT;
  const vpns = [...Array.from({ length: ENTRIES }).keys()];
  const tlb = new SaturatedTlb(
    builder,
    ['device0'],
    frames,
    options.kind === 'table' ? tinyShape(1, ENTRIES) : kernel.shape,
    table,
    vpns,
    { name: 'device_tlb', faultsInvalidate: false },
  );
  const agent: secondary.Agent = {
    tlb,
    index: 0,
    frames,
    contents,
    stopped: device.stopped,
    mayReadOld: options.mustHold !== undefined,
  };
  const caches = new InvalidationQueue(builder, 'invalidation_queue', ['device0.mmu'], DROP_ALL);
  if (options.kind === 'tlb') {
    const sva = new Sva(device, caches);
    subscriptions.add('sva', sva.ops);
    programs.push(program(secondary.sva_run, kernel, cpu, mm, sva, agent, options));
    return { odp: null, tlb };
  }
  const odp = new Odp(builder, 'odp', {
    frames,
    table,
    format: entryFormat,
    lock: mutex(builder, 'umem_mutex'),
    device,
    tlb: caches,
  });
  subscriptions.add('odp', odp.ops);
  const lookup = { ...options.lookup, fault: addFaultHandler(builder, cpu.name, 'odp') };
  programs.push(program(secondary.odp_run, odp, secondary.primaryMmu(kernel, cpu, mm, lookup), agent, options));
  return { odp, tlb };
}

/** A thread that writes to a page it has no writable entry of. */
export function faults(page: number): PrimaryCpu {
  return { accesses: false, run: ({ kernel, mm }, cpu) => program(handle_mm_fault, kernel, cpu, mm, page, true) };
}

/** madvise(MADV_DONTNEED): a thread gives a page back. */
export function zaps(page: number): PrimaryCpu {
  return {
    accesses: false,
    run: ({ kernel, mm }, cpu) => program(zap_page_range_single, kernel, cpu, mm, page, page + 1),
  };
}

/** ksmd, which merges a page with the stable one. */
export function merges(page: number, mutant?: secondary.KsmMutant): PrimaryCpu {
  return {
    accesses: false,
    run: ({ kernel, mm, kpage }, cpu) => program(secondary.try_to_merge_one_page, kernel, cpu, mm, page, kpage, mutant),
  };
}

/** The witness that {@link merges} does. */
export function isMerged({ kernel, kpage }: SecondaryMachine, page: number): Property {
  const entry = kernel.frames.entry(ROOT, page).address;
  return {
    name: 'the page is merged',
    kind: 'sometimes',
    why: 'a page that has been written to, or is pinned, is not',
    reads: [entry],
    check: (read) => pte_pfn(read(entry)) === kpage,
  };
}

/** The primary entry of a page and a secondary one, for J3 and J4. */
export function entryPair({ kernel }: SecondaryMachine, vpn: number, entry: Address): secondary.EntryPair {
  return { ...primaryEntry(kernel, vpn), secondary: entry };
}

function primaryEntry({ frames, shape }: Kernel, vpn: number): Pick<secondary.EntryPair, 'primary' | 'primaryWords'> {
  const [top, bottom] = [frames.entry(ROOT, shape.levels.length === 1 ? vpn : 0).address, frames.entry(1, vpn).address];
  if (shape.levels.length === 1) return { primary: (read) => read(top), primaryWords: [top] };
  return { primary: (read) => (pte_present(read(top)) ? read(bottom) : 0), primaryWords: [top, bottom] };
}

/** Pages that are mapped to begin with have a reference for that; what is beyond it belongs to others. */
function referencesAddUp(
  { kernel, kpage }: SecondaryMachine,
  { pages, stablePage }: SecondaryMachineOptions,
): Property {
  const { frames } = kernel;
  const entries = pages.map((_, vpn) => primaryEntry(kernel, vpn));
  const frame = (i: number): number => TABLES + i;
  const of = Array.from({ length: frames.count - TABLES }, (_, i) => ({
    state: frames.state.at(frame(i)),
    count: frames.refcount.at(frame(i)),
    others: stablePage && frame(i) === kpage ? 1 : (pages[i]?.references ?? 1) - 1,
  }));
  return {
    name: 'at rest a page has a reference for each entry that maps it, and those of others: none is leaked, none lost',
    kind: 'finally',
    why: 'a page that is forgotten is never free again, and one that is put too often is free while it is used',
    reads: [
      ...entries.flatMap(({ primaryWords }) => primaryWords),
      ...of.flatMap(({ state, count }) => [state, count]),
    ],
    check(read) {
      const mapped = entries
        .map(({ primary }) => primary(read))
        .filter(pte_present)
        .map(pte_pfn);
      return of.every(
        ({ state, count, others }, i) =>
          (read(state) === FrameKind.page ? read(count) : 0) ===
          others + mapped.filter((pfn) => pfn === frame(i)).length,
      );
    },
  };
}
