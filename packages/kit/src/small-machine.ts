/**
 * A small machine to put a question about page tables to: CPUs with their TLBs, a few pages, IPIs, a flush.
 *
 * Everything is there in one call; what a model needs besides is a routine per CPU. Routines keep the kernel's names.
 */
import { addCpu, startCpu, swapper, type Cpu } from '@shootdown/cpu';
import { addVcpu, type Vcpu } from '@shootdown/hypervisor';
import {
  FrameKind,
  Frames,
  ModelError,
  noteMethods,
  printable,
  operation,
  program,
  routine,
  SystemBuilder,
  type Address,
  type EntryPointer,
  type Property,
  type Region,
  type Routine,
  type Steps,
  type System,
} from '@shootdown/machine';
import {
  CALL_FUNCTION_VECTOR,
  folio_try_get,
  globalAsidOf,
  Mm,
  monitoredArch,
  pte_lock,
  pte_unlock,
  Smp,
  zap_page_range_single,
  type Kernel,
  type TlbArch,
  type X86Tlb,
} from '@shootdown/mm';
import {
  pte_pfn,
  _PAGE_PRESENT,
  _PAGE_RW,
  _PAGE_USER,
  BBML0,
  FlushMonitor,
  formatEntry,
  indexOf,
  mk_pte,
  SaturatedTlb,
  type SaturatedMmu,
  type WalkLevel,
} from '@shootdown/mmu';
import { architecture, asidIsMm, connect } from './architecture.ts';
import { checkCpu, checkPage, checkPages, checkSmallMachine, CPUS_DEFAULT } from './check-options.ts';
import type { SmallMachineOptions, VcpuChoice } from './options.ts';
import { tablesFor, type Tables } from './tables.ts';
import {
  accessObserver,
  GHOST,
  KERNEL_READ,
  KERNEL_WRITE,
  kernelAccess,
  type AccessRule,
  type DataOf,
} from './watching.ts';

/** What a CPU runs. */
export type CpuCode = (machine: SmallMachine, cpu: Cpu) => Steps<unknown>;

/** The sentence that {@link SmallMachine.promise} checks. */
export const OLD_TRANSLATION = 'from here on nobody uses the old translation';

const ENTRIES_DEFAULT = 2;
const HISTORY_MAX_DEFAULT = 96;
const LEAF = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;

/** Says from when on nobody may use what a page was: see {@link SmallMachine.promise}. */
export interface Promised {
  /** No step of a kernel: it only says so. Pages [start, end); default one page. */
  fromHere(cpu: Cpu, start: number, end?: number): Steps;
  /** What watches, for code that begins and ends a flush of its own. */
  readonly monitor: FlushMonitor;
}

/** See {@link smallMachine}. */
export class SmallMachine {
  static {
    noteMethods(this);
  }

  readonly builder: SystemBuilder;
  readonly kernel: Kernel;
  readonly cpus: readonly Cpu[];
  /** By CPU number. */
  readonly mmus: readonly SaturatedMmu[];
  readonly tlb: SaturatedTlb;
  readonly frames: Frames;
  readonly smp: Smp;
  readonly mms: readonly Mm[];
  /** How it flushes; with `flush` of x86 an {@link X86Tlb}. */
  readonly arch: TlbArch | X86Tlb;
  /** By CPU number; undefined where the host never interferes. */
  readonly vcpus: readonly (Vcpu | undefined)[];
  /** Checks that no translation of mm 1 is used after a flush of it has completed; null if nobody does. */
  readonly monitor: FlushMonitor | null;
  /** Words of data behind page frames, if the machine has contents. */
  readonly data: Region | null;
  readonly #tables: Tables;
  readonly #pages: readonly number[];
  readonly #mapped: number;
  readonly #returned: Region;
  #promises = 0;

  constructor(options: SmallMachineOptions) {
    const { cpus = CPUS_DEFAULT, mms: mmCount = 1, pages = 1, mapped = pages, levels = 1, spare = 0 } = options;
    checkSmallMachine(options, pages, mapped, levels);
    const loaded = typeof cpus === 'number' ? Array.from({ length: cpus }, () => 1) : cpus;
    const { entries = levels === 1 ? powerOfTwo(pages) : ENTRIES_DEFAULT, references = 1 } = options;
    const { memoryModel, maxHistory = HISTORY_MAX_DEFAULT } = options;
    const builder = new SystemBuilder({ memoryModel, maxHistory });
    this.builder = builder;
    const leaf = (vpn: number, tables: number): number => mk_pte(tables + vpn, options.flags ?? LEAF);
    const tables = tablesFor(mmCount, levels, entries, pages, leaf, mapped);
    this.#tables = tables;
    this.#pages = Array.from({ length: pages }, (_, vpn) => vpn);
    this.#mapped = mapped;
    this.frames = new Frames(builder, {
      pointsTo: pte_pfn,
      tables: tables.tables,
      entriesPerTable: tables.entriesPerTable,
      pages: mapped + spare,
      initialTables: tables.initialTables,
      initialPages: mapped,
      initialReferences: Array.from({ length: mapped }, () => references),
      formatEntry,
    });
    this.cpus = loaded.map((_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR], options.names?.[id]));
    const global = options.global ?? (options.flush === 'invlpgb' ? this.#idsUpTo(mmCount) : []);
    this.tlb = new SaturatedTlb(
      builder,
      this.cpus.map(({ name }) => name),
      this.frames,
      tables.shape,
      0,
      this.#pages,
      {
        asid: loaded.map((id) => (asidIsMm(options.flush) ? id : 1 + (global.includes(id) ? globalAsidOf(id) : 0))),
        roots: loaded.map((id) => id - 1),
        spaces: options.spaces ?? mmCount,
        suspendable: options.vcpus !== undefined,
        dirtyBits: options.dirtyBits ?? false,
        ...(options.flush === 'arm64' && { breakBeforeMake: BBML0 }),
      },
    );
    this.mmus = this.tlb.mmus;
    connect(builder, this.mmus, options);
    this.mms = this.#idsUpTo(mmCount).map((id) => {
      const globalAsid = global.includes(id) && { globalAsid: globalAsidOf(id) };
      const initial = { root: id - 1, cpumask: maskOf(loaded, id), ...globalAsid };
      return new Mm(builder, id, initial, { tasks: this.cpus.length });
    });
    this.monitor = options.checksFlushes === false ? null : this.#watchFlushes('monitor', undefined);
    if (this.monitor) this.tlb.monitors = [this.monitor];
    this.smp = new Smp(builder, this.cpus);
    const vcpus: (Vcpu | undefined)[] = [];
    this.vcpus = vcpus;
    this.arch =
      typeof options.flush === 'function'
        ? options.flush(this)
        : architecture(
            {
              builder,
              smp: this.smp,
              mmus: this.mmus,
              mms: this.mms,
              loaded,
              pages,
              stealTime: () => vcpus.map((vcpu) => vcpu?.stealTime),
            },
            options,
          );
    const arch = this.monitor ? monitoredArch(this.arch, new Map([[this.mm, this.monitor]])) : this.arch;
    this.data = options.contents ? builder.region('page.data', mapped + spare) : null;
    this.#returned = builder.region('system_call_returned', this.cpus.length, { memory: 'ghost' });
    this.kernel = {
      builder,
      cpus: this.cpus,
      mmus: this.mmus,
      frames: this.frames,
      shape: tables.shape,
      arch,
      ptl: builder.region('ptl', tables.tables, { memory: 'strong' }),
      ptlName: (table) => (tables.tables === 1 ? 'ptl' : `ptl(0x${table.toString(16)})`),
      ignoresNestedGathers: options.ignoresNestedGathers ?? false,
    };
    options.vcpus?.forEach((choice, id) => {
      vcpus[id] = choice && this.#addVcpu(id, choice);
    });
  }

  /** The first address space. */
  get mm(): Mm {
    return this.mms[0] as Mm;
  }

  /**
   * What CPUs run, in order: routines, or generator functions by name. A CPU without anything is idle. Seals the
   * machine: the last thing to do.
   */
  start(code: readonly Routine<[SmallMachine, Cpu]>[] | Readonly<Record<string, CpuCode>>): System {
    const routines = Array.isArray(code)
      ? (code as readonly Routine<[SmallMachine, Cpu]>[])
      : Object.entries(code).map(([name, body]) => routine(name, body));
    if (routines.length === 0) throw new ModelError('kit: start: no CPU has code to run');
    if (routines.length > this.cpus.length)
      throw new ModelError(
        `kit: start: ${routines.length} routines for ${this.cpus.length} CPUs: give the machine more (cpus)`,
      );
    this.cpus.forEach((cpu, id) => {
      const gate = this.vcpus[id]?.gateName;
      const own = routines[id];
      const task = own === undefined ? program(swapper, cpu) : program(own, this, cpu);
      const handlers = { [CALL_FUNCTION_VECTOR]: this.smp.handler(cpu) };
      startCpu(this.builder, cpu, [task], handlers, gate === undefined ? {} : { gate });
    });
    return this.builder.build();
  }

  /** Adds a property. */
  property(property: Property): void {
    this.builder.property(property);
  }

  /**
   * Judges every access that goes through, at the access: "no write after X" fails at the write.
   * @param property the sentence
   * @param rule false: the access violates it
   */
  onAccess(property: string, rule: AccessRule): void {
    this.tlb.monitors = [...this.tlb.monitors, accessObserver(property, rule)];
  }

  /**
   * Watches for a promise: {@link Promised.fromHere} says that from there on nobody may use what the pages were before.
   * @param property the sentence that an access through an old translation violates
   */
  promise(property: string = OLD_TRANSLATION): Promised {
    const monitor = this.#watchFlushes(`promise${this.#promises++ || ''}`, property);
    this.tlb.monitors = [...this.tlb.monitors, monitor];
    return { monitor, fromHere: (cpu, start, end = start + 1) => monitor.from(cpu.id, start, end) };
  }

  /** A word that no kernel has, for properties to read; 0 to begin with. {@link mark} writes it. */
  ghost(name: string): Address {
    return this.builder.region(name, 1, { memory: 'ghost' }).at(0);
  }

  /** Writes a ghost word. */
  *mark(ghost: Address, value = 1, label?: string): Steps {
    const word = this.builder.layout.nameOf(ghost);
    yield operation(GHOST, ghost, value, 0, undefined, { label: label ?? `/* ${word} = ${value} */` });
  }

  /** The system call that a CPU has made has returned. */
  *syscall_returns(cpu: Cpu): Steps {
    yield* this.mark(this.#returned.at(cpu.id), 1, '/* the system call has returned */');
  }

  /** Whether the system call of a CPU has returned. */
  hasReturned(read: (address: number) => number, cpu: number): boolean {
    return read(this.#returned.at(cpu)) !== 0;
  }

  /** Frame of the root table that a CPU's MMU has loaded (CR3, TTBR0); -1: none. */
  root(read: (address: number) => number, cpu: number): number {
    return this.tlb.root(read, cpu);
  }

  /** The ASID, or PCID, that a CPU's MMU has loaded. */
  asid(read: (address: number) => number, cpu: number): number {
    return this.tlb.addressSpace(read, cpu);
  }

  /** Where the last-level entry of a page of the first mm is, as long as its tables are those of the beginning. */
  pte(vpn: number): EntryPointer {
    checkPage('pte', vpn, this.#pages.length);
    const level = this.#tables.shape.levels.at(-1) as WalkLevel;
    return this.frames.entry(this.#tables.leafTable(vpn), indexOf(level, vpn));
  }

  /** Frame that a page of the first mm is mapped to in the beginning. */
  frame(vpn: number): number {
    checkPage('frame', vpn, this.#mapped, 'mapped pages');
    return this.#tables.tables + vpn;
  }

  /** The lock of the table that has the entry of a page. */
  pte_lock(vpn: number): Steps {
    return pte_lock(this.kernel, this.pte(vpn).frame);
  }

  pte_unlock(vpn: number): Steps {
    return pte_unlock(this.kernel, this.pte(vpn).frame);
  }

  ptep_get(vpn: number): Steps<number> {
    return this.frames.read(this.pte(vpn), { label: `ptep_get(${hex(vpn)})`, fact: formatEntry });
  }

  ptep_get_and_clear(vpn: number): Steps<number> {
    return this.frames.xchg(this.pte(vpn), 0, { label: `ptep_get_and_clear(${hex(vpn)})`, fact: formatEntry });
  }

  set_pte_at(vpn: number, pte: number): Steps {
    return this.frames.write(this.pte(vpn), pte, { label: `set_pte_at(${hex(vpn)}, ${formatEntry(pte)})` });
  }

  /**
   * flush_tlb_range() of the first mm: pages [start, end). As in the kernel, the range may go on past the last page
   * that there is: nothing is there to be flushed, and a long range is flushed as a whole.
   */
  flush_tlb_range(cpu: Cpu, start: number, end: number): Steps {
    this.#checkRange('flush_tlb_range', cpu, start, end);
    return this.kernel.arch.flush_tlb_mm_range(cpu, this.mm, start, end, false);
  }

  /** flush_tlb_page() of the first mm. */
  flush_tlb_page(cpu: Cpu, vpn: number): Steps {
    return this.flush_tlb_range(cpu, vpn, vpn + 1);
  }

  /** zap_page_range_single() of the first mm: entries go, a flush, then the pages. Default one page. */
  zap_page_range_single(cpu: Cpu, start: number, end = start + 1): Steps {
    this.#checkRange('zap_page_range_single', cpu, start, end);
    checkPage('zap_page_range_single', end - 1, this.#pages.length);
    return zap_page_range_single(this.kernel, cpu, this.mm, start, end);
  }

  /** A user's read: through any translation that the CPU may hold. A `Fault` code, 0 if it went through. */
  read(cpu: Cpu, vpn: number): Steps<number> {
    return this.#mmu('read', cpu).access(vpn, false);
  }

  /**
   * A user's write; on a machine with contents {@link store} says what. A `Fault` code: 0 (`Fault.none`) if it went
   * through.
   */
  write(cpu: Cpu, vpn: number): Steps<number> {
    return this.#mmu('write', cpu).access(vpn, true);
  }

  /** A user's store of a value, on a machine with contents. A `Fault` code, 0 if it went through. */
  store(cpu: Cpu, vpn: number, value: number): Steps<number> {
    return this.#mmu('store', cpu).store(vpn, this.#dataOf('store'), value);
  }

  /** The kernel reads a page by its frame, through the mapping that it has of all memory: the word on it, if any. */
  *kernel_read(frame: number): Steps<number> {
    return yield kernelAccess(KERNEL_READ, this.frames, this.data && this.#dataOf('kernel_read'), frame, 0);
  }

  /** The kernel writes a page by its frame. */
  *kernel_write(frame: number, value = 1): Steps {
    yield kernelAccess(KERNEL_WRITE, this.frames, this.data && this.#dataOf('kernel_write'), frame, value);
  }

  /** alloc_page(): a page frame, or NO_FRAME. */
  alloc_page(): Steps<number> {
    return this.frames.alloc(FrameKind.page);
  }

  folio_try_get(frame: number): Steps<boolean> {
    return folio_try_get(this.frames, frame);
  }

  /** folio_put(): the references that are left. */
  folio_put(frame: number): Steps<number> {
    return this.frames.put(frame);
  }

  /** switch_mm(): from now on this CPU runs an address space. */
  switch_mm(cpu: Cpu, mm: Mm): Steps {
    checkCpu('switch_mm', cpu, this.cpus);
    if (!this.mms.includes(mm)) throw new ModelError(`kit: switch_mm: ${printable(mm)} is no mm: machine.mms has them`);
    return this.kernel.arch.switch_mm(cpu, mm);
  }

  #mmu(what: string, cpu: Cpu): SaturatedMmu {
    checkCpu(what, cpu, this.cpus);
    return this.mmus[cpu.id] as SaturatedMmu;
  }

  #checkRange(what: string, cpu: Cpu, start: number, end: number): void {
    checkCpu(what, cpu, this.cpus);
    checkPages(what, start, end, this.#pages.length);
  }

  #dataOf(what: string): DataOf {
    const { data } = this;
    if (!data) throw new ModelError(`kit: ${what}: pages have no contents: give the machine the option contents`);
    return (frame) => data.at(frame - this.#tables.tables);
  }

  #idsUpTo(count: number): number[] {
    return Array.from({ length: count }, (_, i) => i + 1);
  }

  #watchFlushes(name: string, property: string | undefined): FlushMonitor {
    return new FlushMonitor(this.builder, this.frames, this.#tables.shape, {
      root: this.mm.pgd.at(0),
      cpus: this.cpus.length,
      pages: this.#pages,
      name,
      ...(property !== undefined && { property }),
    });
  }

  #addVcpu(id: number, choice: VcpuChoice): Vcpu {
    const own = typeof choice === 'function' ? choice(this) : choice;
    return addVcpu(this.builder, { id }, { mmu: this.mmus[id] as SaturatedMmu, ...own });
  }
}

/**
 * Builds a small machine: two CPUs that run one mm with one page, the flush of x86, and the check that no translation
 * is used after its flush. Options change that.
 *
 * ```ts
 * const machine = smallMachine({ memoryModel, pages: 2, flush: 'atomic' });
 * return machine.start({ munmap: (m, cpu) => m.zap_page_range_single(cpu, 0), reader: (m, cpu) => m.read(cpu, 0) });
 * ```
 *
 * Throws ModelError on options that contradict each other.
 */
export function smallMachine(options: SmallMachineOptions): SmallMachine {
  return new SmallMachine(options);
}

function powerOfTwo(atLeast: number): number {
  return Math.max(ENTRIES_DEFAULT, 2 ** Math.ceil(Math.log2(Math.max(1, atLeast))));
}

function hex(vpn: number): string {
  return `0x${vpn.toString(16)}`;
}

function maskOf(loaded: readonly number[], id: number): number {
  return loaded.reduce((mask, mm, cpu) => (mm === id ? mask | (1 << cpu) : mask), 0);
}
