/**
 * ptdump_walk_pgd(): the walk of a kernel page table. Mirrors mm/ptdump.c and the walk_*_range() functions of
 * mm/pagewalk.c, v6.18.
 *
 * The generic walker does not read an entry once. walk_pud_range() reads a pud entry six times: pud_none(),
 * ptdump_pud_entry(), pud_leaf(), pud_present(), pud_none(), and pmd_offset() once more for the address of the lower
 * table. walk_pmd_range() does without the second pmd_none(). Since v7.0 a pudp_get() takes the place of the second
 * pud_none(). Nothing keeps the entry from changing between two of these reads but what the caller of {@link
 * Ptdump.ptdump_walk_pgd} excludes. The single-fetch walker reads each entry once: that is what litmus tests of the
 * protocol have, and what the kernel would be with one READ_ONCE() per entry.
 */
import {
  defineOperation,
  FrameKind,
  inlined,
  operation,
  point,
  routine,
  type Address,
  type Frames,
  type Message,
  type Operation,
  type OperationContext,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkOptions,
  keysOf,
} from '@shootdown/machine';
import { ptdumpMachine } from './ptdump.machine.ts';

/**
 * Property: violated when the walker computes a table address from an entry that has been cleared or replaced since it
 * tested it.
 */
export const CLEARED_ENTRY = 'no dereference of an entry that was cleared';

/** The word that says how far a dump is. */
export const DumpState = { idle: 0, walking: 1, done: 2 } as const;

/**
 * How often the walker reads an entry. `multi` is the kernel up to v6.19; `multi-7.0` has "mm/pagewalk: fix race
 * between concurrent split and refault" (3b89863c3fa4, v7.0-rc6), which tests a snapshot of the pud entry just before
 * pmd_offset() reads it again.
 */
export type Fetch = 'single' | 'multi' | 'multi-7.0';

/** What a value of an entry means. */
export interface EntryReader {
  /** pXd_none(). */
  none(value: number): boolean;
  /** pXd_leaf(): a block or page, nothing below. */
  leaf(value: number): boolean;
  /** Frame of the table it points to; only asked of values that are neither. */
  table(value: number): number;
  /** How it reads in a trace. */
  format(value: number): string;
}

/** One level of the walked tree, from the top. */
export interface WalkLevel {
  /** `pud`, `pmd`, `pte`: makes `walk_pud_range()` and `pudp_get()`. */
  readonly name: string;
  readonly entries: number;
  /** The multi-fetch walkers look at the entry once more before they descend, as is done for a pud entry. */
  readonly looksAgain?: boolean;
}

/** The address space to walk: where it begins, and its mmap_lock. */
export interface PtdumpMm {
  /** Frame of the top table. */
  readonly root: number;
  mmap_write_lock(): Steps;
  mmap_write_unlock(): Steps;
}

/** Whose tables are dumped, by whom, and under which lock. */
export interface PtdumpOptions {
  /** Name of the actor: `ptdump`, or one per reader of the file. */
  readonly name: string;
  readonly frames: Frames;
  readonly levels: readonly WalkLevel[];
  readonly entries: EntryReader;
  readonly fetch: Fetch;
  /**
   * Called for every completed line. Left out, the actor is not told of pages: which line is being written is state of
   * its own, and an exploration that does not ask for lines should not pay for it.
   */
  readonly onLine?: (level: string) => void;
}

const PTDUMP_KEYS = keysOf<PtdumpOptions>()('name', 'frames', 'levels', 'entries', 'fetch', 'onLine');

/** A reader of kernel_page_tables: the actor, and the routine that walks on its behalf. */
export class Ptdump {
  static {
    noteMethods(this);
  }

  readonly name: string;
  /** A {@link DumpState}. */
  readonly state: Address;
  readonly component: number;
  /** Channel to the actor, for the CPU that walks. */
  readonly port: number;
  readonly #options: PtdumpOptions;

  constructor(builder: SystemBuilder, options: PtdumpOptions) {
    checkOptions('ptdump: new', options, PTDUMP_KEYS, ['name', 'frames', 'levels', 'entries', 'fetch']);
    this.name = options.name;
    this.#options = options;
    this.state = builder
      .region(`${options.name}.dump`, 1, { memory: 'ghost', format: (v) => Object.keys(DumpState)[v] ?? String(v) })
      .at(0);
    this.component = builder.component({
      name: options.name,
      machine: ptdumpMachine,
      effects: {
        ptdump: (cx, event) => cx.write(this.state, event['walking'] === true ? DumpState.walking : DumpState.done),
        line: (cx, event) => {
          cx.count('ptdump_lines');
          if (typeof event['level'] === 'string') options.onLine?.(event['level']);
        },
      },
    });
    this.port = builder.port(options.name);
  }

  /** Somebody opens kernel_page_tables: from here to {@link release} a dump is under way. */
  *open(): Steps {
    yield operation(BEGIN, 0, 0, 0, this, { label: `open(${this.name})` });
  }

  /** The dump is over. */
  *release(): Steps {
    yield operation(END, 0, 0, 0, this, { label: `release(${this.name})` });
  }

  /** ptdump_walk_pgd(): locks, walks the ranges, unlocks. */
  readonly ptdump_walk_pgd = routine('ptdump_walk_pgd', (mm: PtdumpMm) => this.#walk(mm));

  *#walk(mm: PtdumpMm): Steps {
    yield* mm.mmap_write_lock();
    yield* this.#range(0, mm.root);
    yield* mm.mmap_write_unlock();
  }

  /** walk_pud_range() and so on. */
  readonly #range: (depth: number, table: number) => Steps = inlined((depth, table) => this.#entries(depth, table));

  *#entries(depth: number, table: number): Steps {
    const level = this.#options.levels[depth] as WalkLevel;
    for (let i = 0; i < level.entries; i++) {
      yield* point(`walk_${level.name}_range`, i);
      const lower = yield* depth + 1 < this.#options.levels.length
        ? this.#lowerTable(level, table, i)
        : this.#leaf(level, table, i);
      if (lower >= 0) yield* this.#range(depth + 1, lower);
    }
  }

  /** The frame of the table below an entry; -1 if it is a hole or a leaf. */
  readonly #lowerTable = inlined((level: WalkLevel, table: number, index: number) =>
    this.#options.fetch === 'single' ? this.#fetchOnce(level, table, index) : this.#fetchOften(level, table, index),
  );

  *#fetchOnce(level: WalkLevel, table: number, index: number): Steps<number> {
    const { entries } = this.#options;
    const value = yield* this.#get(level, table, index, `${level.name}p_get`);
    return entries.none(value) || entries.leaf(value) ? -1 : entries.table(value);
  }

  /** The reads of walk_pud_range() and walk_pmd_range(), in their order; each may see another value. */
  *#fetchOften(level: WalkLevel, table: number, index: number): Steps<number> {
    const { entries, fetch } = this.#options;
    const { name } = level;
    const none = (call: string) => this.#test((value) => entries.none(value), level, table, index, call);
    const leaf = (call: string) => this.#test((value) => entries.leaf(value), level, table, index, call);
    for (;;) {
      yield* point('again');
      if (yield* none(`${name}_none`)) return -1;
      if (yield* leaf(`ptdump_${name}_entry`)) return -1;
      if (yield* leaf(`${name}_leaf`)) return -1;
      if (yield* none(`${name}_present`)) return -1;
      if (level.looksAgain !== true) break;
      if (
        !(yield* this.#test(
          (value) => entries.none(value) || (fetch === 'multi-7.0' && entries.leaf(value)),
          level,
          table,
          index,
          fetch === 'multi' ? `${name}_none` : `${name}p_get`,
        ))
      )
        break;
    }
    const value = yield operation(OFFSET, table, index, 0, this, this.#saying(table, index, `${name}_pgtable`));
    return entries.none(value) || entries.leaf(value) ? -1 : entries.table(value);
  }

  *#leaf(level: WalkLevel, table: number, index: number): Steps<number> {
    yield* this.#get(level, table, index, `${level.name}p_get`);
    return -1;
  }

  /** pXd_none(), pXd_leaf(): a read of which only the answer is remembered. */
  readonly #test = inlined(
    (is: (value: number) => boolean, level: WalkLevel, table: number, index: number, call: string) =>
      this.#ask(is, level, table, index, call),
  );

  *#ask(is: (value: number) => boolean, level: WalkLevel, table: number, index: number, call: string): Steps<boolean> {
    return is(yield* this.#get(level, table, index, call));
  }

  *#get(level: WalkLevel, table: number, index: number, call: string): Steps<number> {
    return yield operation(
      GET,
      table,
      index,
      this.#options.levels.indexOf(level),
      this,
      this.#saying(table, index, call),
    );
  }

  #saying(table: number, index: number, call: string) {
    return {
      label: `${call}(0x${table.toString(16)}[${index}])`,
      fact: (value: number) => this.#options.entries.format(value),
    };
  }

  get frames(): Frames {
    return this.#options.frames;
  }

  get entries(): EntryReader {
    return this.#options.entries;
  }

  /** note_page(), if anybody wants lines. */
  note(cx: OperationContext, depth: number, value: number): void {
    const { levels, entries, onLine } = this.#options;
    if (!onLine || !(entries.none(value) || entries.leaf(value) || depth === levels.length - 1)) return;
    cx.send(this.port, { type: 'note_page', level: entries.none(value) ? 'none' : (levels[depth]?.name ?? '') });
  }
}

const ptdumpOf = (op: Operation): Ptdump => op.data as Ptdump;
const entryAddress = (op: Operation): number => ptdumpOf(op).frames.entry(op.a, op.b).address;
const touched = (op: Operation) => {
  const { frames } = ptdumpOf(op);
  return { reads: [frames.entry(op.a, op.b).address, frames.state.base + op.a], writes: [] };
};

const GET = defineOperation({
  name: 'ptdump_get',
  role: 'read',
  reads: entryAddress,
  cost: 'load',
  perform(cx, op) {
    const { frames } = ptdumpOf(op);
    frames.check(cx, op.a, FrameKind.table, 'ptdump reads table');
    const value = cx.load(frames.entry(op.a, op.b).address);
    ptdumpOf(op).note(cx, op.c, value);
    return value;
  },
  footprint: touched,
});

/** The read whose result becomes the address of a table, whatever it is. */
const OFFSET = defineOperation({
  name: 'ptdump_offset',
  role: 'read',
  reads: entryAddress,
  cost: 'load',
  perform(cx, op) {
    const { frames, entries } = ptdumpOf(op);
    frames.check(cx, op.a, FrameKind.table, 'ptdump reads table');
    const value = cx.load(frames.entry(op.a, op.b).address);
    if (entries.none(value) || entries.leaf(value))
      cx.fail(
        CLEARED_ENTRY,
        () => `entry ${op.b} of table 0x${op.a.toString(16)}, tested as a table, is ${entries.format(value)} now`,
      );
    return value;
  },
  footprint: touched,
});

const WALK_BEGIN: Message = { type: 'walk_begin' };
const WALK_END: Message = { type: 'walk_end' };

const BEGIN = defineOperation({
  name: 'ptdump_open',
  role: 'environment',
  cost: 'syscall',
  perform(cx, op) {
    cx.send(ptdumpOf(op).port, WALK_BEGIN);
    return 0;
  },
});

const END = defineOperation({
  name: 'ptdump_release',
  role: 'environment',
  cost: 'syscall',
  perform(cx, op) {
    cx.send(ptdumpOf(op).port, WALK_END);
    return 0;
  },
});
