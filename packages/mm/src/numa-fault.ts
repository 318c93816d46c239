/**
 * Hinting faults of NUMA balancing in a run: a page that the scan (`daemons/numa-scan.ts`) has made PROT_NONE is used,
 * and comes to the node that uses it. Mirrors mm/memory.c, do_numa_page(), mm/migrate.c, migrate_misplaced_folio(), and
 * mm/rmap.c, try_to_migrate_one(), v6.18. A page goes to the node of the first fault: nobody looks from where the last
 * one came (should_numa_migrate_memory()). There is no LRU and no rmap: whoever has isolated a page has a reference to
 * it, and only a page to which nobody else has one is isolated.
 */
import {
  count,
  FrameKind,
  is,
  local,
  NO_FRAME,
  routine,
  wordsOf,
  type EntryPointer,
  type Steps,
} from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_ACCESSED, _PAGE_RW, mk_pte, pte_pfn, pte_present } from '@shootdown/mmu';
import { copy_user_highpage } from './contents.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import { is_migration_entry, make_migration_entry, migration_pfn, SWP_MIG_FLAGS } from './lazy/swap-entries.ts';
import { WithMutant } from './mutant.ts';
import { can_change_pte_writable, PAGE_COPY, pte_modify } from './mprotect.ts';
import { invalidate_range_end, invalidate_range_start } from './notify.ts';
import { clear_deferred, try_to_unmap_flush, UnmapBatch } from './tlb-batched.ts';
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
  /** pte_accessible() does not look whether the scan has flushed yet. */
  | 'pending flush is ignored'
  /** do_numa_page() does not look whether the entry is still the one that faulted. */
  | 'no pte_same()'
  /** A page is moved although somebody has pinned it. */
  | 'moves what is pinned'
  /** try_to_migrate_one() does not look whether the entry still maps the page. */
  | 'unmaps whatever is there'
  /** zap_pte_range() leaves migration entries alone. */
  | 'migration entries stay';

const MUTANTS = wordsOf<NumaMutant>()(
  'pending flush is ignored',
  'no pte_same()',
  'moves what is pinned',
  'unmaps whatever is there',
  'migration entries stay',
);

/** Where CPUs are, to a kernel that balances. */
export class NumaBalancing extends WithMutant<NumaMutant> {
  readonly nodeOf: (cpu: Cpu) => number;

  /** Throws ModelError on what tells no nodes. */
  constructor(nodeOf: (cpu: Cpu) => number) {
    super('mm: NumaBalancing', MUTANTS);
    is.callable('mm: NumaBalancing: nodeOf', nodeOf);
    this.nodeOf = nodeOf;
  }
}

/** do_numa_page(): the page may be used again, and comes to the node that uses it. */
export const do_numa_page = routine(
  'do_numa_page',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, orig_pte: number): Steps<FaultResult> {
    const { frames, numa } = kernel;
    const flags = yield* mm.vmas.find(vpn);
    yield* pte_lock(kernel, ptep.frame);
    const old_pte = yield* frames.read(ptep, { label: 'ptep_get()' });
    if (old_pte !== orig_pte && numa?.mutant !== 'no pte_same()') {
      yield* pte_unlock(kernel, ptep.frame);
      return 'retry';
    }
    const pte = pte_modify(old_pte, PAGE_COPY);
    const writable = (flags & VM_WRITE) !== 0 && (yield* can_change_pte_writable(kernel, pte));
    const folio = pte_pfn(pte);
    yield* count(NumaCounter.faults);
    const local = !numa || frames.nodeOf(folio) === numa.nodeOf(cpu);
    if (local) yield* count(NumaCounter.local);
    const isolated = !local && (yield* migrate_misplaced_folio_prepare(kernel, folio));
    if (!isolated) yield* numa_rebuild_single_mapping(kernel, ptep, writable);
    yield* pte_unlock(kernel, ptep.frame);
    if (!isolated || (yield* migrate_misplaced_folio(kernel, cpu, mm, vpn, ptep, folio))) return 'retry';
    yield* pte_lock(kernel, ptep.frame);
    const same = (yield* frames.read(ptep, { label: 'ptep_get()' })) === orig_pte;
    if (same) yield* numa_rebuild_single_mapping(kernel, ptep, false);
    yield* pte_unlock(kernel, ptep.frame);
    return 'retry';
  },
);

/** The page may be used where it is. */
function* numa_rebuild_single_mapping({ frames }: Kernel, ptep: EntryPointer, writable: boolean): Steps {
  const old_pte = yield* frames.xchg(ptep, 0, { label: 'ptep_modify_prot_start()' });
  const pte = pte_modify(old_pte, PAGE_COPY) | _PAGE_ACCESSED | (writable ? _PAGE_RW : 0);
  yield* frames.write(ptep, pte, { label: 'ptep_modify_prot_commit()' });
}

/** folio_isolate_lru(): takes a reference. False: somebody else has isolated, mapped or pinned the page. */
function* migrate_misplaced_folio_prepare({ frames }: Kernel, folio: number): Steps<boolean> {
  if ((yield* frames.ref(folio, 0, { label: 'folio_ref_count()' })) !== 1) return false;
  yield* frames.ref(folio, 1, { label: 'folio_isolate_lru()' });
  return true;
}

/** Moves an isolated page to this CPU's node; false: it stays where it is, because there is no room or it is pinned. */
const migrate_misplaced_folio = routine(
  'migrate_misplaced_folio',
  function* (kernel: Kernel, cpu: Cpu, mm: Mm, vpn: number, ptep: EntryPointer, src: number): Steps<boolean> {
    const { frames, numa } = kernel;
    const dst = yield* frames.alloc(FrameKind.page, { label: 'alloc_misplaced_dst_folio()' });
    const near = dst !== NO_FRAME && frames.nodeOf(dst) === numa?.nodeOf(cpu);
    const tlb_ubc = yield* local(new UnmapBatch());
    const unmapped = near && (yield* try_to_migrate_one(kernel, cpu, mm, vpn, ptep, src, tlb_ubc));
    yield* try_to_unmap_flush(kernel, cpu, tlb_ubc);
    const moved = unmapped && (yield* migrate_folio(kernel, dst, src));
    if (unmapped) yield* remove_migration_pte(kernel, ptep, src, moved ? dst : src);
    if (moved) yield* count(NumaCounter.migrated);
    if (dst !== NO_FRAME) yield* frames.put(dst);
    yield* frames.put(src, { label: 'folio_putback_lru()' });
    return moved;
  },
);

/**
 * try_to_migrate_one(): nobody can come by the page through the entry any more; the flush comes with that of the batch.
 * False if the entry maps another page, or none, by now.
 */
const try_to_migrate_one = routine(
  'try_to_migrate_one',
  function* (
    kernel: Kernel,
    cpu: Cpu,
    mm: Mm,
    vpn: number,
    ptep: EntryPointer,
    folio: number,
    tlb_ubc: UnmapBatch,
  ): Steps<boolean> {
    const { frames, numa } = kernel;
    yield* invalidate_range_start(kernel, mm, vpn, vpn + 1);
    yield* pte_lock(kernel, ptep.frame);
    const seen = yield* frames.read(ptep, { label: 'ptep_get()' });
    const mapped = (pte_present(seen) && pte_pfn(seen) === folio) || numa?.mutant === 'unmaps whatever is there';
    if (mapped) {
      const pteval = yield* clear_deferred(kernel, cpu, mm, vpn, ptep, tlb_ubc);
      const swp_pte = make_migration_entry(folio) | (pteval & SWP_MIG_FLAGS);
      yield* frames.write(ptep, swp_pte, { label: `set_pte_at(migration 0x${folio.toString(16)})` });
      yield* frames.put(folio, { label: 'folio_remove_rmap_pte(); folio_put()' });
    }
    yield* pte_unlock(kernel, ptep.frame);
    yield* invalidate_range_end(kernel, mm, vpn, vpn + 1);
    return mapped;
  },
);

/** migrate_folio(): copies the page, unless somebody else has it still. */
function* migrate_folio(kernel: Kernel, dst: number, src: number): Steps<boolean> {
  const { frames, numa } = kernel;
  const alone = (yield* frames.ref(src, 0, { label: 'folio_ref_count()' })) === 1;
  if (!alone && numa?.mutant !== 'moves what is pinned') return false;
  yield* copy_user_highpage(kernel, dst, src);
  return true;
}

/** remove_migration_pte(): read-only, as the entry was. Somebody may have zapped it: then nobody needs the page. */
const remove_migration_pte = routine(
  'remove_migration_pte',
  function* (kernel: Kernel, ptep: EntryPointer, src: number, folio: number): Steps {
    const { frames } = kernel;
    yield* pte_lock(kernel, ptep.frame);
    const old_pte = yield* frames.read(ptep, { label: 'ptep_get()' });
    if (is_migration_entry(old_pte) && migration_pfn(old_pte) === src) {
      yield* frames.ref(folio, 1, { label: 'folio_get()' });
      yield* frames.write(ptep, mk_pte(folio, PAGE_COPY | (old_pte & SWP_MIG_FLAGS)), { label: 'set_pte_at()' });
    }
    yield* pte_unlock(kernel, ptep.frame);
  },
);
