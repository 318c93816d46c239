/** Whether a check is a function of the words that it reads: what it has read and answered before, it must again. */

/** What it may remember; beyond that it compares with what is there. */
const REMEMBERED_MAX = 20_000;
/** Evaluations that are all looked at, and of those that follow one in so many. */
const ALL = 2_000;
const STRIDE = 61;
/** Instead of an address: it has answered. */
const [NO, YES] = [-1, -2];
const SEED = [0x2545f491, 0x9e3779b9] as const;

/**
 * The decisions of one check, as far as they have been seen: after the same values it reads the same word, or gives the
 * same answer.
 */
export class Decisions {
  /** By a hash of the values read so far: the address that is read next, or the answer. */
  readonly #next = new Map<number, number>();
  #evaluations = 0;
  #lo = 0;
  #hi = 0;
  #differs = false;

  /** Whether the evaluation that begins now is looked at. */
  begin(): boolean {
    if (++this.#evaluations > ALL && this.#evaluations % STRIDE !== 0) return false;
    [this.#lo, this.#hi] = SEED;
    this.#differs = false;
    return true;
  }

  /** The check has read a word. */
  read(address: number, value: number): void {
    this.#decide(address);
    this.#lo = Math.imul(this.#lo ^ value, 0x85ebca6b) ^ (this.#lo >>> 13);
    this.#hi = Math.imul((this.#hi + value) ^ (this.#hi >>> 15), 0xc2b2ae35) ^ this.#lo;
  }

  /** It has answered. False: this or something on the way was otherwise before. */
  answered(answer: boolean): boolean {
    this.#decide(answer ? YES : NO);
    return !this.#differs;
  }

  #decide(decision: number): void {
    const key = (this.#hi & 0x1fffff) * 2 ** 32 + (this.#lo >>> 0);
    const before = this.#next.get(key);
    if (before !== undefined) this.#differs ||= before !== decision;
    else if (this.#next.size < REMEMBERED_MAX) this.#next.set(key, decision);
  }
}
