/**
 * What the routines of one arm64 kernel with transparent contiguous entries share: its tables, locks and folios, and
 * the table of routines by kernel identifier, any of which a variant may replace.
 *
 * A pte table maps virtual addresses from 0 on; addresses are in bytes, as in the C.
 */
import {
  assertThat,
  load,
  Local,
  ModelError,
  type EntryPointer,
  type Frames,
  type Region,
  type Steps,
  type SystemBuilder,
  noted,
  noteMethods,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import type { ContiguousMmu, ContiguousTlb, MmuInstructions, Smmu } from '@shootdown/mmu';
import { spin_lock, spin_unlock, type Spinlock } from '@shootdown/sync';
import type { ContpteRoutines } from './routines.ts';

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 1 << PAGE_SHIFT;

/** Violated by a load or store beyond the last entry of a page table. */
export const PAST_TABLE = 'no access past the end of a page table';

/** A pte_t *: a table and an index, which may be one too far. */
export interface Ptep {
  readonly table: number;
  readonly index: number;
}

/** `ptep + n`. */
export const ptep_plus = (ptep: Ptep, n: number): Ptep => ({ table: ptep.table, index: ptep.index + n });

/** A folio: consecutive frames. */
export interface Folio {
  readonly pfn: number;
  readonly nr_pages: number;
  /** Of a file: what is dirty is written back. Otherwise anonymous. */
  readonly file?: boolean;
  /** Pages of an anonymous folio that only one process maps (PageAnonExclusive). Default all. */
  readonly exclusive?: readonly boolean[];
}

/** An address space: its table and its ASID. */
export interface ContpteMm {
  readonly name: string;
  /** Frame of its pte table. */
  readonly table: number;
  readonly asid: number;
  /** init_mm and efi_mm are none. Default true. */
  readonly user?: boolean;
}

/** A virtual memory area. */
export interface ContpteVma {
  readonly vm_mm: ContpteMm;
  readonly vm_start: number;
  readonly vm_end: number;
  /** VM_SHARED. Default false. */
  readonly shared?: boolean;
  /** VM_WRITE, where a store to a read-only entry is more than an error: see `do_wp_page()`. Default false. */
  readonly writable?: boolean;
}

/** What a kernel is built with. */
export interface ContpteKernelOptions {
  readonly frames: Frames;
  readonly tlb: ContiguousTlb;
  readonly mms: readonly ContpteMm[];
  readonly folios: readonly Folio[];
  readonly routines: ContpteRoutines;
  /** FEAT_TLBIRANGE. Default true. */
  readonly tlbiRange?: boolean;
  readonly smmu?: Smmu;
}

const CONTPTE_KERNEL_VALUES: OptionValues<ContpteKernelOptions> = {
  frames: is.anything,
  tlb: is.anything,
  mms: is.listOf(is.anything),
  folios: is.listOf(is.anything),
  routines: is.anything,
  tlbiRange: is.flag,
  smmu: is.anything,
};

/**
 * What the layer, and the operations on entries above and below it, need of a kernel: that of the scenarios, which is
 * {@link ContpteKernel}, or one of a run.
 */
export interface ContpteLayer {
  readonly frames: Frames;
  readonly CONT_PTES: number;
  readonly CONT_PTE_SIZE: number;
  readonly PTRS_PER_PTE: number;
  /** FEAT_TLBIRANGE. */
  readonly tlbiRange: boolean;
  readonly smmu: Smmu | null;
  readonly system_supports_bbml2_noabort: boolean;
  /** ARM64_WORKAROUND_2645198: some CPU is a Cortex-A715. */
  readonly workaround_2645198: boolean;
  /** Per frame, in a run: it came as part of a large folio. Left out: that is known without looking. */
  readonly large?: Region;
  /** The folio that a frame belongs to. See {@link page_folio}. */
  folioOf(pfn: number, large: number): Folio;
  /** Where an entry is; null beyond the table. */
  entryOf(ptep: Ptep, access: string): Steps<EntryPointer | null>;
}

/** A CPU as the layer sees it. */
export interface ContpteLayerCpu {
  readonly id: number;
  readonly kernel: ContpteLayer;
  readonly mmu: MmuInstructions;
  /** The kernel's routines. */
  readonly k: ContpteRoutines;
}

/** One kernel. */
export class ContpteKernel implements ContpteLayer {
  static {
    noteMethods(this);
  }

  readonly frames: Frames;
  readonly tlb: ContiguousTlb;
  readonly mms: readonly ContpteMm[];
  readonly folios: readonly Folio[];
  readonly smmu: Smmu | null;
  readonly CONT_PTES: number;
  readonly CONT_PTE_SIZE: number;
  readonly PTRS_PER_PTE: number;
  readonly tlbiRange: boolean;
  readonly routines: ContpteRoutines;
  /** Lock word of each table. */
  readonly ptl: Region;
  /** Per folio: folio_test_dirty(), and folio_test_referenced(). */
  readonly dirty: Region;
  readonly referenced: Region;
  /** Areas that the machine's tasks work on. */
  readonly vmas: ContpteVma[] = [];

  constructor(builder: SystemBuilder, options: ContpteKernelOptions) {
    checkValues('contpte: kernel: new', options, CONTPTE_KERNEL_VALUES, ['frames', 'tlb', 'mms', 'folios', 'routines']);
    const { frames, tlb, mms, folios, routines, tlbiRange = true, smmu = null } = options;
    this.frames = frames;
    this.tlb = tlb;
    this.mms = mms;
    this.folios = folios;
    this.routines = routines;
    this.tlbiRange = tlbiRange;
    this.smmu = smmu;
    this.CONT_PTES = tlb.blockEntries;
    this.CONT_PTE_SIZE = tlb.blockEntries * PAGE_SIZE;
    this.PTRS_PER_PTE = frames.entriesPerTable;
    this.ptl = builder.region('ptl', mms.length, { memory: 'strong' });
    this.dirty = builder.region('folio.dirty', folios.length);
    this.referenced = builder.region('folio.referenced', folios.length);
  }

  /** system_supports_bbml2_noabort(). */
  get system_supports_bbml2_noabort(): boolean {
    return this.tlb.rule.level === 2 && this.tlb.rule.noConflictAbort === true;
  }

  get workaround_2645198(): boolean {
    return this.tlb.rule.executableNeedsBreak === true;
  }

  /** pte_offset_map(). */
  pte_offset(mm: ContpteMm, addr: number): Ptep {
    return { table: mm.table, index: addr / PAGE_SIZE };
  }

  /** The lock of a table. */
  lockOf(mm: ContpteMm): Spinlock {
    return { name: this.mms.length === 1 ? 'ptl' : `${mm.name}->ptl`, word: this.ptl.at(this.mms.indexOf(mm)) };
  }

  /** page_folio(): the number of the folio that a frame belongs to. Throws ModelError if there is none. */
  page_folio(pfn: number): number {
    const index = this.folios.findIndex((folio) => folio.pfn <= pfn && pfn < folio.pfn + folio.nr_pages);
    if (index < 0) throw new ModelError(`contpte: page_folio: frame 0x${pfn.toString(16)} belongs to no folio`);
    return index;
  }

  /** The folio that a frame belongs to. */
  folioOf(pfn: number): Folio {
    return this.folio(this.page_folio(pfn));
  }

  folio(index: number): Folio {
    return this.folios[index] as Folio;
  }

  /** Where an entry is, or null beyond the table, which is a violation. */
  *entryOf(ptep: Ptep, access: string): Steps<EntryPointer | null> {
    const within = ptep.index >= 0 && ptep.index < this.PTRS_PER_PTE;
    yield* assertThat(within, PAST_TABLE, `${access}(pte[${ptep.index}]) of a table of ${this.PTRS_PER_PTE}`);
    return within ? this.frames.entry(ptep.table, ptep.index) : null;
  }
}

/** A CPU as its kernel code sees it. */
export interface ContpteCpu extends ContpteLayerCpu {
  readonly kernel: ContpteKernel;
  readonly mmu: ContiguousMmu;
}

/** A CPU of a kernel. */
export function contpteCpu(kernel: ContpteKernel, id: number): ContpteCpu {
  return { id, kernel, mmu: kernel.tlb.mmus[id] as ContiguousMmu, k: kernel.routines };
}

/** page_folio(). */
export const page_folio = noted(function* page_folio({ kernel }: ContpteLayerCpu, pfn: number): Steps<Folio> {
  const { large } = kernel;
  return kernel.folioOf(pfn, large ? yield* load(large.at(pfn), { label: `page_folio(0x${pfn.toString(16)})` }) : 0);
});

/** pte_offset_map_lock(). */
export const pte_offset_map_lock = noted(function* pte_offset_map_lock(
  cpu: ContpteCpu,
  mm: ContpteMm,
  addr: number,
): Steps<Ptep> {
  yield* spin_lock(cpu.kernel.lockOf(mm));
  return cpu.kernel.pte_offset(mm, addr);
});

/** pte_unmap_unlock(). */
export const pte_unmap_unlock = noted(function* pte_unmap_unlock(cpu: ContpteCpu, mm: ContpteMm): Steps {
  yield* spin_unlock(cpu.kernel.lockOf(mm));
});

/** struct mmu_gather: the range to be flushed, and the frames to be freed after it. */
export class ContpteGather extends Local {
  readonly mm: ContpteMm;
  start = Number.POSITIVE_INFINITY;
  end = 0;
  readonly pages: number[] = [];

  constructor(mm: ContpteMm) {
    super();
    this.mm = mm;
  }

  /** tlb_remove_tlb_entries(), tlb_flush_pte_range(). */
  tlb_flush_pte_range(addr: number, size: number): void {
    this.start = Math.min(this.start, addr);
    this.end = Math.max(this.end, addr + size);
  }

  override get words(): readonly number[] {
    return [this.start === Number.POSITIVE_INFINITY ? -1 : this.start, this.end, ...this.pages];
  }
}
