/**
 * Huge pages of a machine whose khugepaged makes some: a pmd that maps 2 MB. Mirrors mm/huge_memory.c, v6.18:
 * __split_huge_pmd(), zap_huge_pmd(). What changes a part of one, or its protection, splits it first; so do mprotect()
 * and fork() of all of it, for which the kernel has routines of their own.
 */
import {
  count,
  load,
  routine,
  smp_wmb,
  store,
  type EntryPointer,
  type Frames,
  type Region,
  type Steps,
  type SystemBuilder,
  noted,
  noteMethods,
  wordsOf,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import {
  _PAGE_PRESENT,
  _PAGE_PSE,
  _PAGE_TABLE,
  indexOf,
  mk_pte,
  PFN_SHIFT,
  pte_pfn,
  pte_present,
  type WalkLevel,
} from '@shootdown/mmu';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import type { MmuGather } from './mmu-gather.ts';
import { WithMutant } from './mutant.ts';
import { rootOf } from './pgtable.ts';

/** Counters, named as in /proc/vmstat. */
export const ThpCounter = {
  collapsed: 'thp_collapse_alloc',
  failed: 'thp_collapse_alloc_failed',
  split: 'thp_split_pmd',
} as const;

/** What can be left out (mutants). */
export type HugePagesMutant =
  /** Nobody looks again, under the lock for writing, whether an area covers the huge page. */
  | 'no revalidation'
  /** tlb_remove_table_sync_one() is left out. */
  | 'no table sync'
  /** Pages are copied although somebody has pinned them. */
  | 'does not count'
  /** pmdp_invalidate() clears the pmd and does not flush. */
  | 'no split flush'
  /** pmdp_collapse_flush() clears the pmd and does not flush. */
  | 'no collapse flush'
  /** zap_huge_pmd() does not tell the gather what to flush. */
  | 'no zap flush';

const MUTANTS = wordsOf<HugePagesMutant>()(
  'no revalidation',
  'no table sync',
  'does not count',
  'no split flush',
  'no collapse flush',
  'no zap flush',
);

/** What a kernel keeps of its huge pages. */
export class HugePages extends WithMutant<HugePagesMutant> {
  static {
    noteMethods(this);
  }

  /** HPAGE_PMD_NR: small pages in one. */
  readonly pages: number;
  /** pgtable_trans_huge_deposit(): by huge page, the frame of the table that a split will need, plus one. */
  readonly #deposited: Region;
  /** tlb_remove_table_sync_one(): walkers with interrupts off are through. */
  readonly tlb_remove_table_sync_one: (cpu: Cpu) => Steps;

  constructor(builder: SystemBuilder, frames: Frames, sync_one: (cpu: Cpu) => Steps) {
    super('mm: HugePages', MUTANTS);
    this.pages = frames.entriesPerTable;
    this.#deposited = builder.region('pmd_huge_pte', 1 + Math.floor(frames.count / this.pages));
    this.tlb_remove_table_sync_one = sync_one;
  }

  /** pgtable_trans_huge_deposit(). */
  deposit(huge: number, table: number): Steps {
    return store(this.#deposited.at(huge / this.pages), table + 1, { label: 'pgtable_trans_huge_deposit()' });
  }

  /** pgtable_trans_huge_withdraw(): the table. */
  *withdraw(huge: number): Steps<number> {
    const word = this.#deposited.at(huge / this.pages);
    const table = (yield* load(word, { label: 'pgtable_trans_huge_withdraw()' })) - 1;
    yield* store(word, 0, { label: 'pmd_huge_pte = NULL' });
    return table;
  }
}

/** pmd_trans_huge(): it maps a huge page, or is about to be split. */
export function pmd_trans_huge(entry: number): boolean {
  return (entry & _PAGE_PSE) !== 0;
}

/** Walks to the pmd of a page, without allocating: null where a table above it is missing. */
export const pmd_offset = noted(function* pmd_offset(kernel: Kernel, mm: Mm, vpn: number): Steps<EntryPointer | null> {
  const { frames, shape } = kernel;
  const above = shape.levels.slice(0, -1);
  let table = rootOf(mm, yield* load(mm.pgd.at(0), { label: 'pgd_offset(mm, addr)' }));
  for (const level of above.slice(0, -1)) {
    const entry = yield* frames.read(frames.entry(table, indexOf(level, vpn)), { label: `${level.name}p_get()` });
    if (!pte_present(entry)) return null;
    table = pte_pfn(entry);
  }
  return frames.entry(table, indexOf(above.at(-1) as WalkLevel, vpn));
});

/** Whether a page is part of a huge one. False where a machine has none. */
export const is_huge = noted(function* is_huge(kernel: Kernel, mm: Mm, vpn: number): Steps<boolean> {
  if (!kernel.thp) return false;
  const pmd = yield* pmd_offset(kernel, mm, vpn);
  return pmd !== null && pmd_trans_huge(yield* kernel.frames.read(pmd, { label: 'pmdp_get_lockless()' }));
});

/** split_huge_pmd(): a table of small pages in place of the huge one that holds page `vpn`, if one does. */
const split_huge_pmd = routine('__split_huge_pmd', function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number): Steps {
  const { frames, thp } = kernel;
  const pmd = thp ? yield* pmd_offset(kernel, mm, vpn) : null;
  if (!thp || !pmd) return;
  yield* pte_lock(kernel, pmd.frame);
  const entry = yield* frames.read(pmd, { label: 'pmdp_get()' });
  if (pmd_trans_huge(entry)) {
    const start = vpn - (vpn % thp.pages);
    // Hardware no longer walks through it, software still sees what it is; and what hardware has set of it is in
    // `old`.
    const old = yield* frames.xchg(pmd, entry & ~_PAGE_PRESENT, { label: 'pmdp_invalidate()' });
    if (thp.mutant !== 'no split flush') yield* kernel.arch.flush_tlb_mm_range(cpu, mm, start, start + thp.pages, true);
    const table = yield* thp.withdraw(pte_pfn(old));
    for (let i = 0; i < thp.pages; i++)
      yield* frames.write(frames.entry(table, i), mk_pte(pte_pfn(old) + i, flagsOf(old)), { label: 'set_ptes()' });
    yield* smp_wmb();
    yield* frames.write(pmd, mk_pte(table, _PAGE_TABLE), { label: 'pmd_populate()' });
    yield* count(ThpCounter.split);
  }
  yield* pte_unlock(kernel, pmd.frame);
});

/** Splits every huge page that [start, end) has a part of. */
export const split_huge_pmds = noted(function* split_huge_pmds(
  kernel: Kernel,
  cpu: Cpu,
  mm: Mm,
  start: number,
  end: number,
): Steps {
  if (!kernel.thp) return;
  const { pages } = kernel.thp;
  for (let vpn = start; vpn < end; vpn += pages - (vpn % pages)) yield* split_huge_pmd(kernel, cpu, mm, vpn);
});

/** The part of zap_pmd_range() that is about huge pages: zaps those that lie in [start, end), and splits the others. */
export const zap_huge_pmds = noted(function* zap_huge_pmds(
  kernel: Kernel,
  cpu: Cpu,
  tlb: MmuGather,
  start: number,
  end: number,
): Steps {
  if (!kernel.thp) return;
  const { pages } = kernel.thp;
  for (let vpn = start; vpn < end; vpn += pages - (vpn % pages)) {
    if (!(yield* is_huge(kernel, tlb.mm, vpn))) continue;
    if (vpn % pages !== 0 || vpn + pages > end) yield* split_huge_pmd(kernel, cpu, tlb.mm, vpn);
    else yield* zap_huge_pmd(kernel, tlb, vpn);
  }
});

const zap_huge_pmd = noted(function* zap_huge_pmd(kernel: Kernel, tlb: MmuGather, vpn: number): Steps {
  const { frames, thp } = kernel;
  const pmd = yield* pmd_offset(kernel, tlb.mm, vpn);
  if (!thp || !pmd) return;
  yield* pte_lock(kernel, pmd.frame);
  const entry = yield* frames.read(pmd, { label: '__pmd_trans_huge_lock()' });
  if (pmd_trans_huge(entry)) {
    const orig_pmd = yield* frames.xchg(pmd, 0, { label: 'pmdp_huge_get_and_clear_full()' });
    if (thp.mutant !== 'no zap flush') {
      tlb.removeEntry(vpn);
      tlb.removeEntry(vpn + thp.pages - 1);
    }
    const table = yield* thp.withdraw(pte_pfn(orig_pmd));
    yield* frames.free(table, { label: 'zap_deposited_table()' });
    tlb.removeHugePage(pte_pfn(orig_pmd));
  }
  yield* pte_unlock(kernel, pmd.frame);
});

function flagsOf(entry: number): number {
  return entry & ((1 << PFN_SHIFT) - 1) & ~_PAGE_PSE;
}
