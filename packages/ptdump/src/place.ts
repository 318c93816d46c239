/**
 * Where a walk stands: an entry of a table per level, from the top. It is data beside `ptdump.machine.ts`: a walk of a
 * million entries is no million states of the machine. Mirrors the loops of walk_pud_range() and walk_pmd_range() in
 * mm/pagewalk.c, v6.18.
 */

/** One level of the walked tree, from the top. */
export interface WalkLevel {
  /** `pud`, `pmd`, `pte`: makes `walk_pud_range()` and `pudp_get()`. */
  readonly name: string;
  readonly entries: number;
  /** The multi-fetch walkers look at the entry once more before they descend, as is done for a pud entry. */
  readonly looksAgain?: boolean;
}

/** An entry and those above it that lead there. */
export interface Place {
  /** 0 at the top. */
  readonly depth: number;
  readonly table: number;
  readonly index: number;
  readonly above: Place | null;
}

/** The first entry of a table; `above` is the one that points to it. */
export function firstEntry(table: number, above: Place | null): Place {
  return { depth: above === null ? 0 : above.depth + 1, table, index: 0, above };
}

/** The entry after this one: in the same table, or in one above; null if the walk is over. */
export function nextEntry(place: Place, levels: readonly WalkLevel[]): Place | null {
  if (!isLast(place, levels)) return { ...place, index: place.index + 1 };
  return place.above && nextEntry(place.above, levels);
}

/** How many tables end with the entry, its own and those above. */
export function ends(place: Place, levels: readonly WalkLevel[]): number {
  if (!isLast(place, levels)) return 0;
  return 1 + (place.above === null ? 0 : ends(place.above, levels));
}

/** All of it, as a point needs it. */
export function placeWords({ table, index, above }: Place): number[] {
  return [table, index, ...(above ? placeWords(above) : [])];
}

function isLast({ depth, index }: Place, levels: readonly WalkLevel[]): boolean {
  return index + 1 >= (levels[depth] as WalkLevel).entries;
}
