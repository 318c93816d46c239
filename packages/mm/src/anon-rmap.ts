/**
 * Whether a write fault may take an anonymous page over instead of copying it: three eras of do_wp_page().
 *
 * ```
 *   before v5.9      reuse_swap_page(): nobody else maps it (map count and swap count); references do not count
 *   v5.9 to v5.18    nobody else has a reference (09854ba94c6a)
 *   since v5.19      PageAnonExclusive() decides (6c287605fd56); only a page without it is looked at by its references
 * ```
 *
 * Mirrors mm/memory.c and include/linux/rmap.h. No swap: the swap count is 0.
 */
import { load, store, type Region, type Steps, type SystemBuilder } from '@shootdown/machine';
import type { Kernel } from './kernel.ts';

/** What decides. */
export type ReuseEra = 'map count' | 'reference count' | 'PageAnonExclusive';

/** What is kept of anonymous pages beyond their reference counts. Changed under page-table locks. */
export class AnonRmap {
  readonly era: ReuseEra;
  /** Per frame: page_mapcount(). */
  readonly mapcount: Region;
  /** Per frame: PageAnonExclusive(). */
  readonly exclusive: Region;

  /** @param mapped mappings of each frame to begin with; a page that is mapped once is exclusive */
  constructor(builder: SystemBuilder, era: ReuseEra, mapped: readonly number[]) {
    this.era = era;
    this.mapcount = builder.region('page_mapcount', mapped.length, { initial: mapped });
    this.exclusive = builder.region('PageAnonExclusive', mapped.length, {
      initial: mapped.map((count) => (count === 1 ? 1 : 0)),
    });
  }
}

/** folio_add_new_anon_rmap(): the page is mapped for the first time, and nobody else can have it. */
export function* folio_add_new_anon_rmap({ anon }: Pick<Kernel, 'anon'>, frame: number): Steps {
  if (anon?.era === 'map count') yield* store(anon.mapcount.at(frame), 1);
  if (anon?.era === 'PageAnonExclusive') yield* store(anon.exclusive.at(frame), 1);
}

/** folio_remove_rmap_pte(): one mapping less. */
export function* folio_remove_rmap_pte({ anon }: Pick<Kernel, 'anon'>, frame: number): Steps {
  if (anon?.era !== 'map count') return;
  const count = yield* load(anon.mapcount.at(frame));
  yield* store(anon.mapcount.at(frame), count - 1);
}

/** Whether do_wp_page() may go on to wp_page_reuse(). Without an {@link AnonRmap} the reference count decides. */
export function* mayReuse({ frames, anon }: Pick<Kernel, 'frames' | 'anon'>, frame: number): Steps<boolean> {
  const hex = `0x${frame.toString(16)}`;
  if (anon?.era === 'map count')
    return (yield* load(anon.mapcount.at(frame), { label: `reuse_swap_page(${hex}): page_mapcount()` })) === 1;
  if (anon?.era === 'PageAnonExclusive') {
    if ((yield* load(anon.exclusive.at(frame), { label: `PageAnonExclusive(${hex})` })) !== 0) return true;
    if ((yield* load(frames.refcount.at(frame), { label: `folio_ref_count(${hex})` })) !== 1) return false;
    yield* store(anon.exclusive.at(frame), 1, { label: `SetPageAnonExclusive(${hex})` });
    return true;
  }
  return (yield* load(frames.refcount.at(frame), { label: `folio_ref_count(${hex})` })) === 1;
}
