/**
 * Anonymous folios of 64 KB: alloc_anon_folio() and the large case of do_anonymous_page(), mm/memory.c, v6.18.
 */
import { NO_FRAME, noted, setBits, work, type EntryPointer, type Steps } from '@shootdown/machine';
import type { Cpu } from '@shootdown/cpu';
import { mk_pte } from '@shootdown/mmu';
import { set_ptes, type Arm64Contpte } from './arch/arm64-contpte.ts';
import { pte_lock, pte_unlock, type Kernel, type Mm } from './kernel.ts';
import { protection } from './wp-page.ts';

/**
 * Maps a folio of zeroes over the whole block of a page. False if there is none to be had: the area does not cover the
 * block, something is mapped in it, or no such folio is free.
 */
export const do_anonymous_folio = noted(function* do_anonymous_folio(
  kernel: Kernel,
  cpu: Cpu,
  mm: Mm,
  vpn: number,
  ptep: EntryPointer,
  write: boolean,
): Steps<boolean> {
  const { contpte, frames } = kernel;
  if (!contpte) return false;
  const nr = contpte.CONT_PTES;
  const start = vpn - (vpn % nr);
  const first = frames.entry(ptep.frame, ptep.index - (vpn - start));
  if (!(yield* mm.vmas.covers(start, start + nr)) || !(yield* pte_range_none(contpte, first))) return false;
  const page = yield* frames.allocPages(nr, { label: 'folio_alloc(GFP_TRANSHUGE_LIGHT)' });
  if (page === NO_FRAME) return false;
  for (let i = 0; i < nr; i++) {
    yield* setBits(contpte.large.at(page + i), 1, { label: 'prep_compound_page()' });
    yield* work('page_zero', { label: 'folio_zero_user()' });
  }
  yield* pte_lock(kernel, first.frame);
  const raced = !(yield* pte_range_none(contpte, first));
  if (!raced) yield* set_ptes(kernel, cpu, mm, start, first, mk_pte(page, protection(write)), nr, 'set_ptes()');
  yield* pte_unlock(kernel, first.frame);
  if (raced) for (let i = 0; i < nr; i++) yield* frames.put(page + i);
  return true;
});

/** pte_range_none(). */
function* pte_range_none({ frames, CONT_PTES }: Arm64Contpte, first: EntryPointer): Steps<boolean> {
  for (let i = 0; i < CONT_PTES; i++) {
    const entry = yield* frames.read(frames.entry(first.frame, first.index + i), { label: 'pte_range_none()' });
    if (entry !== 0) return false;
  }
  return true;
}
