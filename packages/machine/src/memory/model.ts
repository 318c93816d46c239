/** What the rules of the weak memory share: its configuration, and how messages are found and put. */
import type { StoreToCome, Translation } from './requests.ts';
import type { OrderingRule, Rules, Under } from './rules.ts';
import { common, has, NO_EVENT, NOTHING, type Events } from './events.ts';
import {
  addEvent,
  from,
  messageOf,
  nextOf,
  seenWith,
  View,
  type MemoryState,
  type Message,
  type ProcessorState,
} from './state.ts';

/** The three views that every later access is after: DMB and acquire, DSB, context synchronisation. */
export function floorOf({ views }: ProcessorState): Events {
  return views[View.barrier] | views[View.completion] | views[View.context];
}

/** What all of some processors have in their floors; everything if there are none. */
export function commonFloor(processors: readonly ProcessorState[]): Events {
  return common(processors.map(floorOf));
}

/** Where a new message may stand. */
export interface Place {
  /** The message of its location that it follows. */
  readonly after: number;
  /** What is before it. */
  readonly before: Events;
}

/** The configuration of a weak memory. */
export class Model {
  readonly processors: number;
  readonly translation: Translation | null;
  readonly under: Under;
  /** Whether a rule is in force. */
  readonly holds: (rule: OrderingRule) => boolean;
  /** Messages a location may have. */
  readonly messagesMax: number;
  /** Set when a store found no place because its location has as many messages as it may have. */
  boundHit = false;
  /** Stores seen so far that might overtake an earlier load, by their content. */
  readonly stores = new Map<string, StoreToCome & { readonly processor: number }>();
  /** Processors that say what their accesses depend on, and load something. */
  readonly loaders = new Set<number>();
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
    { under, holds }: Rules,
    messagesMax: number,
    kept: readonly { readonly address: number }[] = [],
    code: readonly number[] = [],
  ) {
    this.processors = processors;
    this.translation = translation;
    this.under = under;
    this.holds = holds;
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
      messages = [messageOf(NO_EVENT, this.wordOf(address), this.isDescriptor(address) ? this.processors : 0)];
      state.histories.set(address, messages);
    }
    return messages;
  }

  /** What the values in some slots have seen. */
  seenThrough(processor: ProcessorState, slots: number, rule: OrderingRule): Events {
    let view = NOTHING;
    for (const [slot, value] of processor.values) if ((slots & (1 << slot)) !== 0) view |= value.view;
    return this.under(rule, view);
  }

  /** The same, with what they were chosen by. */
  pickedThrough(processor: ProcessorState, slots: number, pickSlots: number): Events {
    let view = NOTHING;
    for (const [slot, value] of processor.values) if (((slots | pickSlots) & (1 << slot)) !== 0) view |= value.pick;
    return view;
  }

  /**
   * Where a new message of a location may stand.
   * @param least what is before it
   * @param first the first message that it may follow
   * @param last the last of them: the same if it must follow that directly (an atomic, or a hardware update)
   * @param newest nothing may be after it
   */
  placesFor(
    state: MemoryState,
    address: number,
    least: Events,
    first = 0,
    last = Number.POSITIVE_INFINITY,
    newest = false,
  ): Place[] {
    const messages = this.history(state, address);
    if (messages.length >= this.messagesMax) {
      this.boundHit = true;
      return [];
    }
    const places: Place[] = [];
    const start = newest ? Math.max(first, messages.length - 1) : first;
    for (let after = start; after < messages.length && after <= last; after++) {
      const message = messages[after] as Message;
      if (message.taken) continue;
      const before = least | seenWith(state, message) | message.readUpTo;
      if (has(before, nextOf(messages, after))) continue;
      places.push({ after, before });
    }
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
  ): { readonly message: Message; readonly index: number } | null {
    const messages = this.history(state, address);
    const index = messages.findIndex(
      ({ promise }) => promise?.processor === processor && promise.site === site && promise.hardware === hardware,
    );
    const message = messages[index];
    return message ? { message, index } : null;
  }

  /** Puts a message there; of a descriptor, `agreements` must be looked for afterwards. */
  put(state: MemoryState, address: number, { after, before }: Place, value: number): void {
    const messages = this.history(state, address);
    const next = nextOf(messages, after);
    const event = addEvent(state, before, next === NO_EVENT ? NOTHING : from(state, next));
    messages.splice(after + 1, 0, messageOf(event, value, this.isDescriptor(address) ? this.processors : 0));
    if (after + 2 < messages.length) for (const p of state.processors) shiftIndices(p, address, after, 1);
  }
}

/** Messages of a location beyond `after` have moved by so many places. */
export function shiftIndices(
  { coherence, forwarded, monitor }: ProcessorState,
  address: number,
  after: number,
  by: number,
): void {
  const last = coherence.get(address);
  if (last !== undefined && last > after) coherence.set(address, last + by);
  const own = forwarded.get(address);
  if (own && own.index > after) own.index += by;
  if (monitor && monitor.address === address && monitor.index > after) monitor.index += by;
}
