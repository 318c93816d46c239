/**
 * A secondary page table and the protocol that keeps it in step with the primary one: whoever fills in an entry must
 * show that no invalidation has begun since it looked at the primary table.
 *
 * ```
 *   fault                                     invalidation
 *     snap = seq                                lock; in_progress++; remove entries; flush; unlock
 *     look up the primary table                   the primary table changes
 *     lock; in_progress? seq != snap? retry     lock; seq++; in_progress--; unlock
 *     install; unlock
 * ```
 *
 * Mirrors virt/kvm/kvm_main.c, v6.18; drivers/infiniband/core/umem_odp.c has the same under a mutex (v3.19 to v5.4).
 */
import {
  BLOCKED,
  defineOperation,
  load,
  messageFor,
  ModelError,
  operation,
  type Address,
  type EntryPointer,
  type Frames,
  type Message,
  type OperationContext,
  type Saying,
  type Steps,
  type SystemBuilder,
  noteMethods,
} from '@shootdown/machine';
import { invalidationMachine, type InvalidationEmitted } from './invalidation.machine.ts';
import type { FaultHandler } from './fault.ts';
import type { NotifierCall } from './notifier.ts';

/** Built-in property: KVM_BUG_ON(kvm->mmu_invalidate_in_progress < 0). */
export const IN_PROGRESS_NOT_NEGATIVE = 'mmu_invalidate_in_progress is never negative';

/** How entries of the secondary table look: that is up to the hardware that walks it. */
export interface EntryFormat {
  make(pfn: number, writable: boolean): number;
  pfn(entry: number): number;
  present(entry: number): boolean;
  writable(entry: number): boolean;
  young(entry: number): boolean;
  /** The entry as it was before it was used. */
  old(entry: number): number;
  format(entry: number): string;
}

/** A lock that somebody else has made. */
export interface Lock {
  lock(): Steps;
  unlock(): Steps;
  /** A spinlock's word: 1 + the processor that holds it. Left out: who holds it is not looked at. */
  readonly word?: Address;
}

/** lockdep_assert_held_write() in kvm_mmu_invalidate_begin() and kvm_mmu_invalidate_end(). */
const COUNTS_UNDER_LOCK = 'lockdep: the lock of a secondary MMU is held where its invalidations are counted';

/** A page of the primary table, as a fault handler gets it. */
export interface PrimaryPage {
  readonly pfn: number;
  readonly writable: boolean;
}

/** The primary MMU as the thread sees it that handles a fault. */
export interface PrimaryMmu {
  /** Resolves a page, faulting it in if need be; null if there is none to be had. */
  lookup(vpn: number, write: boolean): Steps<PrimaryPage | null>;
  /** What lookup() has taken is given back. */
  release(page: PrimaryPage): Steps;
  /** The actor of the thread's faults. Left out: the retry protocol of its faults is in the routine alone. */
  readonly fault?: FaultHandler;
}

/** A page table of more than one frame, as whoever fills it in sees it: by the number of an entry. */
export interface SecondaryTable {
  /** Entries there are. */
  readonly entries: number;
  read(index: number, saying: Saying): Steps<number>;
  /** Exchanges an entry; tables above it are made as they are needed. */
  xchg(index: number, entry: number, saying: Saying): Steps<number>;
}

/** Parts that a secondary MMU is made of. */
export interface SecondaryMmuOptions {
  readonly frames: Frames;
  /** Its table, or the one frame that holds it: entry i translates page i of the primary address space. */
  readonly table: number | SecondaryTable;
  readonly format: EntryFormat;
  readonly lock: Lock;
  /** False: a second invalidation replaces the range of the first (a mutant). Default true. */
  readonly rangeGrows?: boolean;
}

/** A table of one level. */
class FrameTable implements SecondaryTable {
  static {
    noteMethods(this);
  }

  readonly #frames: Frames;
  readonly #frame: number;

  constructor(frames: Frames, frame: number) {
    this.#frames = frames;
    this.#frame = frame;
  }

  get entries(): number {
    return this.#frames.entriesPerTable;
  }

  entry(index: number): EntryPointer {
    return this.#frames.entry(this.#frame, index);
  }

  *read(index: number, saying: Saying): Steps<number> {
    return yield* this.#frames.read(this.entry(index), saying);
  }

  *xchg(index: number, entry: number, saying: Saying): Steps<number> {
    return yield* this.#frames.xchg(this.entry(index), entry, saying);
  }
}

/** Words of the protocol. */
export class SecondaryMmu {
  static {
    noteMethods(this);
  }

  readonly name: string;
  readonly frames: Frames;
  readonly table: SecondaryTable;
  readonly format: EntryFormat;
  readonly lock: Lock;
  /** mmu_invalidate_seq: counts invalidations that have ended. */
  readonly seq: Address;
  /** mmu_invalidate_in_progress, and mmu_invalidate_range_start and _end while it is not 0. */
  readonly in_progress: Address;
  readonly #range: readonly [Address, Address];
  readonly #invalidation: number;

  constructor(
    builder: SystemBuilder,
    name: string,
    { frames, table, format, lock, rangeGrows = true }: SecondaryMmuOptions,
  ) {
    this.name = name;
    this.frames = frames;
    this.table = typeof table === 'number' ? new FrameTable(frames, table) : table;
    this.format = format;
    this.lock = lock;
    const words = builder.region(`${name}.mmu_invalidate`, 2);
    this.seq = words.at(0);
    this.in_progress = words.at(1);
    // Read and written under the lock alone, which orders them: on `arm` anything else is reported as a data race.
    const range = builder.region(`${name}.mmu_invalidate_range`, 2, { memory: 'strong' });
    this.#range = [range.at(0), range.at(1)];
    // A plain store: where stores are reordered, its place among them is a matter of the barriers beside it.
    const plain = builder.memoryModel === 'arm';
    const under_way = (cx: OperationContext, { in_progress, start, end }: InvalidationEmitted): void => {
      const store = (word: Address, value: number): void => {
        if (plain) cx.storeBuffered(word, value);
        else cx.write(word, value);
      };
      store(this.in_progress, in_progress);
      store(this.#range[0], start);
      store(this.#range[1], end);
    };
    builder.component({
      name: `${name}.invalidation`,
      machine: invalidationMachine,
      input: { rangeGrows },
      effects: { under_way: (cx, event) => under_way(cx, event as unknown as InvalidationEmitted) },
    });
    this.#invalidation = builder.port(`${name}.invalidation`);
  }

  /** Serves the part of a call that concerns pages which this table translates; `otherwise` if there are none. */
  protected *serve<T>(call: NotifierCall, otherwise: T, body: (call: NotifierCall) => Steps<T>): Steps<T> {
    const start = Math.max(call.start, 0);
    const end = Math.min(call.end, this.table.entries);
    return start < end ? yield* body({ ...call, start, end }) : otherwise;
  }

  /** Address of an entry of a table in one frame, for properties. */
  entryAddress(index: number): Address {
    if (this.table instanceof FrameTable) return this.table.entry(index).address;
    throw new ModelError(`mmu-notifier: ${this.name}: entryAddress: its table is not in one frame (${index})`);
  }

  /** Under the lock: an invalidation of [start, end) begins. */
  *begin(start: number, end: number, label: string): Steps {
    yield operation(TELL, this.#invalidation, this.#lockWord, 0, beginMessage(start, end), { label });
  }

  /** Under the lock: in_progress--. */
  *dec_in_progress(label: string): Steps {
    yield operation(TELL, this.#invalidation, this.#lockWord, 0, END, { label });
  }

  /** Under the lock: seq++. Nobody else writes it, so it is one plain store. */
  *inc_seq(label: string): Steps {
    yield operation(INCREMENT, this.seq, 0, 0, undefined, { label });
  }

  /** The entry of a page. */
  *read(index: number, label: string): Steps<number> {
    return yield* this.table.read(index, this.#saying(label));
  }

  /** Exchanges the entry of a page. */
  *xchg(index: number, entry: number, label: string): Steps<number> {
    return yield* this.table.xchg(index, entry, this.#saying(label));
  }

  /** Whether an invalidation is under way, whatever its range. */
  *isAnyUnderWay(label: string): Steps<boolean> {
    return (yield* load(this.in_progress, { label, fact: (count) => underWay(count !== 0) })) !== 0;
  }

  /**
   * Whether an invalidation of the page is under way, by one look at counter and range, which change together under the
   * lock.
   */
  *isUnderWay(index: number, label: string): Steps<boolean> {
    return (
      (yield operation(UNDER_WAY, index, 0, 0, [this.in_progress, ...this.#range], {
        label,
        fact: (found) => underWay(found === 1),
      })) === 1
    );
  }

  get #lockWord(): number {
    return this.lock.word ?? NO_WORD;
  }

  #saying(label: string): Saying {
    return { label, fact: (entry) => this.format.format(entry) };
  }
}

function underWay(found: boolean): string {
  return found ? 'under way' : 'none';
}

const NO_WORD = -1;

function checkHeld(cx: OperationContext, word: number): void {
  if (word === NO_WORD || cx.read(word) === 1 + cx.processor) return;
  cx.fail(COUNTS_UNDER_LOCK, () => 'whoever counts here may be counting at once with somebody else');
}

const END: Message = { type: 'end' };
const beginMessage = messageFor((start: number, end: number) => ({ type: 'begin', start, end }));

/**
 * The counter and the range are the actor's output and change at once, so on `tso` what this processor has stored
 * before goes first. On `arm` only barriers have it do so.
 */
const TELL = defineOperation({
  name: 'invalidation',
  cost: 'store',
  order: 'relaxed',
  perform(cx, op) {
    if (!cx.drained()) return BLOCKED;
    checkHeld(cx, op.b);
    if (!cx.send(op.a, op.data as Message))
      cx.fail(IN_PROGRESS_NOT_NEGATIVE, () => 'an invalidation ends that has not begun');
    return 0;
  },
});

const INCREMENT = defineOperation({
  name: 'mmu_invalidate_seq',
  cost: 'store',
  perform: (cx, op) => (cx.storeBuffered(op.a, cx.load(op.a) + 1) ? 0 : BLOCKED),
  footprint: (op) => ({ reads: [op.a], writes: [op.a] }),
});

const UNDER_WAY = defineOperation({
  name: 'mmu_invalidate_in_progress',
  cost: 'load',
  perform(cx, op) {
    const [in_progress, start, end] = op.data as readonly [Address, Address, Address];
    return cx.load(in_progress) !== 0 && op.a >= cx.load(start) && op.a < cx.load(end) ? 1 : 0;
  },
  // Who does not look goes on as if there were none.
  leftOut: () => 0,
});
