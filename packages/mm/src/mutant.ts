/** What can be left out of a part of the kernel, to see that it is needed. */
import { checkWord } from '@shootdown/machine';

/** Such a part: one of its mutants may be chosen before the machine runs. */
export abstract class WithMutant<T extends string> {
  readonly #where: string;
  readonly #words: readonly T[];
  #mutant: T | undefined;

  /** @param where begins the message on a word that means nothing */
  constructor(where: string, words: readonly T[]) {
    this.#where = where;
    this.#words = words;
  }

  /** What is left out of it; undefined: nothing. Throws ModelError on a word that means nothing. */
  get mutant(): T | undefined {
    return this.#mutant;
  }

  set mutant(mutant: T | undefined) {
    if (mutant !== undefined) checkWord(`${this.#where}: mutant`, mutant, this.#words);
    this.#mutant = mutant;
  }
}
