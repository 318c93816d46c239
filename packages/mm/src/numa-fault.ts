/**
 * Hinting faults of NUMA balancing in a run: a page that the scan (`daemons/numa-scan.ts`) has made PROT_NONE is used,
 * and comes to the node that uses it. Mirrors mm/memory.c, do_numa_page(), and mm/migrate.c,
 * migrate_misplaced_folio(), v6.18. A page goes to the node of the first fault: nobody looks from where the last one
 * came (should_numa_migrate_memory()).
 */
import { count, FrameKind, load, NO_FRAME, routine, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import {
  _PAGE_ACCESSED,
  _PAGE_PRESENT,
  _PAGE_PROTNONE,
  _PAGE_RW,
  _PAGE_SOFTW,
  _PAGE_USER,
  mk_pte,
  PFN_SHIFT,
  pte_dirty,
  pte_pfn,
} from '@shootdown/mmu';
import { copy_user_highpage } from './contents.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import { invalidate_range_end, invalidate_range_start } from './notify.ts';
import { VM_WRITE } from './vma.ts';
import type { FaultResult } from './wp-page.ts';

/** Counters, named as in /proc/vmstat. */
export const NumaCounter = {
  updates: 'numa_pte_updates',
  faults: 'numa_hint_faults',
  local: 'numa_hint_faults_local',
  migrated: 'numa_pages_migrated',
} as const;

/** What can be left out (mutants). */
export type NumaMutant =
  /** try_to_migrate_one() does not look whether the scan has flushed yet. */
  | 'pending flush is ignored'
  /** zap_pte_range() leaves migration entries alone. */
  | 'migration entries stay';

/** Where CPUs are, to a kernel that balances. */
export interface NumaBalancing {
  readonly nodeOf: (cpu: Cpu) => number;
  /** Left out: nothing. */
  mutant?: NumaMutant;
}

/** make_migration_entry(): the page is on its way to another frame. */
function make_migration_entry(pfn: number): number {
  return (pfn << PFN_SHIFT) | _PAGE_SOFTW;
}

/** is_migration_entry(). */
export function is_migration_entry(entry: number): boolean {
  return (entry & (_PAGE_PRESENT | _PAGE_PROTNONE | _PAGE_SOFTW)) === _PAGE_SOFTW;
}

/** do_numa_page(): the page may be used again, and comes to the node that uses it. */
export const do_numa_page = routine(
  'do_numa_page',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, old_pte: number): Steps<FaultResult> {
    const { frames, numa } = kernel;
    const flags = yield* mm.vmas.find(vpn);
    const frame = pte_pfn(old_pte);
    yield* pte_lock(kernel, ptep.frame);
    if ((yield* frames.read(ptep, { label: 'ptep_get()' })) !== old_pte) {
      yield* pte_unlock(kernel, ptep.frame);
      return 'retry';
    }
    yield* count(NumaCounter.faults);
    const local = !numa || frames.nodeOf(frame) === numa.nodeOf(cpu);
    const alone = (yield* frames.ref(frame, 0, { label: 'folio_ref_count()' })) === 1;
    const writable = (flags & VM_WRITE) !== 0 && pte_dirty(old_pte) && alone;
    const entry = pte_mkaccessible(old_pte, writable);
    if (local) yield* count(NumaCounter.local);
    if (local || !alone) yield* frames.write(ptep, entry, { label: 'ptep_modify_prot_commit()' });
    yield* pte_unlock(kernel, ptep.frame);
    if (!local && alone) yield* migrate_misplaced_folio(kernel, cpu, mm, vpn, ptep, old_pte, entry);
    return 'retry';
  },
);

function pte_mkaccessible(entry: number, writable: boolean): number {
  const flags = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | (writable ? _PAGE_RW : 0);
  return (entry & ~_PAGE_PROTNONE) | flags;
}

/** Moves a page to this CPU's node; if there is no room, it may be used where it is. */
const migrate_misplaced_folio = routine(
  'migrate_misplaced_folio',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, old_pte: number, entry: number): Steps {
    const { frames, numa } = kernel;
    const old = pte_pfn(old_pte);
    const page = yield* frames.alloc(FrameKind.page, { label: 'alloc_misplaced_dst_folio()' });
    const near = page !== NO_FRAME && frames.nodeOf(page) === numa?.nodeOf(cpu);
    const isolated = near && (yield* try_to_migrate_one(kernel, cpu, mm, vpn, ptep, old_pte));
    if (!isolated) {
      if (page !== NO_FRAME) yield* frames.put(page);
      if (!near) yield* remap(kernel, ptep, old_pte, entry);
      return;
    }
    yield* copy_user_highpage(kernel, page, old);
    const moved = mk_pte(page, entry & ((1 << PFN_SHIFT) - 1));
    // Somebody may have zapped it meanwhile: then nobody needs the copy.
    if (yield* remap(kernel, ptep, make_migration_entry(old), moved)) yield* count(NumaCounter.migrated);
    else yield* frames.put(page);
    yield* frames.put(old);
  },
);

/** try_to_migrate_one(): nobody has a translation of the page when it returns true. */
const try_to_migrate_one = routine(
  'try_to_migrate_one',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, old_pte: number): Steps<boolean> {
    const { frames, numa } = kernel;
    yield* invalidate_range_start(kernel, mm, vpn, vpn + 1);
    yield* pte_lock(kernel, ptep.frame);
    const same = (yield* frames.read(ptep, { label: 'ptep_get()' })) === old_pte;
    if (same) {
      yield* frames.xchg(ptep, make_migration_entry(pte_pfn(old_pte)), {
        label: 'ptep_clear_flush(); set_pte_at(migration)',
      });
      // pte_accessible(): the scan has cleared the entry, but maybe not flushed yet.
      const pending = yield* load(mm.tlb_flush_pending.at(0), { label: 'mm_tlb_flush_pending(mm)' });
      if (pending > 0 && numa?.mutant !== 'pending flush is ignored')
        yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
    }
    yield* pte_unlock(kernel, ptep.frame);
    yield* invalidate_range_end(kernel, mm, vpn, vpn + 1);
    return same;
  },
);

/** remove_migration_pte(): true if the entry was still as it was left. */
const remap = routine(
  'remove_migration_pte',
  function* (kernel: Kernel, ptep: EntryPointer, was: number, entry: number): Steps<boolean> {
    const { frames } = kernel;
    yield* pte_lock(kernel, ptep.frame);
    const same = (yield* frames.read(ptep, { label: 'ptep_get()' })) === was;
    if (same) yield* frames.write(ptep, entry, { label: 'set_pte_at()' });
    yield* pte_unlock(kernel, ptep.frame);
    return same;
  },
);
