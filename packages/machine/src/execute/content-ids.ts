/** Local states as numbers, by the hash of their content: for keepers that have no numbers of their own. */
import type { Hash64 } from '../state/hash.ts';
import { ContentHashes, type WordStore } from '../state/words.ts';

/** Hands out a number per content. */
export class ContentIds {
  readonly #hashes = new ContentHashes();
  readonly #ids = new Map<string, number>();

  /** Puts a content into a word; null: none. */
  write(store: WordStore, address: number, content: Hash64 | null): void {
    store.writeInterned(address, content === null ? 0 : this.#idOf(content), this.#hashes);
  }

  #idOf(content: Hash64): number {
    const key = `${content.lo},${content.hi}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const id = this.#ids.size + 1;
    this.#ids.set(key, id);
    this.#hashes.set(id, content);
    return id;
  }
}
