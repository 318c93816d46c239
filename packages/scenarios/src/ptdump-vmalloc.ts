/**
 * `ptdump-vmalloc`: may a table be freed for a huge mapping while somebody dumps the kernel's page table? (arm64, 2025
 * and 2026)
 *
 * vmalloc maps a range that was mapped with small pages before: it clears an entry of an upper level, frees the tables
 * below, and sets a block. Reading /sys/kernel/debug/kernel_page_tables walks the same tables. See
 * docs/ptdump-vmalloc.md.
 */
import type { BuildRequest, KernelRoutines, Scenario } from '@shootdown/explorer';
import type { OffersC } from '@shootdown/c';
import { addCpu, startCpu, type Cpu } from '@shootdown/cpu';
import {
  FrameKind,
  program,
  SystemBuilder,
  type Program,
  type Property,
  type Region,
  type Steps,
  type System,
} from '@shootdown/machine';
import { CALL_FUNCTION_VECTOR, Smp, vmalloc } from '@shootdown/mm';
import { DumpState, type Ptdump } from '@shootdown/ptdump';
import { RWSEM_FLAG_WAITERS } from '@shootdown/sync';
import { designs, type Design, type WitnessName } from './ptdump-vmalloc.variants.ts';

const { freeTables, pxd_leaf, pxd_none, VmallocKernel, vmap_range, vmapRoutines } = vmalloc;

/** Operations in a row without a point: more than the longest path through a lock and a patched key. */
const HISTORY_MAX = 64;

type PtdumpParameter = 'vmaps' | 'children' | 'ptes';

/** A machine under construction: processors 0 .. dumpers-1 dump, the next ones map, the last one runs RCU callbacks. */
export interface Machine {
  readonly design: Design;
  readonly vmaps: number;
  readonly kernel: vmalloc.VmallocKernel;
  readonly dumpers: readonly Ptdump[];
}

/** What a machine is built for besides being explored. */
export interface BuildOptions {
  /** What the processors run, in their order. Default: all dump and map at once. */
  readonly programs?: (machine: Machine) => readonly Program[];
  /** Gets the lines of the dumps; exploring does not ask for them. */
  readonly onLine?: (level: string) => void;
  /**
   * See {@link vmalloc.VmallocKernelOptions}. Default: on `sc` and `tso`, unless the barrier of the invalidation is
   * left out to see what it is to software.
   */
  readonly breakBeforeMake?: boolean;
}

/** Builds the machine of a variant. */
export function buildPtdumpVmalloc(
  { variant: design, memoryModel, parameters, replace }: BuildRequest<Design, PtdumpParameter>,
  { programs = programsOf, onLine, breakBeforeMake }: BuildOptions = {},
): System {
  const { vmaps, children, ptes } = parameters;
  const builder = new SystemBuilder({ memoryModel, maxHistory: HISTORY_MAX });
  const processors = design.dumpers + vmaps + (design.rcu ? 1 : 0);
  const cpus = design.kick
    ? Array.from({ length: processors }, (_, id) => addCpu(builder, id, [CALL_FUNCTION_VECTOR]))
    : [];
  // Taking the IPI synchronizes the context: exception entry does.
  const exceptionEntry = (): Steps => kernel.labels.contextSynchronization('exception entry: context synchronized');
  const smp = design.kick ? new Smp(builder, cpus, exceptionEntry, 'do_handle_IPI') : undefined;
  const { withoutDsb, withoutIsb, withoutBarrierB, rcu } = design;
  const kernel = new VmallocKernel(builder, {
    tree: { puds: vmaps, pmds: children, ptes },
    processors,
    withoutDsb,
    withoutIsb,
    withoutBarrierB,
    breakBeforeMake: breakBeforeMake ?? (memoryModel !== 'arm' && design.withoutDsb !== true),
    efi: design.efi,
    ...(smp && { kick_all_cpus_sync: (id: number) => smp.kick_all_cpus_sync(cpus[id] as Cpu) }),
    ...(rcu && { rcu: { callbacksMax: 1 + children } }),
  });
  const dumpers = Array.from({ length: design.dumpers }, (_, i) =>
    vmalloc.addPtdump(builder, kernel, `ptdump${i}`, design.fetch, onLine),
  );
  const machine = { design, vmaps, kernel, dumpers };
  programs(machine).forEach((body, id) => {
    const cpu = cpus[id];
    if (cpu && smp) startCpu(builder, cpu, [body], { [CALL_FUNCTION_VECTOR]: smp.handler(cpu) });
    else builder.processor({ name: `CPU${id}`, tasks: [body] });
  });
  for (const property of propertiesOf(machine)) builder.property(property);
  // A patch may leave a table to whoever walks it; the designs that were posted free every one.
  if (!replace) builder.property(nothingLeaked(machine));
  return builder.build();
}

/** What vmap_range() is handed of a design. */
export function vmapDesign({ tables, tryHuge, largest }: Design): vmalloc.VmapDesign {
  return { tables, tryHuge, largest };
}

/** The kernel routines of a design, by their names. */
function routinesOf({ tables, dump }: Design): KernelRoutines {
  const { pud_free_pmd_page, pmd_free_pte_page } = tables;
  return {
    pud_free_pmd_page,
    pmd_free_pte_page,
    ...(tables === freeTables.keyed && { __pmd_free_pte_page: freeTables.__pmd_free_pte_page }),
    ...vmapRoutines,
    vmap_range,
    [dump.routineName]: dump,
  };
}

function programsOf({ design, vmaps, kernel, dumpers }: Machine): Program[] {
  const dumps = dumpers.map((dumper, cpu) => program(design.dump, kernel, dumper, cpu));
  const vmap = vmapDesign(design);
  const maps = Array.from({ length: vmaps }, (_, i) => program(vmap_range, kernel, design.dumpers + i, vmap, i, i));
  return design.rcu ? [...dumps, ...maps, kernel.rcu.rcuc(design.dumpers + vmaps)] : [...dumps, ...maps];
}

/** What must hold at the end, and what must be possible on the way. */
function propertiesOf(machine: Machine): Property[] {
  const { kernel, design } = machine;
  const { count } = kernel.init_mm.mmap_lock;
  const key = kernel.arm64_ptdump_lock_key.enabled;
  return [
    {
      name: 'every lock is released and the key is off in the end',
      kind: 'finally',
      why: 'a lock or key left over is paid for by everybody who comes later',
      reads: [count, key],
      check: (read) => read(count) === 0 && read(key) === 0,
    },
    {
      name: 'the range is mapped in the end',
      kind: 'finally',
      why: 'falling back to smaller mappings must not mean giving up',
      reads: wordsOf(kernel.frames.entries),
      check: (read) => isMapped(machine, read),
    },
    ...design.witnesses.map((name) => ({ kind: 'sometimes' as const, ...witness(name, machine) })),
  ];
}

function nothingLeaked(machine: Machine): Property {
  const { frames } = machine.kernel;
  return {
    name: 'no table is leaked in the end',
    kind: 'finally',
    why: 'what a huge mapping has replaced is freed',
    reads: [...wordsOf(frames.entries), ...wordsOf(frames.state)],
    check: (read) => noneLeaked(machine, read),
  };
}

function wordsOf(region: Region): number[] {
  return Array.from({ length: region.cells }, (_, i) => region.base + i);
}

function isMapped({ kernel, vmaps }: Machine, read: (address: number) => number): boolean {
  const { pmds, ptes } = kernel.tree;
  const mapped = (table: number, index: number, below: number): boolean => {
    const value = read(kernel.frames.entry(table, index).address);
    if (pxd_none(value) || pxd_leaf(value) || below === 0) return !pxd_none(value);
    const entries = below === 2 ? pmds : ptes;
    return Array.from({ length: entries }, (_, i) => mapped(vmalloc.pxd_pgtable(value), i, below - 1)).every(Boolean);
  };
  return Array.from({ length: vmaps }, (_, i) => mapped(kernel.root, i, 2)).every(Boolean);
}

/** Every table is freed or still linked; a walk of what is linked counts them. */
function noneLeaked({ kernel: { frames, root, tree }, vmaps }: Machine, read: (address: number) => number): boolean {
  const linked = (table: number, entries: number, below: number): number => {
    let count = 1;
    for (let i = 0; i < entries && below > 0; i++) {
      const value = read(frames.entry(table, i).address);
      if (!pxd_none(value) && !pxd_leaf(value))
        count += linked(vmalloc.pxd_pgtable(value), below === 2 ? tree.pmds : tree.ptes, below - 1);
    }
    return count;
  };
  const allocated = wordsOf(frames.state).filter((word) => read(word) === FrameKind.table).length;
  return allocated === linked(root, vmaps, 2);
}

/** A witness that must exist: a state, in a few words of the machine. */
function witness(
  name: WitnessName,
  { kernel, dumpers, design }: Machine,
): Pick<Property, 'name' | 'why' | 'reads' | 'check'> {
  const atPud = design.largest === 'pud';
  const entry = atPud ? kernel.pud(0).address : kernel.frames.entry(1, 0).address;
  const table = kernel.frames.state.at(atPud ? 1 : 2);
  const { count, held } = kernel.init_mm.mmap_lock;
  const heldByVmap = held.at(design.dumpers);
  const dumps = dumpers.map((dumper) => dumper.state);
  const freed = (read: (address: number) => number): boolean => read(table) === -FrameKind.table;
  switch (name) {
    case 'huge':
      return {
        name: 'a huge mapping is installed',
        why: 'that is what huge vmalloc is for',
        reads: [entry],
        check: (read) => pxd_leaf(read(entry)),
      };
    case 'freed-during-dump':
      return {
        name: 'a table is freed while a dump is under way',
        why: 'otherwise the two never meet',
        reads: [table, ...dumps],
        check: (read) => freed(read) && dumps.some((dump) => read(dump) === DumpState.walking),
      };
    case 'contended':
      return {
        name: 'the lock is contended',
        why: 'otherwise it was never needed',
        reads: [count],
        check: (read) => (read(count) & RWSEM_FLAG_WAITERS) !== 0,
      };
    case 'key-on':
      return {
        name: 'the key is seen on',
        why: 'only then does the free wait',
        reads: [heldByVmap],
        check: (read) => read(heldByVmap) > 0,
      };
    case 'key-off':
      return {
        name: 'the key is seen off',
        why: 'the fast path: a table is freed without the lock, before any dump',
        reads: [table, ...dumps],
        check: (read) => freed(read) && dumps.every((dump) => read(dump) === DumpState.idle),
      };
  }
}

/** ptdump against huge vmalloc on arm64: may a table be freed while somebody walks it? */
export const ptdumpVmalloc: Scenario<Design, PtdumpParameter> & OffersC = {
  name: 'ptdump-vmalloc',
  title: 'ptdump against huge vmalloc on arm64: may a table be freed while somebody walks it?',
  seed: 'S2',
  architecture: 'arm64',
  parameters: {
    vmaps: { default: 1, min: 1, max: 2, meaning: 'tasks that map, each a range of its own' },
    children: { default: 2, min: 1, max: 512, meaning: 'entries of a pmd table, each with a pte table below' },
    ptes: { default: 2, min: 1, max: 512, meaning: 'entries of a pte table' },
  },
  variants: designs,
  tracks: ['frame.entry', 'frame.state', 'init_mm.mmap_lock.count', 'arm64_ptdump_lock_key'],
  routines: routinesOf,
  c: async () => (await import('./ptdump-vmalloc.c.ts')).vmallocOffer,
  build: (request) => buildPtdumpVmalloc(request),
};
