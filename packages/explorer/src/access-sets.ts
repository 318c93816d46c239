/** Sets of words as bits, one set per row; rows are added as they are needed. */
export class WordSets {
  /** 32-bit words per set. */
  readonly stride: number;
  bits: Int32Array;

  constructor(words: number, rows = 256) {
    this.stride = (words + 31) >>> 5;
    this.bits = new Int32Array(rows * this.stride);
  }

  /** Sets made elsewhere. */
  static of(words: number, bits: Int32Array): WordSets {
    const sets = new WordSets(words, 0);
    sets.bits = bits;
    return sets;
  }

  /** A copy that later additions do not change. */
  copy(words: number): WordSets {
    return WordSets.of(words, this.bits.slice());
  }

  /** Makes sure that a row exists. */
  reserve(row: number): void {
    const needed = (row + 1) * this.stride;
    if (needed <= this.bits.length) return;
    const next = new Int32Array(Math.max(needed, this.bits.length * 2));
    next.set(this.bits);
    this.bits = next;
  }

  /** Adds a word; true if it was not in the set. */
  add(row: number, word: number): boolean {
    const at = row * this.stride + (word >>> 5);
    const old = this.bits[at] as number;
    const joint = old | (1 << (word & 31));
    this.bits[at] = joint;
    return joint !== old;
  }

  has(row: number, word: number): boolean {
    return ((this.bits[row * this.stride + (word >>> 5)] as number) & (1 << (word & 31))) !== 0;
  }

  /** Adds all of a row of `from`; true if the set grew. */
  unite(row: number, from: WordSets, fromRow: number): boolean {
    const { stride, bits } = this;
    let grew = false;
    for (let i = 0; i < stride; i++) {
      const old = bits[row * stride + i] as number;
      const joint = old | (from.bits[fromRow * stride + i] as number);
      if (joint === old) continue;
      bits[row * stride + i] = joint;
      grew = true;
    }
    return grew;
  }

  /** Whether a row and a row of `other` have a word in common. */
  meets(row: number, other: WordSets, otherRow: number): boolean {
    const { stride, bits } = this;
    for (let i = 0; i < stride; i++) {
      if (((bits[row * stride + i] as number) & (other.bits[otherRow * stride + i] as number)) !== 0) return true;
    }
    return false;
  }

  /** The words of a row, in order. */
  members(row: number): number[] {
    const words: number[] = [];
    for (let i = 0; i < this.stride; i++)
      for (let bits = this.bits[row * this.stride + i] as number; bits !== 0; bits &= bits - 1)
        words.push(32 * i + 31 - Math.clz32(bits & -bits));
    return words;
  }

  isEmpty(row: number): boolean {
    for (let i = row * this.stride; i < (row + 1) * this.stride; i++) if (this.bits[i] !== 0) return false;
    return true;
  }

  clear(row: number): void {
    this.bits.fill(0, row * this.stride, (row + 1) * this.stride);
  }
}
