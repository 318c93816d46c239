/**
 * ptdump_walk_pgd(): the walk of a kernel page table. Mirrors mm/ptdump.c and the walk_*_range() functions of
 * mm/pagewalk.c, v6.18.
 *
 * The generic walker does not read an entry once. walk_pud_range() reads a pud entry six times: pud_none(),
 * ptdump_pud_entry(), pud_leaf(), pud_present(), pud_none(), and pmd_offset() once more for the address of the lower
 * table. walk_pmd_range() does without the second pmd_none(). Since v7.0 a pudp_get() takes the place of the second
 * pud_none(). Which of these reads comes next is the actor's to say (`ptdump.machine.ts`); the routine here performs
 * them, under the locks that it is handed. Nothing keeps the entry from changing between two of these reads but what
 * the caller of {@link Ptdump.ptdump_walk_pgd} excludes. The single-fetch walker reads each entry once: that is what
 * litmus tests of the protocol have, and what the kernel would be with one READ_ONCE() per entry.
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
  type OperationContext,
  type Steps,
  type SystemBuilder,
  noteMethods,
  checkValues,
  is,
  wordsOf,
  type OptionValues,
} from '@shootdown/machine';
import {
  firstRead,
  ptdumpMachine,
  READS,
  type EntryKind,
  type Fetch,
  type PtdumpInput,
  type ReadName,
} from './ptdump.machine.ts';
import { ends, firstEntry, nextEntry, placeWords, type Place, type WalkLevel } from './place.ts';

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

const LEVEL_VALUES: OptionValues<WalkLevel> = { name: is.anything, entries: is.whole(1), looksAgain: is.flag };

const PTDUMP_VALUES: OptionValues<PtdumpOptions> = {
  name: is.anything,
  frames: is.anything,
  levels: is.listOf(is.options(LEVEL_VALUES, ['name', 'entries'])),
  entries: is.withMethods('none', 'leaf', 'table', 'format'),
  fetch: is.oneOf(wordsOf<Fetch>()('single', 'multi', 'multi-7.0')),
  onLine: is.callable,
};

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
  readonly #walker: PtdumpInput;
  /** What the actor has answered within the step under way. */
  #answer = WALKED;

  constructor(builder: SystemBuilder, options: PtdumpOptions) {
    checkValues('ptdump: new', options, PTDUMP_VALUES, ['name', 'frames', 'levels', 'entries', 'fetch']);
    this.name = options.name;
    this.#options = options;
    this.state = builder
      .region(`${options.name}.dump`, 1, { memory: 'ghost', format: (v) => Object.keys(DumpState)[v] ?? String(v) })
      .at(0);
    const { levels, fetch, onLine } = options;
    this.#walker = { levels, fetch, lines: onLine !== undefined };
    this.component = builder.component({
      name: options.name,
      machine: ptdumpMachine,
      input: this.#walker,
      effects: {
        enter: (_, event) => void (this.#answer = MOVES.length * Number(event['table']) + MOVES.indexOf('enter')),
        next: () => void (this.#answer = MOVES.indexOf('next')),
        read: (_, event) =>
          void (this.#answer = READS.length * this.#answer + READS.indexOf(event['call'] as ReadName)),
        walked: () => void (this.#answer = WALKED),
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
    let place: Place | null = firstEntry(mm.root, null);
    let call = firstRead(this.#walker, 0);
    let begins = true;
    while (place !== null) {
      yield* point(call, Number(begins), ...placeWords(place));
      const answer = yield* this.#read({ ptdump: this, call, place, begins, ends: ends(place, this.#options.levels) });
      place = this.#moved(place, answer);
      call = READS[answer % READS.length] as ReadName;
      begins = false;
    }
    yield* point('walked');
    yield* mm.mmap_write_unlock();
  }

  *#read(asked: Asked): Steps<number> {
    const { call, place } = asked;
    return yield operation(READ, place.table, place.index, 0, asked, {
      label: `${this.#nameOf(call, place.depth)}(0x${place.table.toString(16)}[${place.index}])`,
    });
  }

  /** Where the actor's answer leads; null: the walk is over. */
  #moved(place: Place, answer: number): Place | null {
    if (answer === WALKED) return null;
    const move = Math.trunc(answer / READS.length);
    switch (MOVES[move % MOVES.length]) {
      case 'enter':
        return firstEntry(Math.trunc(move / MOVES.length), place);
      case 'next':
        return nextEntry(place, this.#options.levels);
      default:
        return place;
    }
  }

  /** The kernel's name: `pud_none`, `pmdp_get`. */
  #nameOf(call: ReadName, depth: number): string {
    const { name } = this.#options.levels[depth] as WalkLevel;
    if (call === 'pxd_none_again') return this.#options.fetch === 'multi' ? `${name}_none` : `${name}p_get`;
    // pmd_offset() is pud_pgtable() and an index.
    return (call === 'pxd_offset' ? 'pxd_pgtable' : call).replace('pxd', name);
  }

  get frames(): Frames {
    return this.#options.frames;
  }

  get entries(): EntryReader {
    return this.#options.entries;
  }

  /** Tells the actor what was read; returns its answer: what to read next, or {@link WALKED}. */
  ask(cx: OperationContext, message: Message): number {
    this.#answer = MOVES.indexOf('stay');
    this.say(cx, message);
    return this.#answer;
  }

  /** Sends the actor a message; throws ModelError where it has no use for that. */
  say(cx: OperationContext, message: Message): void {
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

/** The actor asks for nothing more. */
const WALKED = -1;
/** An answer is a {@link ReadName}, where to, and, if that is another table, which. */
const MOVES = ['stay', 'next', 'enter'] as const;

/** A read that the actor has asked for. */
interface Asked {
  readonly ptdump: Ptdump;
  readonly call: ReadName;
  readonly place: Place;
  /** It is the first of a walk. */
  readonly begins: boolean;
  readonly ends: number;
}

/** Reads what the actor has asked for and tells it; returns what it asks for next. */
const READ = defineOperation({
  name: 'ptdump_read',
  role: 'environment',
  cost: 'load',
  perform(cx, op) {
    const { ptdump, call, place, begins, ends: tables } = op.data as Asked;
    const { frames, entries } = ptdump;
    if (begins) ptdump.say(cx, walkMessage(op.a));
    frames.check(cx, op.a, FrameKind.table, 'ptdump reads table');
    const value = cx.load(frames.entry(op.a, op.b).address);
    cx.explain(() => ({ kind: 'fact', text: entries.format(value) }));
    const is = ptdump.kindOf(value, place.depth);
    if (call === 'pxd_offset' && is !== 'table')
      cx.fail(
        CLEARED_ENTRY,
        () => `entry ${op.b} of table 0x${op.a.toString(16)}, tested as a table, is ${entries.format(value)} now`,
      );
    return ptdump.ask(cx, entryMessage(is, is === 'table' ? entries.table(value) : NO_TABLE, tables));
  },
});

/** No frame. */
const NO_TABLE = -1;

const walkMessage = messageFor((root: number) => ({ type: 'ptdump_walk_pgd', root }));
const entryMessage = messageFor((is: EntryKind, table: number, ends: number) => ({ type: 'entry', is, table, ends }));
const WALK_BEGIN: Message = { type: 'walk_begin' };
const WALK_END: Message = { type: 'walk_end' };

const BEGIN = defineOperation({
  name: 'ptdump_open',
  role: 'environment',
  cost: 'syscall',
  perform(cx, op) {
    (op.data as Ptdump).say(cx, WALK_BEGIN);
    return 0;
  },
});

const END = defineOperation({
  name: 'ptdump_release',
  role: 'environment',
  cost: 'syscall',
  perform(cx, op) {
    (op.data as Ptdump).say(cx, WALK_END);
    return 0;
  },
});
