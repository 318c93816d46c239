/**
 * Who else changes the entries that a section works on, under the same page-table lock: reclaim, which finds them by
 * rmap, and a page fault. Neither is in lazy MMU mode.
 */
import type { Cpu } from '@shootdown/cpu';
import { routine, type EntryPointer, type Steps } from '@shootdown/machine';
import { lazy } from '@shootdown/mm';
import { mk_pte, pte_pfn, pte_present } from '@shootdown/mmu';
import { spin_lock, type Spinlock } from '@shootdown/sync';
import { access, EMPTY_PAGE, revoke, Revoked, RW, type LazyMachine } from './lazy-machine.ts';
import { asUser } from '../tasks.ts';

/** The task that is no section's. */
const neighbour = { task: 1 };

/**
 * mm/rmap.c, for one place where a page may be mapped: if it is, the entry is cleared and flushed. Returns 1 if it was.
 */
const try_to_unmap_one = routine(
  'try_to_unmap_one (kswapd)',
  function* (machine: LazyMachine, ptep: EntryPointer, ptl: Spinlock, pfn: number): Steps<number> {
    const { lazy: mode } = machine;
    let unmapped = 0;
    yield* spin_lock(ptl);
    const pte = yield* lazy.ptep_get(mode, neighbour, ptep);
    if (pte_present(pte) && pte_pfn(pte) === pfn) {
      yield* lazy.ptep_get_and_clear(mode, neighbour, ptep, { label: 'ptep_clear_flush()' });
      yield* lazy.flush_tlb_range(mode, neighbour, ptep.index, 1);
      unmapped = 1;
    }
    yield* lazy.pte_unmap_unlock(mode, neighbour, ptl);
    return unmapped;
  },
);

/** Reclaim of a page that one process maps, at one place: when it is unmapped, it is used for something else. */
export const reclaims = routine('shrink_inactive_list', function* (machine: LazyMachine, page: number): Steps {
  const { own, ptl } = machine;
  const [ptep, lock] = [own[page] as EntryPointer, ptl[0] as Spinlock];
  const pfn = machine.mapped[page] as number;
  if ((yield* try_to_unmap_one(machine, ptep, lock, pfn)) === 1) yield* revoke(machine, page, Revoked.accesses);
});

/**
 * Reclaim of a page that a parent and its child may map: try_to_unmap(). The rmap has the parent's place before the
 * child's (fork() relies on that), and the walk ends when nobody maps the page any more (folio_not_mapped()).
 */
export const reclaimsShared = routine('try_to_unmap', function* (machine: LazyMachine, page: number): Steps {
  const { own, other, ptl, lazy: mode } = machine;
  const pfn = machine.mapped[page] as number;
  // folio_isolate_lru(): the last reference is its own.
  yield* mode.frames.ref(pfn, 1, { label: 'folio_get()' });
  for (const [table, places] of [own, other].entries()) {
    const unmapped = yield* try_to_unmap_one(machine, places[page] as EntryPointer, ptl[table] as Spinlock, pfn);
    if (unmapped === 0) continue;
    if ((yield* mode.frames.ref(pfn, -1, { label: 'folio_remove_rmap_pte()' })) === 1) break;
  }
  yield* mode.frames.ref(pfn, -1, { label: 'folio_put()' });
});

/**
 * mm/memory.c, do_anonymous_page(): a fault that finds no entry maps an empty page; one that finds a migration entry
 * waits.
 */
const do_pte_missing = routine('do_pte_missing', function* (machine: LazyMachine, page: number): Steps {
  const { lazy: mode, own, ptl } = machine;
  const [ptep, lock] = [own[page] as EntryPointer, ptl[0] as Spinlock];
  yield* spin_lock(lock);
  if ((yield* lazy.ptep_get(mode, neighbour, ptep)) === 0)
    yield* lazy.set_pte(mode, neighbour, ptep, mk_pte(EMPTY_PAGE, RW), { label: 'set_ptes(vmf->pte)' });
  yield* lazy.pte_unmap_unlock(mode, neighbour, lock);
});

/** A thread that writes and reads a page; an access that faults goes to the kernel. */
export const userThatFaults = asUser(function* (machine: LazyMachine, { id }: Cpu, page: number): Steps {
  if ((yield* access(machine, id, page, true)) === 0) yield* do_pte_missing(machine, page);
  yield* access(machine, id, page, false);
});
