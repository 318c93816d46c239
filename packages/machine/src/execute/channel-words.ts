/** Messages in flight: the words of channels. */
import type { Channel } from '../system/specs.ts';
import type { WordStore } from '../state/words.ts';
import { NO_MESSAGE, type MessageTable } from './message-table.ts';

/** The channels of one system. */
export class ChannelWords {
  readonly #store: WordStore;
  readonly #messages: MessageTable;

  constructor(store: WordStore, messages: MessageTable) {
    this.#store = store;
    this.#messages = messages;
  }

  isEmpty({ base }: Channel): boolean {
    return this.#store.read(base) === NO_MESSAGE;
  }

  isFull({ base, capacity }: Channel): boolean {
    return this.#store.read(base + capacity - 1) !== NO_MESSAGE;
  }

  /** Messages in flight. */
  count({ base, capacity }: Channel): number {
    let count = 0;
    while (count < capacity && this.#store.read(base + count) !== NO_MESSAGE) count++;
    return count;
  }

  /** The message at a place, as its number: places in use come first. */
  at({ base, capacity }: Channel, place: number): number {
    return place < capacity ? this.#store.read(base + place) : NO_MESSAGE;
  }

  /** Puts a message behind those in flight. `absorbed`: a level channel has it already. */
  put(channel: Channel, id: number): 'in flight' | 'absorbed' | 'full' {
    for (let i = 0; i < channel.capacity; i++) {
      const word = this.#store.read(channel.base + i);
      if (word === NO_MESSAGE) {
        this.#store.writeInterned(channel.base + i, id, this.#messages.hashes);
        if (channel.policy === 'unordered') this.#sort(channel);
        return 'in flight';
      }
      if (channel.policy === 'level' && word === id) return 'absorbed';
    }
    return 'full';
  }

  /** Takes the message at a place off, and those behind it move up. */
  take({ base, capacity }: Channel, place: number): void {
    for (let i = place; i < capacity; i++) {
      const next = i + 1 < capacity ? this.#store.read(base + i + 1) : NO_MESSAGE;
      this.#store.writeInterned(base + i, next, this.#messages.hashes);
    }
  }

  /**
   * An unordered channel is a bag: kept in one order (of content, not of discovery), so that equal bags are equal
   * states.
   */
  #sort(channel: Channel): void {
    const { base } = channel;
    const ids = Array.from({ length: this.count(channel) }, (_, i) => this.#store.read(base + i));
    const { lo, hi } = this.#messages.hashes;
    ids.sort((x, y) => (lo[x] as number) - (lo[y] as number) || (hi[x] as number) - (hi[y] as number));
    ids.forEach((id, i) => this.#store.writeInterned(base + i, id, this.#messages.hashes));
  }
}
