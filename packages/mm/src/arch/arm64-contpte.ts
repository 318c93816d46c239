/**
 * Transparent contiguous entries in a kernel of the runs: folios of 64 KB, and the operations on entries through the
 * contpte layer, whose routines are those of the contpte scenarios (`contpte/`).
 *
 * A kernel without {@link Kernel.contpte} performs what it performed before there was the layer: one entry at a time.
 */
import {
  assertThat,
  noted,
  noteMethods,
  type EntryPointer,
  type Frames,
  type Region,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { pte_pfn, type MmuInstructions, type Smmu } from '@shootdown/mmu';
import { folio_pte_batch_flags } from './contpte/batch.ts';
import {
  PAST_TABLE,
  page_folio,
  type ContpteLayer,
  type ContpteLayerCpu,
  type ContpteMm,
  type Folio,
  type Ptep,
} from './contpte/kernel.ts';
import { routines } from './contpte/routines.ts';
import type { Kernel, Mm } from '../kernel.ts';
import { ptep_get_and_clear, ptep_modify_prot_start, ptep_set_wrprotect, set_pte } from '../lazy-ptes.ts';

/** Entries of a contiguous block with 4 KB pages. */
export const CONT_PTES_4K = 16;
const PAGE_SIZE = 4096;

/** The layer of one kernel. */
export class Arm64Contpte implements ContpteLayer {
  static {
    noteMethods(this);
  }

  readonly frames: Frames;
  readonly mmus: readonly MmuInstructions[];
  readonly CONT_PTES = CONT_PTES_4K;
  readonly CONT_PTE_SIZE = CONT_PTES_4K * PAGE_SIZE;
  readonly PTRS_PER_PTE: number;
  /** As the other flushes of the runs: without FEAT_TLBIRANGE. */
  readonly tlbiRange = false;
  readonly smmu: Smmu | null = null;
  readonly system_supports_bbml2_noabort = false;
  readonly workaround_2645198 = false;
  /** Per frame: it came as part of a folio of CONT_PTES pages, and has not been given back since. */
  readonly large: Region;

  constructor(builder: SystemBuilder, frames: Frames, mmus: readonly MmuInstructions[]) {
    this.frames = frames;
    this.PTRS_PER_PTE = frames.entriesPerTable;
    this.mmus = mmus;
    this.large = builder.region('folio.large', frames.count);
  }

  /** Pages of a folio that are given back one by one leave it, as after split_folio(). */
  folioOf(pfn: number, large: number): Folio {
    return large === 0 ? { pfn, nr_pages: 1 } : { pfn: pfn - (pfn % this.CONT_PTES), nr_pages: this.CONT_PTES };
  }

  /** Blocks do not cross the end of a table. */
  *entryOf({ table, index }: Ptep, access: string): Steps<EntryPointer | null> {
    yield* assertThat(index < this.PTRS_PER_PTE, PAST_TABLE, `${access}(pte[${index}])`);
    return this.frames.entry(table, index);
  }

  /** A CPU as the layer's routines see it. */
  cpu({ id }: Cpu): ContpteLayerCpu {
    return { id, kernel: this, mmu: this.mmus[id] as MmuInstructions, k: routines };
  }
}

const ptepOf = ({ frame, index }: EntryPointer): Ptep => ({ table: frame, index });
const mmOf = (mm: Mm): ContpteMm => ({ name: `mm${mm.id}`, table: -1, asid: mm.id });

/** folio_pte_batch(): entries from here on that map consecutive pages of one folio; one without the layer. */
export const folio_pte_batch = noted(function* folio_pte_batch(
  { contpte }: Kernel,
  cpu: Cpu,
  ptep: EntryPointer,
  pte: number,
  max_nr: number,
  flags = 0,
): Steps<number> {
  if (!contpte || max_nr === 1) return 1;
  const folio = yield* page_folio(contpte.cpu(cpu), pte_pfn(pte));
  if (folio.nr_pages === 1) return 1;
  return yield* folio_pte_batch_flags(contpte.cpu(cpu), folio, ptepOf(ptep), pte, max_nr, flags);
});

/** With contiguous entries both read and clear them all; without, `one` does it with the only one there is. */
function clearing(one: (kernel: Kernel, cpu: Cpu, ptep: EntryPointer) => Steps<number>) {
  return (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, nr: number): Steps<number> => {
    const { contpte } = kernel;
    if (!contpte) return one(kernel, cpu, ptep);
    return routines.get_and_clear_full_ptes(contpte.cpu(cpu), mmOf(mm), vpn * PAGE_SIZE, ptepOf(ptep), nr);
  };
}

/** get_and_clear_full_ptes(). */
export const get_and_clear_full_ptes = clearing((kernel, cpu, ptep) =>
  ptep_get_and_clear(kernel, cpu, ptep, { label: 'ptep_get_and_clear_full()' }),
);

/** modify_prot_start_ptes(). */
export const modify_prot_start_ptes = clearing((kernel, cpu, ptep) =>
  ptep_modify_prot_start(kernel, cpu, ptep, { label: 'ptep_modify_prot_start()' }),
);

/** set_ptes(): entries that were not there, consecutive pages from that of `pte` on. */
export function set_ptes(
  kernel: Kernel,
  cpu: Cpu,
  mm: Mm,
  vpn: number,
  ptep: EntryPointer,
  pte: number,
  nr: number,
  label: string,
): Steps {
  const { contpte } = kernel;
  return contpte
    ? routines.set_ptes(contpte.cpu(cpu), mmOf(mm), vpn * PAGE_SIZE, ptepOf(ptep), pte, nr)
    : set_pte(kernel, cpu, ptep, pte, { label });
}

/** wrprotect_ptes(): returns the first entry as it was. */
export const wrprotect_ptes = noted(function* wrprotect_ptes(
  kernel: Kernel,
  cpu: Cpu,
  mm: Mm,
  vpn: number,
  ptep: EntryPointer,
  seen: number,
  nr: number,
): Steps<number> {
  const { contpte } = kernel;
  if (!contpte) return yield* ptep_set_wrprotect(kernel, cpu, ptep, seen);
  yield* routines.wrprotect_ptes(contpte.cpu(cpu), mmOf(mm), vpn * PAGE_SIZE, ptepOf(ptep), nr);
  return seen;
});

/** The entry is not part of a block any more, if it was: what changes one page alone begins with that. */
export const unfold = noted(function* unfold(
  { contpte }: Kernel,
  cpu: Cpu,
  mm: Mm,
  vpn: number,
  ptep: EntryPointer,
): Steps {
  if (!contpte) return;
  yield* routines.contpte_try_unfold_partial(contpte.cpu(cpu), mmOf(mm), vpn * PAGE_SIZE, ptepOf(ptep), 1);
});
