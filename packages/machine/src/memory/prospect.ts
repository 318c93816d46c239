/**
 * What a processor may still ask of the weak memory: what it will never ask, no state need keep apart.
 *
 * Who says so must be right: a search learns it from the routines (see `explorer`), and begins again when it was wrong.
 */
import { common, NOTHING, type Events } from './events.ts';
import { floorOf, type Model } from './model.ts';
import type { MemoryState, ProcessorState } from './state.ts';

/** The rest of one processor's run. Sets may say too much, never too little. */
export interface Prospect {
  /** Locations it may load from or store to, as ordinary accesses do: see `Access.newest`. */
  readonly accesses: ReadonlySet<number>;
  /** Those of them that it may store to. */
  readonly stores: ReadonlySet<number>;
  /** Locations of which it may look at the newest message. */
  readonly observes: ReadonlySet<number>;
  /**
   * Locations to which it may put a message that is the newest one: itself, or hardware on its behalf or on nobody's.
   */
  readonly puts: ReadonlySet<number>;
  /** Keys whose view it may join. */
  readonly takes: ReadonlySet<number>;
  /** Keys that it may hand on by another key, whose takers are not known here. */
  readonly forwards: ReadonlySet<number>;
  /** Words that everybody sees alike, of those that it may load plainly, and store plainly. */
  readonly plainReads: ReadonlySet<number>;
  readonly plainWrites: ReadonlySet<number>;
  /** It may hand its views on. */
  readonly handsOn: boolean;
  /** It may wait, by a DSB, for its loads or for its stores alone. */
  readonly waitsInPart: boolean;
  /**
   * Per word that it may ask for: the locks that it will have acquired by then, whatever way its run goes. What they
   * hand on now it will have seen. By how it asks: hardware may look at a word at any time of which the kernel's
   * accesses, or its stores, come under a lock.
   */
  readonly locked: Readonly<Record<Asking, ReadonlyMap<number, readonly number[]>>>;
}

/** How a processor asks for a word: as {@link Prospect.accesses}, as `stores`, or in any way. */
export type Asking = 'accesses' | 'stores' | 'any';

const NO_LOCKS: readonly number[] = [];

/** Who is to be looked after in a state: by processor, or everybody where nothing is known. */
export class Audience {
  /** Processors to which it matters what they have seen: to be given messages, or to follow plain accesses. */
  readonly consumers: readonly ProcessorState[];
  readonly #model: Model;
  readonly #state: MemoryState;
  readonly #processors: readonly ProcessorState[];
  readonly #prospects: readonly Prospect[] | null;

  constructor(model: Model, state: MemoryState, prospects: readonly Prospect[] | null) {
    this.#model = model;
    this.#state = state;
    this.#processors = state.processors;
    this.#prospects = prospects;
    this.consumers = this.#who(
      ({ accesses, observes, plainReads, plainWrites }) =>
        model.hasWalks || accesses.size > 0 || observes.size > 0 || plainReads.size > 0 || plainWrites.size > 0,
    );
  }

  /** Whether a processor may access the location as it sees it. */
  mayAccess(processor: number, address: number): boolean {
    const prospect = this.#prospects?.[processor];
    return prospect === undefined || this.#model.isDescriptor(address) || prospect.accesses.has(address);
  }

  /** Whether it may look at the location at all. */
  mayLook(processor: number, address: number): boolean {
    return this.mayAccess(processor, address) || this.#prospects?.[processor]?.observes.has(address) === true;
  }

  /**
   * What a processor will have seen when it asks for a word: its floor, and what the locks hand on that it takes
   * before. A lock hands on more and more, never less.
   */
  floorAt(processor: number, word: number, asking: Asking): Events {
    let floor = floorOf(this.#processors[processor] as ProcessorState);
    for (const lock of this.#prospects?.[processor]?.locked[asking].get(word) ?? NO_LOCKS)
      floor |= this.#model.under('acquire', this.#state.carried.get(lock) ?? NOTHING);
    return floor;
  }

  /** What everybody will have seen who looks at the location. */
  lookersKnow(address: number): Events {
    const descriptor = this.#model.isDescriptor(address);
    return this.#known(
      address,
      'any',
      ({ accesses, observes }) => descriptor || accesses.has(address) || observes.has(address),
    );
  }

  /** What everybody will have seen who stores to the location somewhere among what is there. */
  storersKnow(address: number): Events {
    const descriptor = this.#model.isDescriptor(address);
    return this.#known(address, 'stores', ({ stores }) => descriptor || stores.has(address));
  }

  /**
   * Whether a message may come to the location that is the newest one, from whomever: hardware may do that for a
   * processor that does nothing more itself.
   */
  mayGrow(address: number): boolean {
    return this.#prospects?.some(({ puts }) => puts.has(address)) ?? true;
  }

  /** What everybody will have seen who joins what a key hands on. */
  takersKnow(key: number): Events {
    if (this.#prospects?.some(({ forwards }) => forwards.has(key)) !== false) return NOTHING;
    return this.#known(key, 'any', ({ takes }) => takes.has(key));
  }

  /** Whether somebody may join what a key hands on. */
  isTaken(key: number): boolean {
    return this.#prospects === null || this.#who(({ takes }) => takes.has(key)).length > 0;
  }

  /** Whether a processor may load the word of a key plainly, or store to it. */
  mayTouch(processor: number, key: number): boolean {
    return this.#prospects?.[processor]?.plainReads.has(key) !== false || this.mayOverwrite(processor, key);
  }

  /** Whether a processor may store to the word of a key plainly. */
  mayOverwrite(processor: number, key: number): boolean {
    return this.#prospects?.[processor]?.plainWrites.has(key) ?? true;
  }

  /** Whether a processor may still wait for a part of its accesses, so that it matters which view has them. */
  waitsInPart(processor: number): boolean {
    return this.#model.hasWalks || (this.#prospects?.[processor]?.waitsInPart ?? true);
  }

  /** Whether a processor has nothing more to do with memory, and nobody with it. */
  isInert(processor: number): boolean {
    const prospect = this.#prospects?.[processor];
    if (prospect === undefined || this.#model.hasWalks) return false;
    const { handsOn, accesses, observes, puts, takes, plainReads, plainWrites } = prospect;
    return !handsOn && [accesses, observes, puts, takes, plainReads, plainWrites].every(({ size }) => size === 0);
  }

  #known(word: number, asking: Asking, may: (prospect: Prospect) => boolean): Events {
    return common(
      this.#processors.flatMap((p, index) => {
        const prospect = this.#prospects?.[index];
        return p.retired || (prospect !== undefined && !may(prospect)) ? [] : [this.floorAt(index, word, asking)];
      }),
    );
  }

  #who(may: (prospect: Prospect) => boolean): readonly ProcessorState[] {
    return this.#processors.filter((p, index) => {
      const prospect = this.#prospects?.[index];
      return !p.retired && (prospect === undefined || may(prospect));
    });
  }
}
