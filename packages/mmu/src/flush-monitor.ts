/**
 * The built-in property "no translation used after its flush completed", for one address space.
 *
 * Per page the monitor keeps the translations that memory has offered since the last completed flush *began*: those,
 * and no others, may still be used. It looks at memory and at who begins and completes a flush; what any TLB holds is
 * no concern of it.
 */
import {
  defineOperation,
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
  checkOptions,
  keysOf,
} from '@shootdown/machine';
import { formatEntry } from './entry.ts';
import { cacheable, NO_TRANSLATION, offeredByBlock } from './offered.ts';
import type { WalkShape } from './walk.ts';

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

const FLUSH_MONITOR_KEYS = keysOf<FlushMonitorOptions>()(
  'root',
  'cpus',
  'pages',
  'blockEntries',
  'kernel',
  'name',
  'property',
);

/** Watches one address space. */
export class FlushMonitor implements AccessObserver {
  static {
    noteMethods(this);
  }

  readonly #frames: Frames;
  readonly #shape: WalkShape;
  readonly #root: Address;
  readonly #pages: readonly number[];
  readonly #cpus: number;
  readonly #blockEntries: number;
  readonly #kernel: boolean;
  readonly #property: string;
  /** Per page: what an access may use. */
  readonly #allowed: Region;
  /** Per CPU and page: what memory has offered since that CPU's flush began; and whether one is under way. */
  readonly #begun: Region;
  readonly #flushing: Region;

  constructor(builder: SystemBuilder, frames: Frames, shape: WalkShape, options: FlushMonitorOptions) {
    checkOptions('mmu: flush monitor: new', options, FLUSH_MONITOR_KEYS, ['root', 'cpus', 'pages']);
    const name = options.name ?? 'monitor';
    this.#frames = frames;
    this.#shape = shape;
    this.#root = options.root;
    this.#pages = options.pages;
    this.#cpus = options.cpus;
    this.#blockEntries = options.blockEntries ?? 1;
    this.#kernel = options.kernel ?? false;
    this.#property = options.property ?? STALE_TRANSLATION;
    const cells = options.pages.length * OFFERED_MAX;
    const words = builder.layout.initial();
    const root = (words[options.root] as number) - 1;
    const initial = options.pages.flatMap((vpn) => {
      const now = this.#offered((address) => words[address] as number, root, vpn);
      return Array.from({ length: OFFERED_MAX }, (_, i) => now[i] ?? NO_TRANSLATION);
    });
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
    this.#pages.forEach((vpn, page) => {
      if (vpn < start || vpn >= end) return;
      cx.write(this.#flushing.at(cpu * this.#pages.length + page), 1);
      const root = cx.read(this.#root) - 1;
      for (const now of this.#offered((address) => cx.load(address), root, vpn))
        add(cx, this.#begunBase(cpu, page), now);
    });
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

  #memoryChanged(cx: OperationContext, address: number): void {
    const root = cx.read(this.#root) - 1;
    const changed = this.#blockOf(address);
    this.#pages.forEach((vpn, page) => {
      if (changed >= 0 && Math.floor(vpn / this.#blockEntries) !== changed) return;
      for (const now of this.#offered((word) => cx.read(word), root, vpn)) {
        add(cx, this.#allowed.base + page * OFFERED_MAX, now);
        for (let cpu = 0; cpu < this.#cpus; cpu++)
          if (cx.read(this.#flushing.at(cpu * this.#pages.length + page)) !== 0)
            add(cx, this.#begunBase(cpu, page), now);
      }
    });
  }

  /** The only block that a changed entry can concern; -1: it may be any, as tables have tables below them. */
  #blockOf(address: number): number {
    if (this.#shape.levels.length > 1) return -1;
    return Math.floor(((address - this.#frames.entries.base) % this.#frames.entriesPerTable) / this.#blockEntries);
  }

  #offered(read: (address: number) => number, root: number, vpn: number): number[] {
    return offeredByBlock(read, this.#frames, this.#shape, root, vpn, this.#blockEntries);
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
  const list = members(cx, base);
  if (list.includes(entry)) return;
  if (list.length === OFFERED_MAX)
    throw new RangeError(`mmu: flush monitor: more than ${OFFERED_MAX} translations of one page without a flush`);
  [...list, entry].sort((a, b) => a - b).forEach((value, i) => cx.write(base + i, value));
}

interface Range {
  readonly monitor: FlushMonitor;
  readonly start: number;
  readonly end: number;
}

const BEGIN = defineOperation({
  name: 'flush_begin',
  role: 'environment',
  ghost: true,
  cost: 'choose',
  perform(cx, op: Operation) {
    const { monitor, start, end } = op.data as Range;
    monitor.began(cx, op.a, start, end);
    return 0;
  },
});

const FROM = defineOperation({
  name: 'flush_point',
  role: 'environment',
  cost: 'choose',
  perform(cx, op: Operation) {
    const { monitor, start, end } = op.data as Range;
    monitor.began(cx, op.a, start, end);
    monitor.completed(cx, op.a, start, end);
    return 0;
  },
});

const END = defineOperation({
  name: 'flush_end',
  role: 'environment',
  ghost: true,
  cost: 'choose',
  perform(cx, op: Operation) {
    const { monitor, start, end } = op.data as Range;
    monitor.completed(cx, op.a, start, end);
    return 0;
  },
});
