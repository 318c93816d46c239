/**
 * The machine of the contpte scenarios: one pte table of two contiguous blocks (a second table where a process
 * forks), and up to four who work with it at once. CPU0 does what the scenario is about, CPU1 runs user code whose
 * hardware sets accessed and dirty bits, CPU2 reads without the lock, and a device translates through the same table
 * by an SMMU.
 */
import type { BuildRequest, Parameter, Variant } from '@shootdown/explorer';
import {
  choose,
  defineOperation,
  Frames,
  operation,
  program,
  replaceRoutines,
  SystemBuilder,
  type Property,
  type Replacements,
  type Routine,
  type Steps,
  type System,
} from '@shootdown/machine';
import { contpte } from '@shootdown/mm';
import {
  pte_pfn,
  BBML0,
  BBML2_NOABORT,
  connectMmus,
  ContiguousTlb,
  FlushMonitor,
  Smmu,
  tinyShape,
  type ContiguousMmu,
  type Translator,
} from '@shootdown/mmu';
import { dma, userCode } from '../tasks.ts';

const {
  contpteCpu,
  ContpteInvariants,
  ContpteKernel,
  LocklessMonitor,
  monitoredFlush,
  PAGE_SIZE,
  pfn_pte,
  PTE_AF,
  PTE_CONT,
  routines,
} = contpte;

/** Blocks of a table: the one that is worked on, and one beside it. */
const BLOCKS = 2;
/** Operations in a row without a point. */
const HISTORY_MAX = 96;

/** A design: routines that replace those of today's kernel, by kernel identifier. */
export interface ContpteVariant extends Variant {
  readonly replace?: Partial<contpte.ContpteRoutines>;
}

/** The kernel of a variant, by kernel identifier: what `--replace` may name. */
export function routinesOf({ replace }: ContpteVariant): contpte.ContpteRoutines {
  return { ...routines, ...replace };
}

/** `--set block=16`, `--set device=0`. */
export type ContpteParameter = 'block' | 'reader' | 'device';

export const contpteParameters: Readonly<Record<ContpteParameter, Parameter>> = {
  block: {
    default: 4,
    min: 2,
    max: 128,
    meaning: 'entries of a contiguous block (CONT_PTES: 16, 128, 32 with 4K, 16K, 64K pages)',
  },
  reader: { default: 1, min: 0, max: 1, meaning: 'GUP-fast on CPU2, where the scenario has it' },
  device: { default: 1, min: 0, max: 1, meaning: 'a device behind an SMMU, where the scenario has one' },
};

/** Entries from the start: pages of a folio, from one of its pages on. */
export interface InitialMapping {
  readonly page: number;
  readonly folio: number;
  readonly from?: number;
  readonly nr: number;
  readonly prot: number;
  readonly cont?: boolean;
  /** Entries that are not accessed yet. Default false. */
  readonly old?: boolean;
}

/** What a machine consists of. */
export interface ContpteMachineOptions {
  readonly request: BuildRequest<ContpteVariant, ContpteParameter>;
  /** Sizes in pages, one after the other, the first aligned to a block. */
  readonly folios: readonly Omit<contpte.Folio, 'pfn'>[];
  readonly mapped: readonly InitialMapping[];
  /** Blocks of a table. Default two. */
  readonly blocks?: number;
  /** Address spaces, each with a table. Default one. */
  readonly mms?: number;
  readonly bbml2?: boolean;
  /** CPUs are of the kind that has it. */
  readonly erratum2645198?: boolean;
  /** Which frames hold the same. Default: none do. */
  readonly sameContents?: (frame: number, other: number) => boolean;
  /** The hardware of CPU0, if it runs user code too. */
  readonly kernelHardware?: Omit<Translator, 'name'>;
  /** The SMMU, if there is one. */
  readonly device?: Omit<Translator, 'name'>;
  /** The page that a lockless reader looks at. Default none. */
  readonly readerPage?: number;
}

/** A machine under construction. */
export interface ContpteMachine {
  readonly builder: SystemBuilder;
  /** What its variant has in place of today's routines. */
  readonly replace: Replacements;
  readonly block: number;
  readonly kernel: contpte.ContpteKernel;
  readonly tlb: ContiguousTlb;
  readonly invariants: contpte.ContpteInvariants;
  readonly mms: readonly contpte.ContpteMm[];
  /** The whole table of the first mm. */
  readonly vma: contpte.ContpteVma;
  readonly reader: contpte.LocklessMonitor | null;
  readonly readerPage: number;
  readonly deviceNumber: number;
}

/** What a processor runs. */
export type ContpteTask = Routine<readonly [ContpteMachine, contpte.ContpteCpu], void>;

/** Builds everything but what the processors run. */
export function contpteMachine(options: ContpteMachineOptions): ContpteMachine {
  const { request, folios: sizes, mapped, mms: spaces = 1, bbml2 = false } = options;
  const { block } = request.parameters;
  const readerPage = request.parameters.reader === 0 ? -1 : (options.readerPage ?? -1);
  const behindSmmu = request.parameters.device === 0 ? undefined : options.device;
  const entries = (options.blocks ?? BLOCKS) * block;
  const builder = new SystemBuilder({
    memoryModel: request.memoryModel,
    maxHistory: HISTORY_MAX + 2 * block,
  });
  const tables = Math.ceil(spaces / block) * block;
  let pfn = tables;
  const folios = sizes.map((folio) => {
    const placed = { ...folio, pfn };
    pfn += folio.nr_pages;
    return placed;
  });
  const frames = new Frames(builder, {
    pointsTo: pte_pfn,
    tables,
    entriesPerTable: entries,
    pages: pfn - tables,
    initialTables: [entriesOf(mapped, folios, entries), ...Array.from({ length: spaces - 1 }, () => [])],
    initialPages: pfn - tables,
    // The page cache has a reference to each page of a file.
    initialReferences: sizes.flatMap(({ nr_pages, file }) => Array.from({ length: nr_pages }, () => (file ? 2 : 1))),
    entryName: (table, index) => (spaces === 1 ? `pte[${index}]` : `mm${table}.pte[${index}]`),
    formatEntry: contpte.formatPte,
  });
  const translators: Translator[] = [{ name: 'CPU0', ...options.kernelHardware }, { name: 'CPU1' }];
  if (behindSmmu) translators.push({ name: 'SMMU', ...behindSmmu });
  const tlb = new ContiguousTlb(builder, translators, frames, {
    blockEntries: block,
    root: 0,
    asid: 1,
    rule: {
      ...(bbml2 ? BBML2_NOABORT : BBML0),
      ...(options.sameContents && { sameContents: options.sameContents }),
      ...(options.erratum2645198 && { executableNeedsBreak: true }),
    },
  });
  connectMmus(builder, tlb.mmus.slice(0, 2), 'dvm');
  const device = tlb.mmus[2];
  const mms = Array.from({ length: spaces }, (_, i) => ({ name: i === 0 ? 'mm' : 'child', table: i, asid: i + 1 }));
  const kernel = new ContpteKernel(builder, {
    frames,
    tlb,
    mms,
    folios,
    routines: {
      ...routines,
      __flush_tlb_range: monitoredFlush(routines.__flush_tlb_range, (mm) => (mm === mms[0] ? monitor : undefined)),
    },
    ...(device && { smmu: new Smmu(builder, tlb.mmus.slice(0, 2), device) }),
  });
  const pgd = builder.region('mm.pgd', 1, { initial: 1 });
  const monitor: FlushMonitor = new FlushMonitor(builder, frames, tinyShape(1, entries), {
    root: pgd.at(0),
    cpus: 2,
    blockEntries: block,
    pages: Array.from({ length: entries }, (_, page) => page),
  });
  tlb.monitors = [monitor];
  const invariants = new ContpteInvariants(builder, kernel);
  const reader = readerPage < 0 ? null : new LocklessMonitor(builder, kernel, { table: 0, index: readerPage });
  const [mm] = mms as [contpte.ContpteMm];
  const vma = { vm_mm: mm, vm_start: 0, vm_end: entries * PAGE_SIZE };
  kernel.vmas.push(vma);
  return {
    builder,
    replace: request.variant.replace ?? {},
    block,
    kernel,
    tlb,
    invariants,
    mms,
    vma,
    reader,
    readerPage,
    deviceNumber: device ? 2 : -1,
  };
}

/** The place of the device among the tasks. */
const DEVICE = 3;

/** A machine whose area is another one: the kernel has that one and no other, also for code in C. */
export function withVma(machine: ContpteMachine, changes: Partial<contpte.ContpteVma>): ContpteMachine {
  const { vmas } = machine.kernel;
  const vma = { ...machine.vma, ...changes };
  vmas.splice(vmas.indexOf(machine.vma), 1, vma);
  return { ...machine, vma };
}

/** Puts a task on each processor and seals the machine. */
export function startContpte(
  machine: ContpteMachine,
  tasks: readonly (ContpteTask | null)[],
  properties: readonly Property[] = machine.invariants.properties,
): System {
  const { builder, replace, kernel } = machine;
  tasks.forEach((task, id) => {
    if (!task || (id === DEVICE && machine.deviceNumber < 0)) return;
    // CPU2 runs kernel code alone: it needs no TLB of its own, and flushes nobody's.
    const cpu = contpteCpu(kernel, Math.min(id, 1));
    builder.processor({ name: id === DEVICE ? 'device' : `CPU${id}`, tasks: [program(task, machine, cpu)] });
  });
  for (const property of properties) builder.property(property);
  return replaceRoutines(builder.build(), replace);
}

/** The entries of a table. */
function entriesOf(mapped: readonly InitialMapping[], folios: readonly contpte.Folio[], count: number): number[] {
  const entries = Array.from({ length: count }, () => 0);
  for (const { page, folio, from = 0, nr, prot, cont = false, old = false } of mapped)
    for (let i = 0; i < nr; i++)
      entries[page + i] = pfn_pte(
        (folios[folio] as contpte.Folio).pfn + from + i,
        prot | (cont ? PTE_CONT : 0) | (old ? 0 : PTE_AF),
      );
  return entries;
}

const pageText = (page: number | undefined): string =>
  page === undefined ? 'none: it loads' : `page 0x${page.toString(16)}`;

/**
 * A thread that stores to one of some pages, or loads from the first of them, once, and stops when it faults: it
 * would have to wait for the lock. A load goes through an old translation that a store finds to be clean, and so
 * looks at memory again.
 */
export function accesses(pages: (machine: ContpteMachine) => readonly number[], write = true): ContpteTask {
  return userCode(function* (machine: ContpteMachine, cpu: contpte.ContpteCpu): Steps {
    const list = pages(machine);
    const which = write
      ? yield* choose(list.length + 1, { label: 'which page', fact: (i) => pageText(list[i]) })
      : list.length;
    yield* cpu.mmu.access(list[which] ?? (list[0] as number), which < list.length);
  });
}

/** The same by the device. */
export function deviceAccesses(pages: (machine: ContpteMachine) => readonly number[], write = false): ContpteTask {
  return dma(function* (machine: ContpteMachine, _cpu: contpte.ContpteCpu): Steps {
    const list = pages(machine);
    const page =
      list.length === 1 ? 0 : yield* choose(list.length, { label: 'which page', fact: (i) => pageText(list[i]) });
    yield* (machine.tlb.mmus[machine.deviceNumber] as ContiguousMmu).access(list[page] as number, write);
  });
}

/**
 * The call returns: whatever it has changed of [start, end), in bytes, nobody uses as it was from now on. The flush
 * that sees to it is the call's own, wherever in it.
 */
export function* returns({ tlb }: ContpteMachine, start: number, end: number): Steps {
  yield operation(RETURNS, start / PAGE_SIZE, end / PAGE_SIZE, 0, tlb, { label: 'return' });
}

const RETURNS = defineOperation({
  name: 'return',
  cost: 'choose',
  perform(cx, { a: first, b: end, data }) {
    for (const monitor of (data as ContiguousTlb).monitors) {
      monitor.began(cx, 0, first, end);
      monitor.completed(cx, 0, first, end);
    }
    return 0;
  },
});

/** GUP-fast looks at an entry without the lock. */
export const readsLockless: ContpteTask = contpte.gup_fast_pte_range;

/** A page of the first mm, as properties see it. */
function pageEntry({ kernel }: ContpteMachine, page: number): number {
  return kernel.frames.entry(0, page).address;
}

/**
 * A state that must be possible, or must be reached in the end, by the entries of the first mm, from one page on.
 */
export function ofEntries(
  machine: ContpteMachine,
  kind: Property['kind'],
  name: string,
  why: string,
  check: (entries: readonly number[]) => boolean,
  from = 0,
): Property {
  const reads = Array.from({ length: machine.kernel.PTRS_PER_PTE - from }, (_, i) => pageEntry(machine, from + i));
  return {
    name,
    kind,
    why,
    reads,
    check: (read) => check(reads.map(read)),
    detail: (read) => `the entries are ${reads.map((address) => contpte.formatPte(read(address))).join(', ')}`,
  };
}
