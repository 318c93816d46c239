/** A search whose reduction has become stale is broken off at once this often; after that it goes on to learn more. */
const BREAKS_MAX = 2;
/**
 * But not to its end: without what it does not know yet it may be many times as large. So many times the states it had
 * when it became stale are enough.
 */
const STALE_GROWTH = 2;

/** Says when a search whose reduction has become stale is to be broken off. */
export class Staleness {
  readonly #atOnce: boolean;
  readonly #isStale: () => boolean;
  /** States when it was first seen to be stale. */
  #since: number | null = null;

  /** @param breaks how often it has been broken off before */
  constructor(breaks: number, isStale: () => boolean) {
    this.#atOnce = breaks < BREAKS_MAX;
    this.#isStale = isStale;
  }

  /** To be asked between two levels, or slices. */
  ends(states: number): boolean {
    if (!this.#isStale()) return false;
    this.#since ??= states;
    return this.#atOnce || states > STALE_GROWTH * this.#since;
  }
}
