/** How many frames a machine has, and how they are given out. */
import { keysOf } from './errors.ts';

/** How many frames there are. Table frames come first: pfn 0 .. tables-1 hold entries, the others hold data. */
export interface FrameOptions {
  readonly tables: number;
  readonly entriesPerTable: number;
  readonly pages: number;
  /** Tables that exist from the start: the entries of frame 0, 1, and so on. Default none. */
  readonly initialTables?: readonly (readonly number[])[];
  /** Pages in use from the start: pfn tables, tables+1, and so on. Default 0. */
  readonly initialPages?: number;
  /** References to each of them. Default one. */
  readonly initialReferences?: readonly number[];
  /**
   * More references than there can be holders of one page: whoever takes more leaks them. A search of a routine that
   * takes one in a loop and never drops it would not end otherwise. Default: any number.
   */
  readonly referencesMax?: number;
  /**
   * `separate`: a frame is a table or a page for ever. `shared`: whatever is free may come back as the other; every
   * frame has entries. Default `separate`.
   */
  readonly pool?: 'separate' | 'shared';
  /**
   * Which free frame an allocation returns: the `lowest` (so that reuse happens as early as it can), or `any`, which
   * are as many outcomes. Default `lowest`.
   */
  readonly allocation?: 'lowest' | 'any';
  /**
   * NUMA nodes, each of which has an equal share of the frames: a processor's allocations come from the nodes in the
   * order of `zonelist`. Not with a `shared` pool. Default: one node.
   */
  readonly nodes?: { readonly count: number; readonly zonelist: (processor: number) => readonly number[] };
  /**
   * The frame that an entry leads to. On `arm` a load of an entry of a table comes after the load that returned the
   * table (an address dependency). Default: nobody knows, and nothing orders the two.
   */
  readonly pointsTo?: (entry: number) => number;
  /**
   * Pages that the machine has besides: they have no frames, because an entry has no room for so many numbers. Who
   * needs one while all of the others are in use is told so. Default none.
   */
  readonly pagesWithoutFrames?: number;
  /**
   * Processors that have page lists of their own, 0 .. n - 1: what is freed in bulk costs more than what is used again
   * at once. Only time comes of it. Default 0: every page costs the same.
   */
  readonly pageLists?: number;
  /** Prefix of the region names. Default `frame`. */
  readonly name?: string;
  /** What an entry is called in a trace. Default: the region's name and the number of the entry. */
  readonly entryName?: (frame: number, index: number) => string;
  /** How an entry reads there. Default: hexadecimal. */
  readonly formatEntry?: (entry: number) => string;
}

/** The names of all options. */
export const FRAME_KEYS = keysOf<FrameOptions>()(
  'tables',
  'entriesPerTable',
  'pages',
  'initialTables',
  'initialPages',
  'initialReferences',
  'referencesMax',
  'pool',
  'allocation',
  'nodes',
  'pagesWithoutFrames',
  'pageLists',
  'name',
  'entryName',
  'formatEntry',
  'pointsTo',
);
