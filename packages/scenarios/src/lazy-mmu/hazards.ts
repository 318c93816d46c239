/**
 * The detector: runs sections on every architecture and generation with every rule of lazy MMU mode judged, and says
 * who breaks which. This is the debug feature that the thread of 2025 asked for, for any routine that one puts on the
 * machine.
 */
import { startCpu, swapper_done, type Cpu } from '@shootdown/cpu';
import { explore, type ExploreResult } from '@shootdown/explorer';
import {
  ModelError,
  program,
  recordTrace,
  routine,
  TabulatedExecutor,
  type EntryPointer,
  type MemoryModel,
  type System,
  type Trace,
} from '@shootdown/machine';
import {
  fork_section,
  fork_section_dereferencing,
  zap_pte_range_without_ptl,
  lazy,
  lazy_returns,
  mprotect,
  vmalloc,
  VM_READ,
  VM_WRITE,
  zap_page_range_single,
  type Kernel,
  type Mm,
} from '@shootdown/mm';
import { _PAGE_ACCESSED, _PAGE_DIRTY, mk_pte } from '@shootdown/mmu';
import { kernelOfTheRuns, lazyMachine, mapInSection, raiseSoftirq, RW, SOFTIRQ } from './lazy-machine.ts';
import { setsThenExchanges } from '../tasks.ts';

/** Which order of a section: as it was when it was wrong, or as it is. */
export type SectionGeneration = 'old' | 'current';

/** A section to look at. */
export interface HazardSubject {
  /** The kernel identifier of its routine. */
  readonly name: string;
  readonly generation: SectionGeneration;
  /** What is different in this version, in a few words. */
  readonly version: string;
  readonly section: lazy.SectionRoutine;
  /** It is a routine of the kernel of the runs, which gets its locks and its address space. */
  readonly runs?: boolean;
  /** It works on the kernel's table. Default: on that of a process. */
  readonly kernel?: boolean;
  /** Entries of its table to begin with. Default: two pages mapped in a process's, none in the kernel's. */
  readonly entries?: readonly number[];
  /** It runs in an interrupt, at any time of a section that maps another page. */
  readonly interrupt?: boolean;
  /** The task may be moved to another CPU, at any time that it may be preempted. */
  readonly moves?: boolean;
}

const DEVICE_PAGE = 2;
/** Two pages that have been accessed and written. */
const YOUNG = [2, 3].map((pfn) => mk_pte(pfn, RW | _PAGE_ACCESSED | _PAGE_DIRTY));

/** kfence_protect() in a softirq: the object must be out of reach when it returns. */
const kfenceProtects: lazy.SectionRoutine = routine('kfence_protect', function* ({ lazy: mode, current, ptes }) {
  const [ptep] = ptes as [EntryPointer];
  yield* lazy.set_pte(mode, current, ptep, mk_pte(1, RW), { label: 'set_pte(kfence)' });
  yield* lazy.needs_immediate_effect(mode, current, ptep, 'kfence_protect_page() is done');
});

/** A store and an exchange of the same entry in one section. */
const exchanges: lazy.SectionRoutine = setsThenExchanges(function* ({ lazy: mode, current, ptes }: lazy.Section) {
  const [ptep] = ptes as [EntryPointer];
  yield* lazy.lazy_mmu_mode_enable(mode, current);
  yield* lazy.set_pte(mode, current, ptep, mk_pte(4, RW));
  yield* lazy.ptep_get_and_clear(mode, current, ptep);
  yield* lazy.lazy_mmu_mode_disable(mode, current);
  yield* lazy.returns(mode, current);
});

/** zap_pte_range() of the runs, as MADV_DONTNEED calls it. */
const zaps: lazy.SectionRoutine = routine('madvise(MADV_DONTNEED)', function* ({ kernel, ptes }) {
  const { runs, cpu, mm } = ofTheRuns(kernel);
  yield* zap_page_range_single(runs, cpu, mm, 0, ptes.length);
  yield* lazy_returns(runs, cpu);
});

/** change_pte_range() of the runs, as mprotect() calls it. */
const protects: lazy.SectionRoutine = routine('mprotect()', function* ({ kernel, ptes }) {
  const { runs, cpu, mm } = ofTheRuns(kernel);
  yield* mm.vmas.insert(0, ptes.length, VM_READ | VM_WRITE);
  yield* mprotect(runs, cpu, mm, 0, ptes.length, VM_READ);
  yield* lazy_returns(runs, cpu);
});

function ofTheRuns(kernel: lazy.Section['kernel']): { runs: Kernel; cpu: Cpu; mm: Mm } {
  const cpu = kernel?.runs.cpus[0];
  if (!kernel || !cpu) throw new ModelError('hazards: build: this section needs the kernel of the runs');
  return { ...kernel, cpu };
}

/** What ships: every section of generic mm that uses the mode, and the versions that were wrong. */
export const hazardSubjects: readonly HazardSubject[] = [
  {
    name: 'copy_pte_range',
    generation: 'current',
    version: 'device-exclusive entry',
    section: fork_section,
    entries: [lazy.make_device_exclusive_entry(DEVICE_PAGE), mk_pte(DEVICE_PAGE + 1, RW)],
  },
  {
    name: 'copy_pte_range',
    generation: 'old',
    version: 'derived: *src_pte',
    section: fork_section_dereferencing,
    entries: [lazy.make_device_exclusive_entry(DEVICE_PAGE), mk_pte(DEVICE_PAGE + 1, RW)],
  },
  { name: 'zap_pte_range', generation: 'current', version: 'of the runs', section: zaps, runs: true },
  {
    name: 'zap_pte_range',
    generation: 'current',
    version: 'is moved',
    section: zap_pte_range_without_ptl,
    moves: true,
  },
  { name: 'set_pte, ptep_get_and_clear', generation: 'old', version: 'derived', section: exchanges },
  { name: 'change_pte_range', generation: 'current', version: 'of the runs', section: protects, runs: true },
  { name: 'move_ptes', generation: 'current', version: 'leave, flush, unlock', section: lazy.move_ptes },
  {
    name: 'move_present_ptes',
    generation: 'current',
    version: 'leave, flush, unlock',
    section: lazy.move_present_ptes,
  },
  { name: 'remap_pte_range', generation: 'current', version: '', section: lazy.remap_pte_range, entries: [0, 0] },
  { name: 'apply_to_pte_range', generation: 'current', version: '', section: lazy.apply_to_pte_range, kernel: true },
  {
    name: 'pagemap_scan_pmd_entry',
    generation: 'old',
    version: 'flush, then leave',
    section: lazy.pagemap_scan_pmd_entry_flush_before_leave,
  },
  {
    name: 'pagemap_scan_pmd_entry',
    generation: 'old',
    version: 'unlock, then leave',
    section: lazy.pagemap_scan_pmd_entry_unlock_before_leave,
  },
  {
    name: 'pagemap_scan_pmd_entry',
    generation: 'current',
    version: 'leave, flush, unlock',
    section: lazy.pagemap_scan_pmd_entry,
  },
  {
    name: 'migrate_vma_collect_pmd',
    generation: 'old',
    version: 'flush, then leave',
    section: lazy.migrate_vma_collect_pmd_flush_before_leave,
  },
  {
    name: 'migrate_vma_collect_pmd',
    generation: 'current',
    version: 'leave, flush, unlock',
    section: lazy.migrate_vma_collect_pmd,
  },
  {
    name: 'madvise_cold_or_pageout_pte_range',
    generation: 'current',
    version: 'leaves around split_folio()',
    section: lazy.madvise_cold_or_pageout_pte_range,
    entries: YOUNG,
  },
  {
    name: 'madvise_free_pte_range',
    generation: 'current',
    version: 'leaves around split_folio()',
    section: lazy.madvise_free_pte_range,
    entries: YOUNG,
  },
  { name: 'walk_pte_range', generation: 'current', version: '', section: lazy.walk_pte_range, entries: YOUNG },
  {
    name: 'vmap_pages_pte_range',
    generation: 'old',
    version: 'returns -EBUSY in the mode',
    section: lazy.vmap_pages_pte_range_buggy,
    kernel: true,
    entries: [0, mk_pte(4, RW)],
  },
  {
    name: 'vmap_pages_pte_range',
    generation: 'current',
    version: 'leaves on an error, too',
    section: lazy.vmap_pages_pte_range,
    kernel: true,
    entries: [0, mk_pte(4, RW)],
  },
  {
    name: 'vmap_pte_range',
    generation: 'current',
    version: 'uses the mapping',
    section: vmalloc.vmap_pte_range_lazy,
    kernel: true,
  },
  {
    name: 'vunmap_pte_range',
    generation: 'current',
    version: '',
    section: lazy.vunmap_pte_range,
    kernel: true,
    entries: [mk_pte(2, RW), mk_pte(3, RW)],
  },
  {
    name: 'kasan_populate_vmalloc_pte',
    generation: 'old',
    version: 'allocates in the mode',
    section: lazy.kasan_populate_vmalloc_pte_sleeps,
    kernel: true,
  },
  {
    name: 'kasan_populate_vmalloc_pte',
    generation: 'old',
    version: 'unlocks in the mode',
    section: lazy.kasan_populate_vmalloc_pte_unlocks,
    kernel: true,
  },
  {
    name: 'kasan_populate_vmalloc_pte',
    generation: 'current',
    version: 'pauses the mode',
    section: lazy.kasan_populate_vmalloc_pte,
    kernel: true,
  },
  {
    name: 'kasan_depopulate_vmalloc_pte',
    generation: 'current',
    version: 'pauses the mode',
    section: lazy.kasan_depopulate_vmalloc_pte,
    kernel: true,
    entries: [mk_pte(2, RW), mk_pte(3, RW)],
  },
  {
    name: '__kernel_map_pages',
    generation: 'old',
    version: 'in an outer section',
    section: lazy.kernel_map_pages_deferred,
    kernel: true,
  },
  {
    name: '__kernel_map_pages',
    generation: 'current',
    version: 'in a section of its own',
    section: lazy.kernel_map_pages_nested,
    kernel: true,
  },
  {
    name: 'kfence_protect',
    generation: 'current',
    version: 'in a softirq',
    section: kfenceProtects,
    kernel: true,
    interrupt: true,
  },
  {
    name: 'kfence_unprotect',
    generation: 'current',
    version: 'in a softirq',
    section: lazy.kfence_unprotect,
    kernel: true,
    interrupt: true,
  },
];

/** One cell of the matrix. */
export interface HazardFinding {
  readonly section: string;
  readonly generation: SectionGeneration;
  readonly version: string;
  readonly arch: string;
  /** Empty: clean. */
  readonly hazards: readonly lazy.HazardClass[];
  /** The step at which the first is seen: the routine it is in, and what it says. */
  readonly routine: string | null;
  readonly step: string | null;
  readonly detail: string | null;
  readonly states: number;
  readonly complete: boolean;
}

/** The machine on which a section is looked at. */
export function hazardSystem(subject: HazardSubject, arch: lazy.LazyArch, memoryModel: MemoryModel = 'sc'): System {
  const kernelTable = subject.kernel === true;
  const { entries } = subject;
  const machine = lazyMachine({
    memoryModel,
    arch,
    cpus: subject.interrupt || subject.moves ? 2 : 1,
    tasks: 1,
    kernelTable,
    ...(entries && (kernelTable ? { other: entries } : { own: entries })),
    vectors: [SOFTIRQ],
  });
  const [first, second] = machine.cpus as [Cpu, Cpu | undefined];
  const [ptl, otherPtl] = machine.ptl;
  if (!ptl || !otherPtl) throw new ModelError('hazards: build: no lock');
  const ptes = kernelTable ? machine.other : machine.own;
  const section: lazy.Section = {
    lazy: machine.lazy,
    current: { task: 0 },
    ptes,
    start: 0,
    ptl,
    otherPtl,
    ...(subject.runs && { kernel: kernelOfTheRuns(machine) }),
  };
  if (!second) startCpu(machine.builder, first, [program(subject.section, section)]);
  else if (subject.moves) {
    startCpu(machine.builder, first, [program(subject.section, section)], {}, { migratesTo: [second] });
    startCpu(machine.builder, second, [program(swapper_done)]);
  } else {
    const handler = program(subject.section, { ...section, current: { task: 0, interrupt: true } });
    startCpu(machine.builder, first, [program(mapInSection, machine)], { [SOFTIRQ]: handler });
    startCpu(machine.builder, second, [program(raiseSoftirq, first)]);
  }
  return machine.builder.build();
}

/** Looks at one section on one architecture: every rule that it breaks, and where it first does. */
export async function findHazards(subject: HazardSubject, arch: lazy.LazyArch): Promise<HazardFinding> {
  const found = await explore(hazardSystem(subject, arch), { all: true, interleavingsStatesMax: 0 });
  const hazards = found.problems.flatMap(({ property }) => lazy.hazardOf(property) ?? []);
  const trace = hazardTrace(subject, arch, found);
  const step = trace?.steps.at(-1);
  return {
    section: subject.name,
    generation: subject.generation,
    version: subject.version,
    arch: arch.name,
    hazards: [...new Set(hazards)].sort((a, b) => lazy.hazardClasses.indexOf(a) - lazy.hazardClasses.indexOf(b)),
    routine: step?.stack.at(-1) ?? null,
    step: step?.text ?? null,
    detail: step?.violation?.detail ?? found.property,
    states: found.states,
    complete: found.complete,
  };
}

/** The counterexample of the first rule broken; null if none is. */
export function hazardTrace(
  subject: HazardSubject,
  arch: lazy.LazyArch,
  { schedule }: Pick<ExploreResult, 'schedule'>,
): Trace | null {
  return schedule === null ? null : recordTrace(new TabulatedExecutor(hazardSystem(subject, arch)), schedule);
}
