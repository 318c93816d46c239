/**
 * Choices that have been refused: they are asked again when a word has changed on which that depends, and not before.
 *
 * Asking all of them before every step made a step take time linear in the number of CPUs that wait, and a contended
 * lock quadratic in their number.
 */
import type { WordStore } from '../state/words.ts';

/** Keeps track of choices 0 .. n - 1 of one run. */
export class Refusals {
  readonly #refused: Uint8Array;
  /** Per word: one more than the index in {@link #lists} of the choices that look at it. */
  readonly #listOf: Int32Array;
  readonly #lists: number[][] = [];
  /** Per choice: the words besides those that it always looks at. */
  readonly #reads: (readonly number[])[];
  /** Refused for reasons that nobody knows: asked again after every step. */
  #unknown: number[] = [];

  /** @param always per choice: words that may always make it possible */
  constructor(words: number, always: readonly (readonly number[])[]) {
    this.#refused = new Uint8Array(always.length);
    this.#listOf = new Int32Array(words);
    this.#reads = always.map(() => []);
    always.forEach((addresses, choice) => {
      for (const address of new Set(addresses)) if (address >= 0) this.#listAt(address).push(choice);
    });
  }

  /** True if it would be refused again. */
  has(choice: number): boolean {
    return this.#refused[choice] === 1;
  }

  /**
   * A choice has been refused.
   * @param reads words besides those that it always looks at; null: nobody knows
   */
  add(choice: number, reads: readonly number[] | null): void {
    this.#refused[choice] = 1;
    if (reads === null) {
      this.#unknown.push(choice);
      return;
    }
    this.#reads[choice] = reads;
    for (const address of reads) this.#listAt(address).push(choice);
  }

  /** It may be asked again. */
  forget(choice: number): void {
    this.#refused[choice] = 0;
    for (const address of this.#reads[choice] as readonly number[]) {
      const list = this.#listAt(address);
      // The newest is last; the first are those of `always`.
      const at = list.lastIndexOf(choice);
      if (at >= 0) list.splice(at, 1);
    }
    this.#reads[choice] = [];
  }

  /** Calls `each` with those that may be possible after a step that has written the journal from `mark` on. */
  changed(store: WordStore, mark: number, each: (choice: number) => void): void {
    for (let i = mark; i < store.mark; i++) {
      const index = this.#listOf[store.journalAddress(i)] as number;
      if (index === 0) continue;
      const list = this.#lists[index - 1] as number[];
      if (list.length === 1) {
        if (this.#refused[list[0] as number] === 1) each(list[0] as number);
      } else if (list.length > 1) for (const choice of list.slice()) if (this.#refused[choice] === 1) each(choice);
    }
    if (this.#unknown.length === 0) return;
    const unknown = this.#unknown;
    this.#unknown = [];
    for (const choice of unknown) if (this.#refused[choice] === 1) each(choice);
  }

  #listAt(address: number): number[] {
    const index = this.#listOf[address] as number;
    if (index > 0) return this.#lists[index - 1] as number[];
    this.#listOf[address] = this.#lists.push([]);
    return this.#lists.at(-1) as number[];
  }
}
