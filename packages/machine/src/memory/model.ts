/** What the rules of the weak memory share: its configuration, and how messages are found and put. */
import type { StoreToCome, Translation } from './requests.ts';
import type { OrderingRule, Under } from './rules.ts';
import {
  insertPosition,
  messageAt,
  nextOf,
  NOT_YET,
  View,
  type MemoryState,
  type Message,
  type Position,
  type ProcessorState,
} from './state.ts';
import { usesAgree } from './walk.ts';

/** The three views that every later access is after: DMB and acquire, DSB, context synchronisation. */
export function floorOf(processor: ProcessorState): Position {
  const { views } = processor;
  return Math.max(views[View.barrier], views[View.completion], views[View.context]);
}

/** The configuration of a weak memory. */
export class Model {
  readonly processors: number;
  readonly translation: Translation | null;
  readonly under: Under;
  /** Messages a location may have. */
  readonly messagesMax: number;
  /** Set when a store found no place because its location has as many messages as it may have. */
  boundHit = false;
  /** Stores seen so far that might overtake an earlier load, by their content. */
  readonly stores = new Map<string, StoreToCome & { readonly processor: number }>();
  /** Value of a location that has no history yet. */
  wordOf: (address: number) => number = () => 0;
  /** Some location is looked at by hardware, to translate or to fetch: then the context is a view of its own. */
  readonly hasWalks: boolean;
  readonly #pages: ReadonlySet<number>;
  readonly #code: ReadonlySet<number>;
  readonly #kept: ReadonlySet<number>;

  /**
   * @param kept locations whose histories are part of every state
   * @param code locations of instructions
   */
  constructor(
    processors: number,
    translation: Translation | null,
    under: Under,
    messagesMax: number,
    kept: readonly { readonly address: number }[] = [],
    code: readonly number[] = [],
  ) {
    this.processors = processors;
    this.translation = translation;
    this.under = under;
    this.messagesMax = messagesMax;
    this.#pages = new Set(translation?.pages);
    this.#code = new Set(code);
    this.hasWalks = this.#pages.size > 0 || code.length > 0;
    this.#kept = new Set(kept.map(({ address }) => address));
  }

  /** True for a location whose history is never left out of the state. */
  keepsHistory(address: number): boolean {
    return this.#kept.has(address);
  }

  /** A processor will never access memory again. */
  retire(state: MemoryState, index: number): void {
    (state.processors[index] as ProcessorState).retired = true;
  }

  /** True for a location that hardware looks at by itself: a descriptor that may change, or an instruction. */
  isDescriptor(address: number): boolean {
    return this.#pages.has(address) || this.#code.has(address);
  }

  /** Whether a TLB (or an instruction cache) may hold a value of such a location. */
  isCacheable(address: number, value: number): boolean {
    if (!this.translation || !this.#pages.has(address)) return true;
    const { valid, accessed } = this.translation.decode(value);
    return valid && accessed;
  }

  /** The messages of a location that has a history; none otherwise. */
  messagesOf(state: MemoryState, address: number): readonly Message[] {
    return state.histories.get(address) ?? [];
  }

  processor(state: MemoryState, index: number): ProcessorState {
    return state.processors[index] as ProcessorState;
  }

  /** The messages of a location, oldest first. */
  history(state: MemoryState, address: number): Message[] {
    let messages = state.histories.get(address);
    if (!messages) {
      messages = [messageAt(0, this.wordOf(address), this.isDescriptor(address) ? this.processors : 0)];
      state.histories.set(address, messages);
    }
    return messages;
  }

  /** What the values in some slots have seen. */
  seenThrough(processor: ProcessorState, slots: number, rule: OrderingRule): Position {
    let view = 0;
    for (const [slot, value] of processor.values) if ((slots & (1 << slot)) !== 0) view = Math.max(view, value.view);
    return this.under(rule, view);
  }

  /** The same, with what they were chosen by. */
  pickedThrough(processor: ProcessorState, slots: number, pickSlots: number): Position {
    let view = 0;
    for (const [slot, value] of processor.values)
      if (((slots | pickSlots) & (1 << slot)) !== 0) view = Math.max(view, value.pick);
    return view;
  }

  /**
   * Positions where a new message of a location may stand, after `least`.
   * @param after the message that it must follow directly (of an atomic, or a hardware update); NOT_YET: any
   */
  placesFor(state: MemoryState, address: number, least: Position, after: Position): Position[] {
    const messages = this.history(state, address);
    if (messages.length >= this.messagesMax) {
      this.boundHit = true;
      return [];
    }
    const places: Position[] = [];
    messages.forEach((message, index) => {
      if (message.taken || (after !== NOT_YET && message.at !== after)) return;
      const first = Math.max(least, message.at, message.readUpTo) + 1;
      const last = Math.min(nextOf(messages, index), state.newest + 1);
      for (let position = first; position <= last; position++) places.push(position);
    });
    return places;
  }

  /** Remembers a store that might have overtaken an earlier load. */
  noteStore(processor: number, store: StoreToCome): void {
    const { site, address, value, hardware } = store;
    if (site >= 0) this.stores.set(`${processor},${site},${address},${value},${hardware}`, { ...store, processor });
  }

  /** The message that promises a store; undefined if none does. */
  promiseOf(
    state: MemoryState,
    address: number,
    processor: number,
    site: number,
    hardware: boolean,
  ): { readonly message: Message; readonly before: Message | undefined } | undefined {
    const messages = this.history(state, address);
    const index = messages.findIndex(
      ({ promise }) => promise?.processor === processor && promise.site === site && promise.hardware === hardware,
    );
    const message = messages[index];
    return message && { message, before: messages[index - 1] };
  }

  /** Puts a message there; false if that contradicts how descriptors have been used. */
  put(state: MemoryState, address: number, position: Position, value: number): boolean {
    insertPosition(state, position);
    const messages = this.history(state, address);
    let index = messages.length;
    while (index > 0 && (messages[index - 1] as Message).at > position) index--;
    const descriptor = this.isDescriptor(address);
    messages.splice(index, 0, messageAt(position, value, descriptor ? this.processors : 0));
    return !descriptor || usesAgree(this, state, address);
  }
}
