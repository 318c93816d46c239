/**
 * Physical frames with a lifetime, and the page-table entries that live in some of them.
 *
 * A frame is free, or allocated as something ("page", "pte table"). Touching it as anything else than what it is now is
 * a violation of {@link FREED_FRAME}: that is what most arguments about page tables are about.
 */
import { operation, type OperationContext, type Saying, type Steps } from '../routine/operation.ts';
import { checkOptions, ModelError, printable } from './errors.ts';
import type { SystemBuilder } from '../system/system.ts';
import { checkWord } from './option-values.ts';
import { accessOf } from '../memory/instructions.ts';
import type { Access, Pointer } from '../memory/requests.ts';
import { stepOf, voidStepOf } from '../routine/unbegun.ts';
import { formatFrame, formatState, FrameKind, FREED_FRAME, hex, NO_FRAME } from './frame-kind.ts';
import {
  ALLOC,
  ALLOC_PAGES,
  CMPXCHG_ENTRY,
  FREE,
  FREE_PAGES,
  PUT,
  READ_ENTRY,
  REF,
  WRITE_ENTRY,
  XCHG_ENTRY,
} from './frame-operations.ts';
import { FRAME_KEYS, type FrameOptions } from './frame-options.ts';
import { PageLists } from './page-lists.ts';
import { isWord, type Address, type Region } from './words.ts';

/** Built-in property where {@link FrameOptions.referencesMax} is given. */
export const TOO_MANY_REFERENCES = 'no page has more references than there can be holders';

/** A page-table entry in memory: which frame, which index, and the word. */
export interface EntryPointer {
  readonly frame: number;
  readonly index: number;
  readonly address: Address;
}

/** Entries of 8 bytes in a cache line of 64. */
const ENTRIES_PER_LINE = 8;

/** Frames of one kind on one node, and which word says where the first free one is. */
interface Pool {
  readonly first: number;
  readonly end: number;
  readonly lowest: number;
}

const ONE_NODE: NonNullable<FrameOptions['nodes']> = { count: 1, zonelist: () => [0] };

/** The frames of a machine. */
export class Frames {
  /** Frames that may be tables: 0 .. tables-1. */
  readonly tables: number;
  readonly entriesPerTable: number;
  readonly count: number;
  /** State word per frame: a FrameKind, negative for "freed, was that". */
  readonly state: Region;
  /** Reference count per frame. */
  readonly refcount: Region;
  /** The entries of all table frames. */
  readonly entries: Region;
  /**
   * Lowest free frame of each pool, its end if there is none: a function of the states, so that it tells no equal
   * states apart.
   */
  readonly #lowest: Region;
  readonly #shared: boolean;
  readonly #any: boolean;
  readonly #referencesMax: number;
  readonly #nodes: number;
  readonly #more: boolean;
  readonly #lists: PageLists | null;
  readonly #zonelist: (processor: number) => readonly number[];
  readonly #pointer: Pointer | null;
  /** Loads of entries, by their words. */
  readonly #loads = new Map<number, Access>();

  constructor(builder: SystemBuilder, options: FrameOptions) {
    checkOptions('frames: new', options, FRAME_KEYS, ['tables', 'entriesPerTable', 'pages']);
    const {
      tables,
      entriesPerTable,
      pages,
      initialTables = [],
      initialPages = 0,
      initialReferences = [],
      referencesMax = Number.POSITIVE_INFINITY,
      pool = 'separate',
      allocation = 'lowest',
      nodes = ONE_NODE,
      pagesWithoutFrames = 0,
      pageLists = 0,
      name = 'frame',
      entryName,
      formatEntry = hex,
    } = options;
    const cellName =
      entryName && ((cell: number): string => entryName(Math.floor(cell / entriesPerTable), cell % entriesPerTable));
    if (initialTables.length > tables)
      throw new ModelError(`frames: new: ${initialTables.length} initial tables, have ${tables}`);
    if (initialPages > pages) throw new ModelError(`frames: new: ${initialPages} initial pages, have ${pages}`);
    checkWord('frames: new: pool', pool, ['separate', 'shared']);
    checkWord('frames: new: allocation', allocation, ['lowest', 'any']);
    const { pointsTo } = options;
    this.#pointer = pointsTo
      ? {
          key: name,
          of: (entry) => {
            const frame = pointsTo(entry);
            return frame >= 0 && frame < this.tables ? frame : -1;
          },
        }
      : null;
    this.count = tables + pages;
    this.tables = pool === 'shared' ? this.count : tables;
    this.entriesPerTable = entriesPerTable;
    this.#shared = pool === 'shared';
    this.#any = allocation === 'any';
    this.#referencesMax = referencesMax;
    this.#nodes = nodes.count;
    this.#more = pagesWithoutFrames > 0;
    this.#zonelist = nodes.zonelist;
    const entries = Array.from(
      { length: initialTables.length * entriesPerTable },
      (_, i) => initialTables[Math.floor(i / entriesPerTable)]?.[i % entriesPerTable] ?? 0,
    );
    // Frames beyond these are free: nothing is said of them, and they take no memory until somebody uses them.
    const initial = Array.from(
      { length: initialPages > 0 ? tables + initialPages : initialTables.length },
      (_, frame) => initialKind(frame, initialTables.length, tables, initialPages),
    );
    this.state = builder.region(`${name}.state`, this.count, { initial, format: formatState, memory: 'ghost' });
    this.refcount = builder.region(`${name}.refcount`, this.count, {
      memory: 'strong',
      // struct page.
      lineWords: 1,
      initial: initial.map((kind, frame) => (kind === FrameKind.free ? 0 : (initialReferences[frame - tables] ?? 1))),
    });
    this.entries = builder.region(`${name}.entry`, this.tables * entriesPerTable, {
      initial: entries,
      lineWords: ENTRIES_PER_LINE,
      format: formatEntry,
      ...(cellName && { cellName }),
    });
    this.#lowest = builder.region(`${name}.lowest`, 2 * nodes.count, {
      initial: this.#lowestAtFirst(initial),
      memory: 'ghost',
    });
    this.#lists = pageLists > 0 ? new PageLists(builder, name, pageLists) : null;
    builder.watchDrains((cx, address) => this.#drained(cx, address));
  }

  #lowestAtFirst(initial: readonly FrameKind[]): number[] {
    return Array.from({ length: 2 * this.#nodes }, (_, pool) => {
      const kind = pool % 2 === 0 ? FrameKind.table : FrameKind.page;
      const { first, end } = this.#pool(kind, Math.floor(pool / 2));
      let free = first;
      while (free < end && (initial[free] ?? FrameKind.free) !== FrameKind.free) free++;
      return free;
    });
  }

  /** Where frames of a kind are allocated from on a node. */
  #pool(kind: FrameKind, node: number): Pool {
    const pages = kind === FrameKind.page && !this.#shared;
    const first = pages ? this.tables : 0;
    const end = pages || this.#shared ? this.count : this.tables;
    const at = (part: number): number => first + Math.floor(((end - first) * part) / this.#nodes);
    return { first: at(node), end: at(node + 1), lowest: 2 * node + (pages ? 1 : 0) };
  }

  /** The node that a frame is of. */
  nodeOf(frame: number): number {
    const kind = frame < this.tables && !this.#shared ? FrameKind.table : FrameKind.page;
    for (let node = 0; node < this.#nodes - 1; node++) if (frame < this.#pool(kind, node).end) return node;
    return this.#nodes - 1;
  }

  /** The node of the memory of a word: an entry, or what is kept of a frame. Undefined: it is neither. */
  nodeOfWord(address: number): number | undefined {
    const [cell, frame] = [address - this.entries.base, address - this.refcount.base];
    if (cell >= 0 && cell < this.entries.cells) return this.nodeOf(Math.floor(cell / this.entriesPerTable));
    return frame >= 0 && frame < this.count ? this.nodeOf(frame) : undefined;
  }

  /** A store that waited in a store buffer while its table was freed is an access to what is there now. */
  #drained(cx: OperationContext, address: number): void {
    const cell = address - this.entries.base;
    if (cell < 0 || cell >= this.entries.cells) return;
    this.check(cx, Math.floor(cell / this.entriesPerTable), FrameKind.table, 'store buffer drains into table');
  }

  /** The entry `index` of table frame `frame`. */
  entry(frame: number, index: number): EntryPointer {
    if (!(frame >= 0 && frame < this.tables && Number.isInteger(frame)))
      throw new ModelError(`frames: entry: frame ${printable(frame)} is no table frame (0 .. ${this.tables - 1})`);
    if (!(index >= 0 && index < this.entriesPerTable && Number.isInteger(index)))
      throw new ModelError(
        `frames: entry: index ${printable(index)} outside a table of ${this.entriesPerTable} entries`,
      );
    return { frame, index, address: this.entries.at(frame * this.entriesPerTable + index) };
  }

  /** Allocates a free frame (see {@link FrameOptions.allocation}): its pfn, or {@link NO_FRAME}. */
  alloc(kind: typeof FrameKind.page | typeof FrameKind.table, saying?: Saying): Steps<number> {
    return stepOf(
      operation(ALLOC, kind, 0, 0, this, {
        label: kind === FrameKind.table ? 'alloc_page(GFP_PGTABLE)' : 'alloc_page()',
        fact: formatFrame,
        ...saying,
      }),
    );
  }

  /** Allocates aligned consecutive pages: the pfn of the first, or {@link NO_FRAME}. */
  allocPages(pages: number, saying?: Saying): Steps<number> {
    return stepOf(
      operation(ALLOC_PAGES, pages, 0, 0, this, { label: `alloc_pages(${pages})`, fact: formatFrame, ...saying }),
    );
  }

  /** Frees a frame. */
  free(frame: number, saying?: Saying): Steps {
    return voidStepOf(
      operation(FREE, frame, 0, 0, this, {
        label: `free_page(${hex(frame)})`,
        fact: () => `${hex(frame)} freed`,
        ...saying,
      }),
    );
  }

  /** Frees consecutive pages that were allocated together. */
  freePages(first: number, pages: number, saying?: Saying): Steps {
    return voidStepOf(
      operation(FREE_PAGES, first, pages, 0, this, {
        label: `free_pages(${hex(first)}, ${pages})`,
        fact: () => `${hex(first)} freed`,
        ...saying,
      }),
    );
  }

  /** Reads an entry, once. */
  read(pointer: EntryPointer, saying?: Saying): Steps<number> {
    checkPointer('read', pointer);
    return stepOf(operation(READ_ENTRY, pointer.address, pointer.frame, 0, this, saying));
  }

  /** The load of an entry on a weak memory. */
  loadOf(address: number, table: number): Access {
    let load = this.#loads.get(address);
    if (load === undefined) {
      const followed = this.#pointer && { table, pointer: this.#pointer };
      load = { ...accessOf({ kind: 'load', address }), ...followed };
      this.#loads.set(address, load);
    }
    return load;
  }

  /** Writes an entry with a plain store. */
  write(pointer: EntryPointer, value: number, saying?: Saying): Steps {
    checkPointer('write', pointer);
    return voidStepOf(operation(WRITE_ENTRY, pointer.address, value, pointer.frame, this, saying));
  }

  /** Exchanges an entry atomically; returns the old value. */
  xchg(pointer: EntryPointer, value: number, saying?: Saying): Steps<number> {
    checkPointer('xchg', pointer);
    return stepOf(operation(XCHG_ENTRY, pointer.address, value, pointer.frame, this, saying));
  }

  /** Replaces `expected` by `value` atomically; returns the old value. */
  cmpxchg(pointer: EntryPointer, expected: number, value: number, saying?: Saying): Steps<number> {
    checkPointer('cmpxchg', pointer);
    return stepOf(
      operation(CMPXCHG_ENTRY, pointer.address, expected, value, { frames: this, frame: pointer.frame }, saying),
    );
  }

  /** The word of a frame's reference count. Throws ModelError on a frame that does not exist. */
  refcountAddress(frame: number): number {
    return this.refcount.base + this.#valid(frame, 'reference to');
  }

  /** A frame's new reference count, which is now too high if nobody can have taken so many. */
  counted(cx: OperationContext, frame: number, references: number): number {
    if (references > this.#referencesMax) cx.fail(TOO_MANY_REFERENCES, () => `${hex(frame)} has ${references}`);
    return references;
  }

  #valid(frame: number, what: string): number {
    if (!(frame >= 0 && frame < this.count))
      throw new ModelError(`frames: ${what} frame ${printable(frame)}: no such frame (0 .. ${this.count - 1})`);
    return frame;
  }

  /** Adds to a frame's reference count; returns the new value. */
  ref(frame: number, delta: number, saying?: Saying): Steps<number> {
    if (!isWord(frame) || !isWord(delta))
      throw new ModelError(`frames: ref: expected a frame and a number (${printable(frame)}, ${printable(delta)})`);
    return stepOf(operation(REF, frame, delta, 0, this, saying));
  }

  /** Drops one reference and frees the frame with the last one (put_page()); returns the references left. */
  put(frame: number, saying?: Saying): Steps<number> {
    return stepOf(
      operation(PUT, frame, 0, 0, this, {
        label: `put_page(${hex(frame)})`,
        fact: (left) => (left === 0 ? `${hex(frame)} freed` : undefined),
        ...saying,
      }),
    );
  }

  /** Fails the property unless the frame is a `kind` now. */
  check(cx: OperationContext, frame: number, kind: FrameKind, what: string): void {
    const state = cx.read(this.state.base + this.#valid(frame, what));
    if (state !== kind) cx.fail(FREED_FRAME, () => `${what} ${hex(frame)}, which is ${formatState(state)}`);
  }

  /** How many frames an allocation of a kind may return: at least 1, for the answer that there is none. */
  choices(cx: OperationContext, kind: FrameKind): number {
    if (!this.#any) return 1;
    const { end, lowest } = this.#pool(kind, 0);
    let free = 0;
    for (let frame = cx.read(this.#lowest.base + lowest); frame < end; frame = this.#nextFree(cx, frame + 1, end))
      free++;
    return Math.max(1, free);
  }

  #nextFree(cx: OperationContext, from: number, end: number): number {
    let frame = from;
    while (frame < end && cx.read(this.state.base + frame) > 0) frame++;
    return frame;
  }

  /** {@link take}, from the list of the processor. */
  allocated(cx: OperationContext, kind: typeof FrameKind.page | typeof FrameKind.table, nth: number): number {
    this.#lists?.taken(cx);
    return this.take(cx, kind, nth);
  }

  /** {@link give}, to the list of the processor, of a page with its last reference and its last mapping. */
  released(cx: OperationContext, frame: number): void {
    this.give(cx, frame);
    if (this.#lists === null) return;
    // folio_remove_rmap_pte() and folio_put_testzero(): a locked instruction each, on lines that are there by now.
    cx.spend('xchg', 2);
    this.#lists.given(cx);
  }

  /**
   * Allocation without a step of its own, for system setup and composite operations.
   * @param nth which of the free frames, see {@link choices}
   */
  take(cx: OperationContext, kind: typeof FrameKind.page | typeof FrameKind.table, nth = 0): number {
    if (this.#nodes === 1) return this.#takeFrom(cx, kind, this.#pool(kind, 0), nth);
    for (const node of this.#zonelist(cx.processor)) {
      const frame = this.#takeFrom(cx, kind, this.#pool(kind, node), nth);
      if (frame !== NO_FRAME) return frame;
    }
    return NO_FRAME;
  }

  #takeFrom(
    cx: OperationContext,
    kind: typeof FrameKind.page | typeof FrameKind.table,
    { end, lowest }: Pool,
    nth: number,
  ): number {
    const word = this.#lowest.base + lowest;
    let frame = cx.read(word);
    for (let left = nth; left > 0 && frame < end; left--) frame = this.#nextFree(cx, frame + 1, end);
    if (frame === end) return this.#none(kind);
    cx.write(this.state.base + frame, kind);
    cx.write(this.refcount.base + frame, 1);
    if (frame === cx.read(word)) cx.write(word, this.#nextFree(cx, frame + 1, end));
    if (kind === FrameKind.table) {
      const first = this.entries.base + frame * this.entriesPerTable;
      for (let i = 0; i < this.entriesPerTable; i++) cx.write(first + i, 0);
    }
    return frame;
  }

  #none(kind: FrameKind): number {
    if (this.#more && kind === FrameKind.page)
      throw new ModelError(
        `frames: alloc: all ${this.count - this.tables} pages that have numbers are in use: an entry has 20 bits for them`,
      );
    return NO_FRAME;
  }

  /** As {@link take}, of the lowest free aligned group of pages. */
  takePages(cx: OperationContext, pages: number): number {
    if (this.#nodes === 1) return this.#takePagesFrom(cx, pages, this.#pool(FrameKind.page, 0));
    for (const node of this.#zonelist(cx.processor)) {
      const first = this.#takePagesFrom(cx, pages, this.#pool(FrameKind.page, node));
      if (first !== NO_FRAME) return first;
    }
    return NO_FRAME;
  }

  #takePagesFrom(cx: OperationContext, pages: number, { end, lowest }: Pool): number {
    const word = this.#lowest.base + lowest;
    const isFree = (frame: number): boolean => cx.read(this.state.base + frame) <= 0;
    for (let first = Math.ceil(cx.read(word) / pages) * pages; first + pages <= end; first += pages) {
      const group = Array.from({ length: pages }, (_, i) => first + i);
      if (!group.every(isFree)) continue;
      for (const frame of group) {
        cx.write(this.state.base + frame, FrameKind.page);
        cx.write(this.refcount.base + frame, 1);
      }
      cx.write(word, this.#nextFree(cx, cx.read(word), end));
      return first;
    }
    return NO_FRAME;
  }

  /** The opposite of {@link take}. */
  give(cx: OperationContext, frame: number): void {
    const state = cx.read(this.state.base + this.#valid(frame, 'free of'));
    if (state <= 0) {
      cx.fail(FREED_FRAME, () => `free of ${hex(frame)}, which is ${formatState(state)}`);
      return;
    }
    cx.write(this.state.base + frame, -state);
    cx.write(this.refcount.base + frame, 0);
    const kind = frame < this.tables ? FrameKind.table : FrameKind.page;
    const lowest = this.#lowest.base + this.#pool(kind, this.#nodes === 1 ? 0 : this.nodeOf(frame)).lowest;
    if (cx.read(lowest) > frame) cx.write(lowest, frame);
  }
}

/** A number or a region says nothing of the table that the entry is in. */
function checkPointer(what: string, pointer: EntryPointer): void {
  const { frame, address } = (pointer ?? {}) as Partial<EntryPointer>;
  if (typeof frame !== 'number' || typeof address !== 'number')
    throw new ModelError(
      `frames: ${what}: expected an entry pointer, as entry(frame, index) makes it (${printable(pointer)})`,
    );
}

function initialKind(frame: number, initialTables: number, tables: number, initialPages: number): FrameKind {
  if (frame < initialTables) return FrameKind.table;
  return frame >= tables && frame < tables + initialPages ? FrameKind.page : FrameKind.free;
}
