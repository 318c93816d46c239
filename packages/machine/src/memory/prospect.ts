/**
 * What a processor may still ask of the weak memory: what it will never ask, no state need keep apart.
 *
 * Who says so must be right: a search learns it from the routines (see `explorer`), and begins again when it was wrong.
 */
import type { Model } from './model.ts';
import type { MemoryState, ProcessorState } from './state.ts';

/** The rest of one processor's run. Sets may say too much, never too little. */
export interface Prospect {
  /** Locations it may load from or store to, as ordinary accesses do: see `Access.newest`. */
  readonly accesses: ReadonlySet<number>;
  /** Those of them that it may store to. */
  readonly stores: ReadonlySet<number>;
  /** Locations of which it may look at the newest message. */
  readonly observes: ReadonlySet<number>;
  /** Keys whose view it may join. */
  readonly takes: ReadonlySet<number>;
  /** It may hand its views on. */
  readonly handsOn: boolean;
}

/** Who is to be looked after in a state: by processor, or everybody where nothing is known. */
export class Audience {
  /** Processors that some message can be of use to. */
  readonly consumers: readonly ProcessorState[];
  readonly #model: Model;
  readonly #processors: readonly ProcessorState[];
  readonly #prospects: readonly Prospect[] | null;

  constructor(model: Model, state: MemoryState, prospects: readonly Prospect[] | null) {
    this.#model = model;
    this.#processors = state.processors;
    this.#prospects = prospects;
    this.consumers = this.#who(({ accesses, observes }) => model.hasWalks || accesses.size > 0 || observes.size > 0);
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

  /** Processors that may look at the location. */
  lookers(address: number): readonly ProcessorState[] {
    if (this.#model.isDescriptor(address)) return this.#who(() => true);
    return this.#who(({ accesses, observes }) => accesses.has(address) || observes.has(address));
  }

  /** Processors that may store to the location somewhere among what is there. */
  storers(address: number): readonly ProcessorState[] {
    if (this.#model.isDescriptor(address)) return this.#who(() => true);
    return this.#who(({ stores }) => stores.has(address));
  }

  /** Whether somebody may join what a key hands on. */
  isTaken(key: number): boolean {
    return this.#prospects === null || this.#who(({ takes }) => takes.has(key)).length > 0;
  }

  /** Whether a processor may come to what belongs to a key. */
  mayTake(processor: number, key: number): boolean {
    return this.#prospects?.[processor]?.takes.has(key) ?? true;
  }

  /** Whether a processor has nothing more to do with memory, and nobody with it. */
  isInert(processor: number): boolean {
    const prospect = this.#prospects?.[processor];
    if (prospect === undefined || this.#model.hasWalks) return false;
    const { accesses, observes, takes, handsOn } = prospect;
    return !handsOn && accesses.size === 0 && observes.size === 0 && takes.size === 0;
  }

  #who(may: (prospect: Prospect) => boolean): readonly ProcessorState[] {
    return this.#processors.filter((p, index) => {
      const prospect = this.#prospects?.[index];
      return !p.retired && (prospect === undefined || may(prospect));
    });
  }
}
