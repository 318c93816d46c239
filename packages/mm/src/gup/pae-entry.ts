/**
 * A page-table entry of two words, as on 32-bit x86 with PAE: which values it held, and a page allocator that may hand
 * out any page.
 *
 * ```
 *        high                 low
 *  +-----------------+ +-----------------+---+
 *  |  frame 35 .. 32 | |  frame 31 .. 12 | P |    a page is (high, low): frames that differ by a multiple of 4 GiB share low
 *  +-----------------+ +-----------------+---+
 * ```
 */
import {
  BLOCKED,
  defineOperation,
  operation,
  type Address,
  type Operation,
  type OperationContext,
  type Region,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';
import { _PAGE_PRESENT, _PAGE_RW, _PAGE_USER, mk_pte, pte_pfn, pte_present } from '@shootdown/mmu';
import type { Tracepoints } from '../tracepoint.ts';

/** The sentence that a torn read violates. */
export const VALUE_WAS_IN_TABLE = 'I2: ptep_get_lockless() returns only values that the entry held during the walk';

/**
 * Pages there are: each combination of these many high and low words. Two highs besides the first are what a torn read
 * needs.
 */
const HIGHS = 3;
const LOWS = 2;
const PAGES = HIGHS * LOWS;

/** A value of the entry. */
export interface PaeValue {
  readonly low: number;
  readonly high: number;
}

/** The low word of a page's entry. */
export function lowOf(page: number): number {
  return mk_pte(page % LOWS, _PAGE_PRESENT | _PAGE_RW | _PAGE_USER);
}

/** The high word. */
export function highOf(page: number): number {
  return Math.floor(page / LOWS);
}

/** The page of a present value. */
export function pageOf({ low, high }: PaeValue): number {
  return high * LOWS + pte_pfn(low);
}

/** The low word, as traces have it. */
export function formatLow(low: number): string {
  return pte_present(low) ? `L${pte_pfn(low)}` : 'none';
}

/** The high word: that of a frame below 4 GiB is 0, as is that of an entry that is cleared. */
export function formatHigh(high: number): string {
  return high === 0 ? '0' : `H${high}`;
}

/** `high:low`, the way the thread writes entries, or `none`. */
export function formatValue(value: PaeValue): string {
  return pte_present(value.low) ? formatPage(pageOf(value)) : 'none';
}

export function formatPage(page: number): string {
  return `H${highOf(page)}:L${page % LOWS}`;
}

/** The entry, and the pages that it may lead to. */
export class PaeEntry {
  static {
    noteMethods(this);
  }

  readonly words: readonly Region[];
  readonly low: Address;
  readonly high: Address;
  /** The page that is mapped at first. */
  readonly first: number;
  /** A bit per page in use. */
  readonly inUse: Region;

  /** @param firstHigh high word of the page that is mapped at first: 0 is a frame below 4 GiB */
  constructor(builder: SystemBuilder, firstHigh: number) {
    this.first = firstHigh * LOWS;
    const low = builder.region('ptep->pte_low', 1, { initial: lowOf(this.first), format: formatLow });
    const high = builder.region('ptep->pte_high', 1, { initial: highOf(this.first), format: formatHigh });
    this.words = [low, high];
    this.low = low.at(0);
    this.high = high.at(0);
    this.inUse = builder.region('pages.in_use', 1, { initial: [1 << this.first] });
  }

  /** alloc_page(): any page that is free, each of them explored. */
  *alloc(): Steps<number> {
    return yield operation(ALLOC, 0, 0, 0, this, { label: 'alloc_page()', fact: formatPage });
  }

  /** put_page() of the last reference. */
  *free(page: number): Steps {
    yield operation(FREE, page, 0, 0, this, { label: `free_page(${formatPage(page)})` });
  }

  /** A load of both words at once (cmpxchg8b with equal operands). */
  *load64(): Steps<PaeValue> {
    const page = yield operation(LOAD64, 0, 0, 0, this, { label: 'cmpxchg8b(ptep, 0, 0)', fact: formatLoaded });
    return valueOf(page);
  }

  /** An exchange of both words at once for nothing (pxx_xchg64()). */
  *xchg64(): Steps<PaeValue> {
    const page = yield operation(XCHG64, 0, 0, 0, this, { label: 'ptep_get_and_clear()', fact: formatLoaded });
    return valueOf(page);
  }
}

/** Watches the entry while a walk is under way: which pages has it led to? */
export class PaeWalkMonitor {
  /** 1 while a walk is under way. */
  readonly walking: Region;
  /** A bit per page that the entry has led to during the walk. */
  readonly seen: Region;
  readonly #entry: PaeEntry;

  constructor(builder: SystemBuilder, entry: PaeEntry, { gup_fast_begin, pfn_to_page, gup_fast_end }: Tracepoints) {
    this.#entry = entry;
    this.walking = builder.region('walk_monitor.walking', 1);
    this.seen = builder.region('walk_monitor.seen', 1);
    for (const word of entry.words) builder.watch(word, (cx) => this.#look(cx));
    gup_fast_begin.attach((cx) => {
      cx.write(this.walking.base, 1);
      this.#look(cx);
    });
    pfn_to_page.attach((cx, page) => this.#believed(cx, page));
    gup_fast_end.attach((cx) => {
      cx.write(this.walking.base, 0);
      cx.write(this.seen.base, 0);
    });
  }

  #look(cx: OperationContext): void {
    const low = cx.read(this.#entry.low);
    if (cx.read(this.walking.base) === 0 || !pte_present(low)) return;
    cx.write(this.seen.base, cx.read(this.seen.base) | (1 << pageOf({ low, high: cx.read(this.#entry.high) })));
  }

  #believed(cx: OperationContext, page: number): void {
    if (page >= 0 && (cx.read(this.seen.base) & (1 << page)) === 0)
      cx.fail(VALUE_WAS_IN_TABLE, () => `${formatPage(page)} was never in the table during the walk`);
  }
}

const NOT_PRESENT = -1;

function formatLoaded(page: number): string {
  return page === NOT_PRESENT ? 'none' : formatPage(page);
}

function valueOf(page: number): PaeValue {
  return page === NOT_PRESENT ? { low: 0, high: 0 } : { low: lowOf(page), high: highOf(page) };
}

const entryOf = (op: Operation): PaeEntry => op.data as PaeEntry;

const ALLOC = defineOperation({
  name: 'page_alloc',
  role: 'environment',
  branches: (cx, op) => freePages(cx.read(entryOf(op).inUse.base)).length,
  perform(cx, op, branch) {
    const { inUse } = entryOf(op);
    const mask = cx.read(inUse.base);
    const page = freePages(mask)[branch];
    if (page === undefined) return BLOCKED;
    cx.write(inUse.base, mask | (1 << page));
    return page;
  },
});

/** By the mask of pages in use: every step of an allocation asks twice. */
const FREE_PAGES: (readonly number[] | undefined)[] = [];

function freePages(inUse: number): readonly number[] {
  return (FREE_PAGES[inUse] ??= Array.from({ length: PAGES }, (_, page) => page).filter(
    (page) => (inUse & (1 << page)) === 0,
  ));
}

const FREE = defineOperation({
  name: 'page_free',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const { inUse } = entryOf(op);
    cx.write(inUse.base, cx.read(inUse.base) & ~(1 << op.a));
    return 0;
  },
});

function present(cx: OperationContext, { low, high }: PaeEntry): number {
  const word = cx.read(low);
  return pte_present(word) ? pageOf({ low: word, high: cx.read(high) }) : NOT_PRESENT;
}

const LOAD64 = defineOperation({
  name: 'cmpxchg8b',
  cost: 'cmpxchg',
  perform: (cx, op) => (cx.drained() ? present(cx, entryOf(op)) : BLOCKED),
});

const XCHG64 = defineOperation({
  name: 'cmpxchg8b',
  cost: 'cmpxchg',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    const entry = entryOf(op);
    const old = present(cx, entry);
    cx.write(entry.low, 0);
    cx.write(entry.high, 0);
    return old;
  },
});
