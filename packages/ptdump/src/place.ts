/**
 * Where a walk stands: an entry of a table per level, from the top. Plain arithmetic beside `ptdump.machine.ts`; mirrors
 * the loops of walk_pud_range() and walk_pmd_range() in mm/pagewalk.c, v6.18.
 */

/** One level of the walked tree, from the top. */
export interface WalkLevel {
  /** `pud`, `pmd`, `pte`: makes `walk_pud_range()` and `pudp_get()`. */
  readonly name: string;
  readonly entries: number;
  /** The multi-fetch walkers look at the entry once more before they descend, as is done for a pud entry. */
  readonly looksAgain?: boolean;
}

/** An entry of each table on the way down; none: the walk is over. */
export interface Place {
  readonly tables: readonly number[];
  readonly indices: readonly number[];
}

/** No entry. */
export const NOWHERE: Place = { tables: [], indices: [] };

/** The first entry of the top table. */
export function firstEntry(root: number): Place {
  return { tables: [root], indices: [0] };
}

/** The first entry of a table below the present entry. */
export function firstBelow({ tables, indices }: Place, table: number): Place {
  return { tables: [...tables, table], indices: [...indices, 0] };
}

/** The next entry of the same table; after the last, that of the table above. */
export function nextEntry({ tables, indices }: Place, levels: readonly WalkLevel[]): Place {
  let depth = indices.length - 1;
  while (depth >= 0 && (indices[depth] as number) + 1 >= (levels[depth] as WalkLevel).entries) depth--;
  if (depth < 0) return NOWHERE;
  return {
    tables: tables.slice(0, depth + 1),
    indices: [...indices.slice(0, depth), (indices[depth] as number) + 1],
  };
}
