/** Store buffers (`tso`): stores of a processor that are not in memory yet, oldest first, as words of the state. */
import type { Processor, System } from '../system/specs.ts';
import type { WordStore } from '../state/words.ts';

/** A count, then an address and a value per store. */
const WORDS_PER_STORE = 2;

/** The store buffers of one system; a processor without one has its stores in memory at once. */
export class StoreBuffers {
  readonly #processors: readonly Processor[];
  readonly #entries: number;
  readonly #store: WordStore;

  constructor({ processors, storeBufferEntries }: System, store: WordStore) {
    this.#processors = processors;
    this.#entries = storeBufferEntries;
    this.#store = store;
  }

  /** What the store that reached memory last has replaced. */
  replaced = 0;

  /** Whether a processor has one. */
  has(processor: number): boolean {
    return (this.#processors[processor] as Processor).bufferBase >= 0;
  }

  /** Stores in the buffer of a processor. */
  count(processor: number): number {
    const base = (this.#processors[processor] as Processor).bufferBase;
    return base < 0 ? 0 : this.#store.read(base);
  }

  /** What the processor's own loads see: the newest store in its buffer, otherwise memory. */
  load(processor: number, address: number): number {
    const base = (this.#processors[processor] as Processor).bufferBase;
    if (base >= 0) {
      const { words } = this.#store;
      for (let i = (words[base] as number) - 1; i >= 0; i--) {
        if (words[base + 1 + WORDS_PER_STORE * i] === address) return words[base + 2 + WORDS_PER_STORE * i] as number;
      }
    }
    return this.#store.read(address);
  }

  /** Puts a store into the buffer of a processor that has one; false if it is full. */
  put(processor: number, address: number, value: number): boolean {
    const base = (this.#processors[processor] as Processor).bufferBase;
    const count = this.#store.read(base);
    if (count === this.#entries) return false;
    this.#store.write(base + 1 + WORDS_PER_STORE * count, address);
    this.#store.write(base + 2 + WORDS_PER_STORE * count, value);
    this.#store.write(base, count + 1);
    return true;
  }

  /** The oldest store reaches memory: its address, -1 if there is none. */
  drain(processor: number): number {
    const base = (this.#processors[processor] as Processor).bufferBase;
    const store = this.#store;
    const count = base < 0 ? 0 : store.read(base);
    if (count === 0) return -1;
    const address = store.read(base + 1);
    this.replaced = store.read(address);
    store.write(address, store.read(base + 2));
    for (let i = 1; i < count; i++) {
      store.write(base + WORDS_PER_STORE * i - 1, store.read(base + WORDS_PER_STORE * i + 1));
      store.write(base + WORDS_PER_STORE * i, store.read(base + WORDS_PER_STORE * i + 2));
    }
    store.write(base + WORDS_PER_STORE * count - 1, 0);
    store.write(base + WORDS_PER_STORE * count, 0);
    store.write(base, count - 1);
    return address;
  }
}
