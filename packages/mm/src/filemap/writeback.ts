/**
 * Writing a folio back, and reclaiming it.
 * Mirrors mm/page-writeback.c, folio_clear_dirty_for_io(); mm/rmap.c, folio_mkclean(); mm/vmscan.c,
 * shrink_folio_list(), v6.18.
 */
import { checkedOnce, checkValues, is, load, routine, store, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { _PAGE_DIRTY, _PAGE_RW, pte_dirty, pte_present, pte_write } from '@shootdown/mmu';
import { pte_lock, pte_unlock } from '../kernel.ts';
import { pte_offset } from '../pgtable.ts';
import type { FileFolio } from '../file-folio.ts';

/** Choices of {@link writeback}. */
export interface WritebackDesign {
  /**
   * PVMW_SYNC: page_vma_mapped_walk() takes the page-table lock even if the entry looks empty (479db0bf408e, v2.6.27).
   */
  readonly sync: boolean;
}

const checkWriteback = checkedOnce((design: WritebackDesign) =>
  checkValues('filemap: writeback: design', design, { sync: is.flag }, ['sync']),
);

/** Writes the folio to disk if it is dirty. The folio lock, which nobody else takes here, is left out. */
export const writeback = routine(
  'write_cache_pages',
  function* (folio: FileFolio, cpu: Cpu, vpn: number, design: WritebackDesign): Steps {
    checkWriteback(design);
    if (!(yield* folio_clear_dirty_for_io(folio, cpu, vpn, design))) return;
    const data = yield* load(folio.data.at(0), { label: 'submit_bio(page)', fact: (value) => `data ${value}` });
    yield* store(folio.disk.at(0), data, { label: `disk = ${data}` });
  },
);

/** Takes the dirty state away: first from the page tables, then from the folio. True if there is something to write. */
const folio_clear_dirty_for_io = routine(
  'folio_clear_dirty_for_io',
  function* (folio: FileFolio, cpu: Cpu, vpn: number, design: WritebackDesign): Steps<boolean> {
    if (yield* folio_mkclean(folio, cpu, vpn, design)) yield* folio.folio_mark_dirty();
    return yield* folio.folio_test_clear_dirty();
  },
);

/** Makes the entry that maps the folio clean and read-only; true if it was not. A folio that nobody maps has none. */
const folio_mkclean = routine(
  'folio_mkclean',
  function* (folio: FileFolio, cpu: Cpu, vpn: number, { sync }: WritebackDesign): Steps<boolean> {
    const { kernel, mm } = folio;
    if (!(yield* folio.folio_mapped())) return false;
    const ptep = yield* pte_offset(kernel, mm, vpn);
    if (!ptep) return false;
    if (!sync && !pte_present(yield* kernel.frames.read(ptep, { label: 'ptep_get()' }))) return false;
    yield* pte_lock(kernel, ptep.frame);
    const entry = yield* kernel.frames.read(ptep, { label: 'ptep_get()' });
    const found = pte_present(entry) && (pte_dirty(entry) || pte_write(entry));
    if (found) {
      const old = yield* kernel.frames.xchg(ptep, 0, { label: 'ptep_clear_flush()' });
      yield* kernel.arch.flush_tlb_mm_range(cpu, mm, vpn, vpn + 1, false);
      yield* kernel.frames.write(ptep, old & ~(_PAGE_RW | _PAGE_DIRTY), { label: 'set_pte_at(): clean, read-only' });
    }
    yield* pte_unlock(kernel, ptep.frame);
    return found;
  },
);

/** shrink_folio_list(): drops the folio if nobody maps it and it is clean. */
export const shrink_folio_list = routine('shrink_folio_list', function* (folio: FileFolio): Steps {
  if (yield* folio.folio_mapped()) return;
  yield* folio.remove_mapping();
});
