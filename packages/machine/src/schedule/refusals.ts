/**
 * Choices that have been refused: they are asked again when a word has changed on which that depends, and not before.
 *
 * Asking all of them before every step made a step take time linear in the number of CPUs that wait, and a contended
 * lock quadratic in their number.
 */
import type { WordStore } from '../state/words.ts';

/** Lists shorter than this are not worth tidying. */
const TIDY_MIN = 64;

/** Who looks at a word. */
interface Watchers {
  /** Choices that always do, refused or not. */
  readonly always: number[];
  /** Choices, each followed by what its count of refusals was when it began to. */
  refused: number[];
  /** Length of `refused` at which entries that are out of date are thrown away. */
  tidyAt: number;
}

/** Keeps track of choices 0 .. n - 1 of one run. */
export class Refusals {
  readonly #refused: Uint8Array;
  /** Per choice: how often it has been refused or asked again; entries of {@link Watchers} with another are old. */
  readonly #count: Int32Array;
  /** Per word: one more than the index of its watchers; 0: nobody has ever looked at it. */
  readonly #index: Int32Array;
  readonly #watchers: Watchers[] = [];
  /** Refused for reasons that nobody knows: asked again after every step. */
  #unknown: number[] = [];

  /** @param always per choice: words that may always make it possible */
  constructor(words: number, always: readonly (readonly number[])[]) {
    this.#refused = new Uint8Array(always.length);
    this.#count = new Int32Array(always.length);
    this.#index = new Int32Array(words);
    always.forEach((addresses, choice) => {
      for (const address of new Set(addresses)) if (address >= 0) this.#watchersOf(address).always.push(choice);
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
    const count = ((this.#count[choice] as number) + 1) | 0;
    this.#count[choice] = count;
    if (reads === null) this.#unknown.push(choice);
    else for (let i = 0; i < reads.length; i++) this.#watch(this.#watchersOf(reads[i] as number), choice, count);
  }

  /** It may be asked again. */
  forget(choice: number): void {
    this.#refused[choice] = 0;
  }

  /** Calls `each` with those that may be possible after a step that has written the journal from `mark` on. */
  changed(store: WordStore, mark: number, each: (choice: number) => void): void {
    for (let i = mark; i < store.mark; i++) {
      const index = this.#index[store.journalAddress(i)] as number;
      if (index > 0) this.#wake(this.#watchers[index - 1] as Watchers, each);
    }
    if (this.#unknown.length === 0) return;
    const unknown = this.#unknown;
    this.#unknown = [];
    for (const choice of unknown) if (this.#refused[choice] === 1) each(choice);
  }

  #wake(watchers: Watchers, each: (choice: number) => void): void {
    for (const choice of watchers.always) if (this.#refused[choice] === 1) each(choice);
    const { refused } = watchers;
    if (refused.length === 0) return;
    watchers.refused = [];
    for (let i = 0; i < refused.length; i += 2) {
      const choice = refused[i] as number;
      if (this.#isCurrent(choice, refused[i + 1] as number)) each(choice);
    }
  }

  #isCurrent(choice: number, count: number): boolean {
    return this.#refused[choice] === 1 && this.#count[choice] === count;
  }

  #watch(watchers: Watchers, choice: number, count: number): void {
    watchers.refused.push(choice, count);
    if (watchers.refused.length < watchers.tidyAt) return;
    const { refused } = watchers;
    watchers.refused = refused.filter((_, i) => this.#isCurrent(refused[i & ~1] as number, refused[i | 1] as number));
    watchers.tidyAt = Math.max(TIDY_MIN, 2 * watchers.refused.length);
  }

  #watchersOf(address: number): Watchers {
    const index = this.#index[address] as number;
    if (index > 0) return this.#watchers[index - 1] as Watchers;
    const watchers: Watchers = { always: [], refused: [], tidyAt: TIDY_MIN };
    this.#index[address] = this.#watchers.push(watchers);
    return watchers;
  }
}
