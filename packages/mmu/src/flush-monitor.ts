/**
 * The built-in property "no translation used after its flush completed", for one address space.
 *
 * Per page the monitor keeps the translations that memory has offered since the last completed flush *began*: those,
 * and no others, may still be used. It looks at memory and at who begins and completes a flush; what any TLB holds is
 * no concern of it.
 */
import {
  defineOperation,
  LimitError,
  operation,
  type Address,
  type Frames,
  type Operation,
  type OperationContext,
  type Region,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkValues,
  is,
  type OptionValues,
} from '@shootdown/machine';
import { _PAGE_CONT, _PAGE_PRESENT, _PAGE_TABLE, formatEntry } from './entry.ts';
import { appliedTo, cacheable, eachOffered, NO_TRANSLATION, offeredInBlock } from './offered.ts';
import { restrict, type WalkShape } from './walk.ts';

/**
 * Built-in property: violated by an access through a translation that memory ceased to offer before a flush that has
 * completed.
 */
export const STALE_TRANSLATION = 'no translation used after its flush completed';

/** Translations of one page between two flushes; more is an error of the model, reported as such. */
const OFFERED_MAX = 8;

/** Sees accesses. {@link FlushMonitor} is one. */
export interface AccessObserver {
  /**
   * An access goes through, as part of its step.
   * @param root frame of the root table that the CPU walks
   * @param vpn virtual page number
   * @param entry the translation used: an entry that memory has now, or had
   * @param cpu number of the CPU, by its place in the machine's TLB
   */
  used(cx: OperationContext, root: number, vpn: number, entry: number, cpu: number, write: boolean): void;
}

/** What a monitor watches. */
export interface FlushMonitorOptions {
  /** Word that holds the root table's frame plus one (0: none). */
  readonly root: Address;
  readonly cpus: number;
  /** Virtual page numbers watched. */
  readonly pages: readonly number[];
  /**
   * Entries of a contiguous block: each of those that are contiguous offers a translation for all of its pages.
   * Default 1: there are none.
   */
  readonly blockEntries?: number;
  /**
   * The pages are the kernel's: every address space maps them alike, so it does not matter who uses them. Default
   * false.
   */
  readonly kernel?: boolean;
  /** Prefix of the region names. Default `monitor`. */
  readonly name?: string;
  /** The sentence that a use of an old translation violates. Default {@link STALE_TRANSLATION}. */
  readonly property?: string;
}

const FLUSH_MONITOR_VALUES: OptionValues<FlushMonitorOptions> = {
  root: is.whole(),
  cpus: is.whole(1),
  pages: is.listOf(is.whole()),
  blockEntries: is.whole(1),
  kernel: is.flag,
  name: is.text,
  property: is.text,
};

/** Watches one address space. */
export class FlushMonitor implements AccessObserver {
  static {
    noteMethods(this);
  }

  readonly #frames: Frames;
  readonly #shape: WalkShape;
  readonly #root: Address;
  readonly #pages: readonly number[];
  readonly #blocks: readonly WatchedBlock[];
  readonly #cpus: number;
  readonly #blockEntries: number;
  readonly #kernel: boolean;
  readonly #property: string;
  /** Who begins a flush sees memory as it is: no store waits in a buffer. */
  readonly #strong: boolean;
  /** Per page: what an access may use. */
  readonly #allowed: Region;
  /** Per CPU and page: what memory has offered since that CPU's flush began; and whether one is under way. */
  readonly #begun: Region;
  readonly #flushing: Region;

  constructor(builder: SystemBuilder, frames: Frames, shape: WalkShape, options: FlushMonitorOptions) {
    checkValues('mmu: flush monitor: new', options, FLUSH_MONITOR_VALUES, ['root', 'cpus', 'pages']);
    const name = options.name ?? 'monitor';
    this.#frames = frames;
    this.#shape = shape;
    this.#root = options.root;
    this.#pages = options.pages;
    this.#cpus = options.cpus;
    this.#blockEntries = options.blockEntries ?? 1;
    this.#kernel = options.kernel ?? false;
    this.#property = options.property ?? STALE_TRANSLATION;
    this.#strong = builder.memoryModel === 'sc';
    this.#blocks = blocksOf(options.pages, this.#blockEntries);
    const cells = options.pages.length * OFFERED_MAX;
    const words = builder.layout.initial();
    const root = (words[options.root] as number) - 1;
    const initial = Array.from({ length: cells }, () => NO_TRANSLATION);
    const found = options.pages.map(() => 0);
    this.#eachOffered(
      (address) => words[address] as number,
      root,
      this.#blocks,
      (page, now) => {
        initial[page * OFFERED_MAX + (found[page] as number)] = now;
        found[page] = (found[page] as number) + 1;
      },
    );
    this.#allowed = builder.region(`${name}.allowed`, cells, { format: formatEntry, initial, memory: 'strong' });
    this.#begun = builder.region(`${name}.begun`, options.cpus * cells, { format: formatEntry, memory: 'strong' });
    this.#flushing = builder.region(`${name}.flushing`, options.cpus * options.pages.length, { memory: 'strong' });
    builder.watch(frames.entries, (cx, address) => this.#memoryChanged(cx, address));
  }

  /** A flush of [start, end) begins on a CPU. No step of its own machine: it takes no time. */
  *begin(cpu: number, start: number, end: number): Steps {
    yield operation(BEGIN, cpu, 0, 0, { monitor: this, start, end }, { label: '/* the flush begins */' });
  }

  /** The flush of [start, end) that this CPU began is complete. */
  *end(cpu: number, start: number, end: number): Steps {
    yield operation(END, cpu, 0, 0, { monitor: this, start, end }, { label: '/* the flush is complete */' });
  }

  /**
   * From here on nobody may use what memory does not offer at this moment: begin and end of a flush in one step, for
   * code that promises it without a flush to hang it on.
   */
  *from(cpu: number, start: number, end: number, saying?: Saying): Steps {
    const label = end === start + 1 ? `page 0x${start.toString(16)}` : `pages 0x${start.toString(16)} and on`;
    yield operation(
      FROM,
      cpu,
      0,
      0,
      { monitor: this, start, end },
      {
        label: `/* nobody uses the old translation of ${label} */`,
        ...saying,
      },
    );
  }

  /**
   * A CPU whose tree is `root` uses a translation. Pages not watched, and trees of other address spaces, are ignored.
   */
  used(cx: OperationContext, root: number, vpn: number, entry: number): void {
    const page = this.#pages.indexOf(vpn);
    if (page < 0 || (!this.#kernel && cx.read(this.#root) !== root + 1)) return;
    const base = this.#allowed.base + page * OFFERED_MAX;
    for (let i = 0; i < OFFERED_MAX; i++) {
      const allowed = cx.read(base + i);
      if (allowed === NO_TRANSLATION) break;
      if (allowed === cacheable(entry)) return;
    }
    cx.fail(this.#property, () => `page 0x${vpn.toString(16)} through ${formatEntry(entry)}`);
  }

  /** The performing CPU's own stores count as made, whether or not they have left its store buffer. */
  began(cx: OperationContext, cpu: number, start: number, end: number): void {
    const root = cx.read(this.#root) - 1;
    const watched = this.#blocks.filter(({ vpns }) => vpns.some((vpn) => start <= vpn && vpn < end));
    this.#pages.forEach((vpn, page) => {
      if (start <= vpn && vpn < end) cx.write(this.#flushing.at(cpu * this.#pages.length + page), 1);
    });
    this.#eachOffered(
      (address) => cx.load(address),
      root,
      watched,
      (page, now, vpn) => {
        if (start <= vpn && vpn < end) add(cx, this.#begunBase(cpu, page), now);
      },
    );
  }

  completed(cx: OperationContext, cpu: number, start: number, end: number): void {
    this.#pages.forEach((vpn, page) => {
      if (vpn < start || vpn >= end) return;
      const begun = this.#begunBase(cpu, page);
      const allowed = this.#allowed.base + page * OFFERED_MAX;
      const since = members(cx, begun);
      const kept = members(cx, allowed).filter((entry) => since.includes(entry));
      for (let i = 0; i < OFFERED_MAX; i++) {
        cx.write(allowed + i, kept[i] ?? 0);
        cx.write(begun + i, 0);
      }
      cx.write(this.#flushing.at(cpu * this.#pages.length + page), 0);
    });
  }

  /**
   * An entry has changed: from now on memory offers what it says. Of tables of one level that is all; otherwise there
   * may be tables below.
   */
  #memoryChanged(cx: OperationContext, address: number): void {
    const root = cx.read(this.#root) - 1;
    if (this.#shape.levels.length > 1) {
      this.#eachOffered(
        (word) => cx.read(word),
        root,
        this.#blocks,
        (page, now) => this.#offer(cx, page, now),
      );
      return;
    }
    const cell = address - this.#frames.entries.base;
    if (Math.floor(cell / this.#frames.entriesPerTable) !== root) return;
    const entry = cx.read(address);
    if ((entry & _PAGE_PRESENT) === 0) return;
    const changed = cell % this.#frames.entriesPerTable;
    const now = cacheable(restrict(entry, _PAGE_TABLE));
    const number = Math.floor(changed / this.#blockEntries);
    const contiguous = this.#blockEntries > 1 && (now & _PAGE_CONT) !== 0;
    if (contiguous && this.#isOfferedBefore(cx, address, changed, now)) return;
    for (const block of this.#blocks) {
      if (block.number !== number) continue;
      for (let i = 0; i < block.vpns.length; i++) {
        const vpn = block.vpns[i] as number;
        if (contiguous) this.#offer(cx, block.pages[i] as number, appliedTo(now, vpn, this.#blockEntries));
        else if (vpn === changed) this.#offer(cx, block.pages[i] as number, now);
      }
    }
  }

  /**
   * Whether the entry before it in the block offers the same of all of it: that has been noted, and no flush has taken
   * it away since. (One by a CPU whose own clear of that entry is still in its store buffer has.)
   */
  #isOfferedBefore(cx: OperationContext, address: number, page: number, now: number): boolean {
    if (!this.#strong || page % this.#blockEntries === 0) return false;
    const before = cx.read(address - 1);
    if ((before & _PAGE_PRESENT) === 0 || (before & _PAGE_CONT) === 0) return false;
    const offer = cacheable(restrict(before, _PAGE_TABLE));
    return appliedTo(offer, page, this.#blockEntries) === appliedTo(now, page, this.#blockEntries);
  }

  #offer(cx: OperationContext, page: number, now: number): void {
    add(cx, this.#allowed.base + page * OFFERED_MAX, now);
    for (let cpu = 0; cpu < this.#cpus; cpu++)
      if (cx.read(this.#flushing.at(cpu * this.#pages.length + page)) !== 0) add(cx, this.#begunBase(cpu, page), now);
  }

  /** Calls back with everything that memory offers for the watched pages of some blocks. */
  #eachOffered(
    read: (address: number) => number,
    root: number,
    blocks: readonly WatchedBlock[],
    each: (page: number, translation: number, vpn: number) => void,
  ): void {
    for (const { number, vpns, pages } of blocks) {
      const first = number * this.#blockEntries;
      const offers = offeredInBlock(read, this.#frames, this.#shape, root, first, this.#blockEntries);
      vpns.forEach((vpn, i) =>
        eachOffered(offers, vpn, this.#blockEntries, (translation) => each(pages[i] as number, translation, vpn)),
      );
    }
  }

  #begunBase(cpu: number, page: number): number {
    return this.#begun.base + (cpu * this.#pages.length + page) * OFFERED_MAX;
  }
}

function members(cx: OperationContext, base: number): number[] {
  const list: number[] = [];
  for (let i = 0; i < OFFERED_MAX && cx.read(base + i) !== NO_TRANSLATION; i++) list.push(cx.read(base + i));
  return list;
}

function add(cx: OperationContext, base: number, entry: number): void {
  for (let i = 0; i < OFFERED_MAX; i++) {
    const there = cx.read(base + i);
    if (there === entry) return;
    if (there === NO_TRANSLATION) break;
  }
  const list = members(cx, base);
  if (list.length === OFFERED_MAX)
    throw new LimitError(`mmu: flush monitor: more than ${OFFERED_MAX} translations of one page without a flush`);
  [...list, entry].sort((a, b) => a - b).forEach((value, i) => cx.write(base + i, value));
}

/** The watched pages of one block: their virtual page numbers, and their places among all that are watched. */
interface WatchedBlock {
  readonly number: number;
  readonly vpns: readonly number[];
  readonly pages: readonly number[];
}

function blocksOf(vpns: readonly number[], blockEntries: number): WatchedBlock[] {
  const numbers = [...new Set(vpns.map((vpn) => Math.floor(vpn / blockEntries)))];
  const places = vpns.map((vpn, page) => ({ vpn, page }));
  return numbers.map((number) => {
    const own = places.filter(({ vpn }) => Math.floor(vpn / blockEntries) === number);
    return { number, vpns: own.map(({ vpn }) => vpn), pages: own.map(({ page }) => page) };
  });
}

interface Range {
  readonly monitor: FlushMonitor;
  readonly start: number;
  readonly end: number;
}

/** An operation that tells the monitor of a range where a flush is. */
function telling(
  name: string,
  tell: (monitor: FlushMonitor, cx: OperationContext, flush: number, start: number, end: number) => void,
  ghost: boolean,
) {
  return defineOperation({
    name,
    role: 'environment',
    ...(ghost && { ghost }),
    cost: 'choose',
    perform(cx, op: Operation) {
      const { monitor, start, end } = op.data as Range;
      tell(monitor, cx, op.a, start, end);
      return 0;
    },
  });
}

const BEGIN = telling('flush_begin', (monitor, cx, flush, start, end) => monitor.began(cx, flush, start, end), true);

const FROM = telling(
  'flush_point',
  (monitor, cx, flush, start, end) => {
    monitor.began(cx, flush, start, end);
    monitor.completed(cx, flush, start, end);
  },
  false,
);

const END = telling('flush_end', (monitor, cx, flush, start, end) => monitor.completed(cx, flush, start, end), true);
