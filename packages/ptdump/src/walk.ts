/**
 * ptdump_walk_pgd(): the walk of a kernel page table. Mirrors mm/ptdump.c and the walk_*_range() functions of
 * mm/pagewalk.c, v6.18.
 *
 * The generic walker does not read an entry once. walk_pud_range() reads a pud entry six times: pud_none(),
 * ptdump_pud_entry(), pud_leaf(), pud_present(), pud_none(), and pmd_offset() once more for the address of the lower
 * table. walk_pmd_range() does without the second pmd_none(). Since v7.0 a pudp_get() takes the place of the second
 * pud_none(). Which of these reads comes next is the actor's to say (`ptdump.machine.ts`); the routine here performs
 * them, under the locks that it is handed. Nothing keeps the entry from changing between two of these reads but what the caller of {@link
 * Ptdump.ptdump_walk_pgd} excludes. The single-fetch walker reads each entry once: that is what litmus tests of the
 * protocol have, and what the kernel would be with one READ_ONCE() per entry.
 */
import {
  defineOperation,
  FrameKind,
  operation,
  point,
  routine,
  messageFor,
  ModelError,
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
import {
  firstRead,
  ptdumpMachine,
  READS,
  type EntryKind,
  type Fetch,
  type PtdumpEmitted,
  type PtdumpInput,
  type ReadName,
} from './ptdump.machine.ts';
import type { WalkLevel } from './place.ts';

/**
 * Property: violated when the walker computes a table address from an entry that has been cleared or replaced since it
 * tested it.
 */
export const CLEARED_ENTRY = 'no dereference of an entry that was cleared';

/** The word that says how far a dump is. */
export const DumpState = { idle: 0, walking: 1, done: 2 } as const;

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
   * Called for every completed line. Left out, the actor keeps none: which line is being written is state of its own,
   * and an exploration that does not ask for lines should not pay for it.
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
  /** What the actor has asked for: a read (see {@link Ptdump.decode}), or nothing. */
  readonly asked: Address;
  readonly component: number;
  /** Channel to the actor, for the CPU that walks. */
  readonly port: number;
  readonly #options: PtdumpOptions;
  readonly #walker: PtdumpInput;

  constructor(builder: SystemBuilder, options: PtdumpOptions) {
    checkOptions('ptdump: new', options, PTDUMP_KEYS, ['name', 'frames', 'levels', 'entries', 'fetch']);
    this.name = options.name;
    this.#options = options;
    this.state = builder
      .region(`${options.name}.dump`, 1, { memory: 'ghost', format: (v) => Object.keys(DumpState)[v] ?? String(v) })
      .at(0);
    const { levels, fetch, onLine } = options;
    this.#walker = { levels, fetch, lines: onLine !== undefined };
    this.asked = builder
      .region(`${options.name}.asked`, 1, {
        memory: 'ghost',
        initial: WALKED,
        format: (asked) => this.#sayingOf(asked),
      })
      .at(0);
    this.component = builder.component({
      name: options.name,
      machine: ptdumpMachine,
      input: this.#walker,
      effects: {
        read: (cx, event) => cx.write(this.asked, this.#encode(event as unknown as ReadEmitted)),
        walked: (cx) => cx.write(this.asked, WALKED),
        ptdump: (cx, event) => cx.write(this.state, event['walking'] === true ? DumpState.walking : DumpState.done),
        line: (cx, event) => {
          cx.count('ptdump_lines');
          if (typeof event['level'] === 'string') onLine?.(event['level']);
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

  /** The reads are the actor's: what to read next is its answer to what was found. */
  *#walk(mm: PtdumpMm): Steps {
    yield* mm.mmap_write_lock();
    let asked = yield* this.#read(this.#first(mm.root), BEGINS);
    while (asked !== WALKED) {
      yield* point('asked', asked);
      asked = yield* this.#read(asked, GOES_ON);
    }
    yield* point('walked');
    yield* mm.mmap_write_unlock();
  }

  *#read(asked: number, begins: number): Steps<number> {
    return yield operation(READ, asked, begins, 0, this, { label: this.#sayingOf(asked) });
  }

  #sayingOf(asked: number): string {
    if (asked === WALKED) return 'nothing';
    const { call, depth, table, index } = this.decode(asked);
    return `${this.#nameOf(call, depth)}(0x${table.toString(16)}[${index}])`;
  }

  /** What the actor will ask for first: the walk begins with that read, and the actor with its walk. */
  #first(root: number): number {
    return this.#encode({ call: firstRead(this.#walker, 0), depth: 0, table: root, index: 0 });
  }

  /** The kernel's name: `pud_none`, `pmdp_get`. */
  #nameOf(call: ReadName, depth: number): string {
    const { name } = this.#levelAt(depth);
    if (call === 'pxd_none_again') return this.#options.fetch === 'multi' ? `${name}_none` : `${name}p_get`;
    // pmd_offset() is pud_pgtable() and an index.
    return (call === 'pxd_offset' ? 'pxd_pgtable' : call).replace('pxd', name);
  }

  #levelAt(depth: number): WalkLevel {
    return this.#options.levels[depth] as WalkLevel;
  }

  /** What is to be read, as the result of an operation. */
  #encode({ call, depth, table, index }: Asked): number {
    return (
      READS.length * (this.#entriesMax * (this.#options.levels.length * table + depth) + index) + READS.indexOf(call)
    );
  }

  /** The read that such a result stands for. */
  decode(asked: number): Asked {
    const entry = Math.trunc(asked / READS.length);
    const level = Math.trunc(entry / this.#entriesMax);
    const { levels } = this.#options;
    return {
      call: READS[asked % READS.length] as ReadName,
      index: entry % this.#entriesMax,
      depth: level % levels.length,
      table: Math.trunc(level / levels.length),
    };
  }

  get #entriesMax(): number {
    return Math.max(...this.#options.levels.map(({ entries }) => entries));
  }

  get frames(): Frames {
    return this.#options.frames;
  }

  get entries(): EntryReader {
    return this.#options.entries;
  }

  /** Tells the actor; throws ModelError where it has no use for that. */
  tell(cx: OperationContext, message: Message): void {
    if (!cx.send(this.port, message))
      throw new ModelError(`ptdump: ${this.name}: ${message.type}: the dump has not been opened: yield* ptdump.open()`);
  }

  /** Whether an entry of that level is a hole, a leaf or a table; whatever is in the last level is a leaf. */
  kindOf(value: number, depth: number): EntryKind {
    const { entries, levels } = this.#options;
    if (entries.none(value)) return 'none';
    return depth === levels.length - 1 || entries.leaf(value) ? 'leaf' : 'table';
  }
}

type ReadEmitted = Extract<PtdumpEmitted, { readonly type: 'read' }>;
/** A read that the actor asks for. */
type Asked = Omit<ReadEmitted, 'type'>;

/** The actor asks for nothing more. */
const WALKED = -1;
/** Whether a read is the first of a walk. */
const BEGINS = 1;
const GOES_ON = 0;

/** Reads what the actor has asked for and tells it; returns what it asks for next. */
const READ = defineOperation({
  name: 'ptdump_read',
  role: 'environment',
  cost: 'load',
  perform(cx, op) {
    const ptdump = op.data as Ptdump;
    const { frames, entries } = ptdump;
    const { call, depth, table, index } = ptdump.decode(op.a);
    if (op.b === BEGINS) ptdump.tell(cx, walkMessage(table));
    if (cx.read(ptdump.asked) !== op.a)
      throw new ModelError(
        `ptdump: ${ptdump.name}: walk: this is not the entry that is read next (${table}[${index}])`,
      );
    frames.check(cx, table, FrameKind.table, 'ptdump reads table');
    const value = cx.load(frames.entry(table, index).address);
    cx.explain(() => ({ kind: 'fact', text: entries.format(value) }));
    const is = ptdump.kindOf(value, depth);
    if (call === 'pxd_offset' && is !== 'table')
      cx.fail(
        CLEARED_ENTRY,
        () => `entry ${index} of table 0x${table.toString(16)}, tested as a table, is ${entries.format(value)} now`,
      );
    ptdump.tell(cx, entryMessage(is, is === 'table' ? entries.table(value) : NO_TABLE));
    return cx.read(ptdump.asked);
  },
});

/** No frame. */
const NO_TABLE = -1;

const walkMessage = messageFor((root: number) => ({ type: 'ptdump_walk_pgd', root }));
const entryMessage = messageFor((is: EntryKind, table: number) => ({ type: 'entry', is, table }));
const WALK_BEGIN: Message = { type: 'walk_begin' };
const WALK_END: Message = { type: 'walk_end' };

const BEGIN = defineOperation({
  name: 'ptdump_open',
  role: 'environment',
  cost: 'syscall',
  perform(cx, op) {
    (op.data as Ptdump).tell(cx, WALK_BEGIN);
    return 0;
  },
});

const END = defineOperation({
  name: 'ptdump_release',
  role: 'environment',
  cost: 'syscall',
  perform(cx, op) {
    (op.data as Ptdump).tell(cx, WALK_END);
    return 0;
  },
});
