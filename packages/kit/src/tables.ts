/** The page tables that a small machine begins with. */
import { mk_pte, _PAGE_TABLE, indexOf, tinyShape, type WalkLevel, type WalkShape } from '@shootdown/mmu';

/** Tables of all address spaces. Frames: a root per mm, then the other tables of the first, then pages. */
export interface Tables {
  readonly shape: WalkShape;
  readonly entriesPerTable: number;
  readonly tables: number;
  readonly initialTables: readonly (readonly number[])[];
  /** Frame of the last-level table of a virtual page of the first mm. */
  readonly leafTable: (vpn: number) => number;
}

/** Trees for pages 0 .. `pages` - 1 of the first mm, of which the first `mapped` have an entry. */
export function tablesFor(
  mms: number,
  levels: number,
  entries: number,
  pages: number,
  leaf: (vpn: number, tables: number) => number,
  mapped: number,
): Tables {
  const shape = tinyShape(levels, entries);
  const content: number[][] = Array.from({ length: mms }, () => []);
  const below = new Map<string, number>();
  const tableOf = (vpn: number): number => {
    let table = 0;
    for (const level of shape.levels.slice(0, -1)) {
      const key = `${table}/${indexOf(level, vpn)}`;
      let next = below.get(key);
      if (next === undefined) {
        next = content.push([]) - 1;
        below.set(key, next);
        setEntry(content[table] as number[], indexOf(level, vpn), mk_pte(next, _PAGE_TABLE));
      }
      table = next;
    }
    return table;
  };
  const leaves = Array.from({ length: pages }, (_, vpn) => tableOf(vpn));
  const last = shape.levels.at(-1) as WalkLevel;
  for (let vpn = 0; vpn < mapped; vpn++)
    setEntry(content[leaves[vpn] as number] as number[], indexOf(last, vpn), leaf(vpn, content.length));
  return {
    shape,
    entriesPerTable: entries,
    tables: content.length,
    initialTables: content,
    leafTable: (vpn) => leaves[vpn] ?? tableOf(vpn),
  };
}

function setEntry(table: number[], index: number, entry: number): void {
  while (table.length < index) table.push(0);
  table[index] = entry;
}
