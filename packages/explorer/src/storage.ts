/**
 * Where states are kept: growable columns, rows of words, and the table of visited fingerprints. All typed arrays;
 * nothing is allocated per state.
 */

const CHUNK_BITS = 16;
const CHUNK = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK - 1;

/** A growing column of 32-bit integers. Grows by chunks: nothing is copied, nothing is left half empty. */
export class Column32 {
  readonly #chunks: Int32Array<ArrayBuffer>[] = [];
  #last = new Int32Array(0);
  length = 0;

  push(value: number): void {
    const at = this.length & CHUNK_MASK;
    if (at === 0) this.#chunks.push((this.#last = new Int32Array(CHUNK)));
    this.#last[at] = value;
    this.length++;
  }

  get(index: number): number {
    return (this.#chunks[index >>> CHUNK_BITS] as Int32Array)[index & CHUNK_MASK] as number;
  }

  set(index: number, value: number): void {
    (this.#chunks[index >>> CHUNK_BITS] as Int32Array)[index & CHUNK_MASK] = value;
  }

  /** All elements in one array. */
  toArray(): Int32Array<ArrayBuffer> {
    const all = new Int32Array(this.length);
    this.#chunks.forEach((chunk, i) => all.set(chunk.subarray(0, Math.min(CHUNK, this.length - i * CHUNK)), i * CHUNK));
    return all;
  }

  get bytes(): number {
    return this.#chunks.length * CHUNK * 4;
  }
}

/** A growing column of 16-bit integers. */
export class Column16 {
  readonly #chunks: Uint16Array[] = [];
  #last = new Uint16Array(0);
  length = 0;

  push(value: number): void {
    const at = this.length & CHUNK_MASK;
    if (at === 0) this.#chunks.push((this.#last = new Uint16Array(CHUNK)));
    this.#last[at] = value;
    this.length++;
  }

  get(index: number): number {
    return (this.#chunks[index >>> CHUNK_BITS] as Uint16Array)[index & CHUNK_MASK] as number;
  }

  /** All elements in one array. */
  toArray(): Uint16Array<ArrayBuffer> {
    const all = new Uint16Array(this.length);
    this.#chunks.forEach((chunk, i) => all.set(chunk.subarray(0, Math.min(CHUNK, this.length - i * CHUNK)), i * CHUNK));
    return all;
  }

  get bytes(): number {
    return this.#chunks.length * CHUNK * 2;
  }
}

/** A growing column of bytes. */
export class Column8 {
  readonly #chunks: Uint8Array[] = [];
  #last = new Uint8Array(0);
  length = 0;

  push(value: number): void {
    const at = this.length & CHUNK_MASK;
    if (at === 0) this.#chunks.push((this.#last = new Uint8Array(CHUNK)));
    this.#last[at] = value;
    this.length++;
  }

  get(index: number): number {
    return (this.#chunks[index >>> CHUNK_BITS] as Uint8Array)[index & CHUNK_MASK] as number;
  }

  set(index: number, value: number): void {
    (this.#chunks[index >>> CHUNK_BITS] as Uint8Array)[index & CHUNK_MASK] = value;
  }

  /** All elements in one array. */
  toArray(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.length);
    this.#chunks.forEach((chunk, i) => all.set(chunk.subarray(0, Math.min(CHUNK, this.length - i * CHUNK)), i * CHUNK));
    return all;
  }

  get bytes(): number {
    return this.#chunks.length * CHUNK;
  }
}

/** Rows of equal width: whole states, waiting to be expanded. {@link clear} keeps the memory for the next level. */
export class Rows {
  readonly width: number;
  readonly #shift: number;
  readonly #mask: number;
  readonly #chunks: Int32Array<ArrayBuffer>[] = [];
  count = 0;
  /** Chunk and offset of the row asked for last. */
  chunk = new Int32Array(0);
  offset = 0;

  constructor(width: number) {
    this.width = width;
    this.#shift = Math.max(0, CHUNK_BITS - Math.ceil(Math.log2(width)));
    this.#mask = (1 << this.#shift) - 1;
  }

  /** Makes room for one row and points {@link chunk} and {@link offset} at it. */
  append(): void {
    const index = this.count >>> this.#shift;
    if (index === this.#chunks.length) this.#chunks.push(new Int32Array(this.width << this.#shift));
    this.seek(this.count++);
  }

  /** Points {@link chunk} and {@link offset} at a row. */
  seek(row: number): void {
    this.chunk = this.#chunks[row >>> this.#shift] as Int32Array<ArrayBuffer>;
    this.offset = (row & this.#mask) * this.width;
  }

  clear(): void {
    this.count = 0;
  }

  get bytes(): number {
    return this.#chunks.length * (this.width << this.#shift) * 4;
  }
}

/** Rows with their fingerprints: one level of a breadth-first search. */
export class Frontier {
  readonly rows: Rows;
  /** Low and high half of each row's fingerprint. */
  pairs = new Int32Array(2048);
  /** Rows that stand for new states, in order. */
  live = new Int32Array(1024);
  liveCount = 0;

  constructor(width: number) {
    this.rows = new Rows(width);
  }

  /** Makes room for one row; `rows.chunk` and `rows.offset` say where to write it. */
  append(lo: number, hi: number): void {
    const at = 2 * this.rows.count;
    if (at === this.pairs.length) this.pairs = doubled(this.pairs);
    this.pairs[at] = lo;
    this.pairs[at + 1] = hi;
    this.rows.append();
  }

  /** Marks a row as a new state. */
  enliven(row: number): void {
    if (this.liveCount === this.live.length) this.live = doubled(this.live);
    this.live[this.liveCount++] = row;
  }

  clear(): void {
    this.rows.clear();
    this.liveCount = 0;
  }

  get bytes(): number {
    return this.rows.bytes + this.pairs.byteLength + this.live.byteLength;
  }
}

/** A copy of twice the length. */
export function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const next = new Int32Array(array.length * 2);
  next.set(array);
  return next;
}

const SLOT_WORDS = 3;
const CAPACITY_FIRST = 1 << 12;
/** Linear probing stays short up to here. */
const LOAD_MAX = 0.7;

/**
 * States by 64-bit fingerprint: open addressing with linear probing; a slot is the two halves and a serial number.
 * Entries are numbered in order of arrival; {@link forget} makes all of them stale at no cost.
 */
export class FingerprintTable {
  #slots = new Int32Array(CAPACITY_FIRST * SLOT_WORDS);
  #mask = CAPACITY_FIRST - 1;
  #limit = Math.floor(CAPACITY_FIRST * LOAD_MAX);
  /** Serial numbers up to here are stale: their slots count as empty. */
  #floor = 0;
  #serial = 0;
  #bytesMax = 0;
  readonly #quadrupledBelow: number;
  /** What {@link touch} read: kept so that no compiler may leave the reads out. */
  touched = 0;

  /** @param quadrupledBelow slots up to which the table grows by four at a time: less to move, but sparser */
  constructor(quadrupledBelow = 0) {
    this.#quadrupledBelow = quadrupledBelow;
  }

  /** Number of entries. */
  get count(): number {
    return this.#serial - this.#floor;
  }

  /** The number of an entry there is already, or ~number of the new one. */
  add(lo: number, hi: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    const floor = this.#floor;
    for (let slot = lo & mask; ; slot = (slot + 1) & mask) {
      const base = slot * SLOT_WORDS;
      const serial = slots[base + 2] as number;
      if (serial <= floor) return this.#insert(base, lo, hi);
      if (slots[base] === lo && slots[base + 1] === hi) return serial - floor - 1;
    }
  }

  /**
   * Reads the slots that {@link add} will want for fingerprints `from` to `to` of `pairs`. The reads do not wait for
   * one another, as those of `add` do; afterwards the slots are in the cache. (Measured: a third off the time of
   * adding.)
   */
  touch(pairs: Int32Array, from: number, to: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let sum = 0;
    for (let i = from; i < to; i++) sum ^= slots[((pairs[2 * i] as number) & mask) * SLOT_WORDS + 2] as number;
    this.touched = sum;
  }

  /** As {@link add}, but equal fingerprints are the same state only if `same(number)` says so. */
  addIf(lo: number, hi: number, same: (number: number) => boolean): number {
    for (let slot = lo & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const base = slot * SLOT_WORDS;
      const serial = this.#slots[base + 2] as number;
      if (serial <= this.#floor) return this.#insert(base, lo, hi);
      if (this.#slots[base] === lo && this.#slots[base + 1] === hi && same(serial - this.#floor - 1))
        return serial - this.#floor - 1;
    }
  }

  /** The number of an entry, or -1. */
  find(lo: number, hi: number): number {
    for (let slot = lo & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const base = slot * SLOT_WORDS;
      const serial = this.#slots[base + 2] as number;
      if (serial <= this.#floor) return -1;
      if (this.#slots[base] === lo && this.#slots[base + 1] === hi) return serial - this.#floor - 1;
    }
  }

  /** As {@link find}, where equal fingerprints are the same state only if `same(number)` says so. */
  findIf(lo: number, hi: number, same: (number: number) => boolean): number {
    for (let slot = lo & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const base = slot * SLOT_WORDS;
      const serial = this.#slots[base + 2] as number;
      if (serial <= this.#floor) return -1;
      if (this.#slots[base] === lo && this.#slots[base + 1] === hi && same(serial - this.#floor - 1))
        return serial - this.#floor - 1;
    }
  }

  /** The fingerprints of all entries, by number: two halves each. */
  fingerprints(): Int32Array<ArrayBuffer> {
    const all = new Int32Array(this.count * 2);
    for (let base = 0; base < this.#slots.length; base += SLOT_WORDS) {
      const number = (this.#slots[base + 2] as number) - this.#floor - 1;
      if (number < 0) continue;
      all[2 * number] = this.#slots[base] as number;
      all[2 * number + 1] = this.#slots[base + 1] as number;
    }
    return all;
  }

  /** Empties the table; numbering starts again from 0. */
  forget(): void {
    this.#floor = this.#serial;
  }

  /** Most memory held at once: while growing, the old and the new table. */
  get bytes(): number {
    return Math.max(this.#bytesMax, this.#slots.byteLength);
  }

  #insert(base: number, lo: number, hi: number): number {
    this.#slots[base] = lo;
    this.#slots[base + 1] = hi;
    this.#slots[base + 2] = ++this.#serial;
    const number = this.count - 1;
    if (number >= this.#limit) this.#grow();
    return ~number;
  }

  #grow(): void {
    const old = this.#slots;
    const capacity = (this.#mask + 1) * (this.#mask < this.#quadrupledBelow ? 4 : 2);
    const slots = new Int32Array(capacity * SLOT_WORDS);
    const mask = capacity - 1;
    for (let base = 0; base < old.length; base += SLOT_WORDS) {
      const serial = (old[base + 2] as number) - this.#floor;
      if (serial <= 0) continue;
      let slot = (old[base] as number) & mask;
      while (slots[slot * SLOT_WORDS + 2] !== 0) slot = (slot + 1) & mask;
      slots[slot * SLOT_WORDS] = old[base] as number;
      slots[slot * SLOT_WORDS + 1] = old[base + 1] as number;
      slots[slot * SLOT_WORDS + 2] = serial;
    }
    this.#serial -= this.#floor;
    this.#floor = 0;
    this.#slots = slots;
    this.#mask = mask;
    this.#limit = Math.floor(capacity * LOAD_MAX);
    this.#bytesMax = Math.max(this.#bytesMax, old.byteLength + slots.byteLength);
  }
}

/** Probability that among `states` random 64-bit fingerprints two are equal. */
export function collisionOdds(states: number): number {
  return -Math.expm1(-((states * (states - 1)) / 2) / 2 ** 64);
}
