/** Whether a check is a function of the words that it reads: what it has read and answered before, it must again. */

/** What it may remember; beyond that it compares with what is there. */
const REMEMBERED_MAX = 20_000;
/** Evaluations, and decisions in them, that are all looked at. */
const ALL = 2_000;
const ALL_DECISIONS = 100_000;
/** After those so many evaluations are left out before the next: some, and more after one that took many decisions. */
const LEFT_OUT = 60;
const LEFT_OUT_PER_DECISION = 4;
/** Instead of an address: it has answered. */
const [NO, YES] = [-1, -2];
/** Of 32 bits, as everything that is made of it. */
const SEED = [0x2545f491, 0x9e3779b9 | 0] as const;
/** Slots to begin with, a power of two. */
const SLOTS = 256;
/** In place of a decision: the slot is free. */
const FREE = -3;

/**
 * The decisions of one check, as far as they have been seen: after the same values it reads the same word, or gives the
 * same answer.
 */
export class Decisions {
  /** By a hash of the values read so far: the address that is read next, or the answer. Open addressing. */
  #keyLo = new Int32Array(SLOTS);
  #keyHi = new Int32Array(SLOTS);
  #next = new Int32Array(SLOTS).fill(FREE);
  #remembered = 0;
  #evaluations = 0;
  #decisions = 0;
  /** Decisions before this evaluation, and evaluations to be left out after it. */
  #before = 0;
  #leftOut = 0;
  #lo = 0;
  #hi = 0;
  #differs = false;

  /** Whether the evaluation that begins now is looked at. */
  begin(): boolean {
    if (this.#leftOut > 0) {
      this.#leftOut--;
      return false;
    }
    this.#evaluations++;
    this.#before = this.#decisions;
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
    if (this.#evaluations > ALL || this.#decisions > ALL_DECISIONS)
      this.#leftOut = LEFT_OUT + LEFT_OUT_PER_DECISION * (this.#decisions - this.#before);
    return !this.#differs;
  }

  #decide(decision: number): void {
    this.#decisions++;
    const slot = this.#slotOf(this.#lo, this.#hi);
    const before = this.#next[slot] as number;
    if (before !== FREE) this.#differs ||= before !== decision;
    else if (this.#remembered < REMEMBERED_MAX) this.#remember(slot, decision);
  }

  /** The slot of a hash, or the free one where it belongs. */
  #slotOf(lo: number, hi: number): number {
    const mask = this.#next.length - 1;
    // Frame numbers are in high bits, which a product takes no further down: they have to be brought there.
    const mixed = Math.imul(lo ^ (lo >>> 15) ^ (hi >>> 7), 0x2c1b3c6d);
    let slot = (mixed ^ (mixed >>> 16)) & mask;
    while (this.#next[slot] !== FREE && (this.#keyLo[slot] !== lo || this.#keyHi[slot] !== hi))
      slot = (slot + 1) & mask;
    return slot;
  }

  #remember(slot: number, decision: number): void {
    this.#keyLo[slot] = this.#lo;
    this.#keyHi[slot] = this.#hi;
    this.#next[slot] = decision;
    if (++this.#remembered * 2 > this.#next.length) this.#grow();
  }

  #grow(): void {
    const [keyLo, keyHi, next] = [this.#keyLo, this.#keyHi, this.#next];
    this.#keyLo = new Int32Array(next.length * 2);
    this.#keyHi = new Int32Array(next.length * 2);
    this.#next = new Int32Array(next.length * 2).fill(FREE);
    for (let old = 0; old < next.length; old++) {
      if (next[old] === FREE) continue;
      const slot = this.#slotOf(keyLo[old] as number, keyHi[old] as number);
      this.#keyLo[slot] = keyLo[old] as number;
      this.#keyHi[slot] = keyHi[old] as number;
      this.#next[slot] = next[old] as number;
    }
  }
}
