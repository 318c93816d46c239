/** Which words of a machine share cache lines. */

/** Consecutive words, and how many of them share a line; undefined: it is not said. */
interface Lined {
  readonly base: number;
  readonly cells: number;
  readonly lineWords: number | undefined;
}

/** From so many words on the line of a word is calculated, so that memory nobody touches takes no room. */
const CALCULATED_CELLS = 1 << 16;

/** In place of a line: the word has none. */
const NO_LINE = -1;

interface Calculated {
  readonly base: number;
  readonly cells: number;
  readonly lineWords: number;
  readonly first: number;
}

/** The cache line of each word. */
export class LineMap {
  /** Lines are numbered from 1 to this. */
  readonly lines: number;
  readonly #lineOf: Int32Array;
  readonly #large: Calculated[] = [];

  constructor(words: number, regions: readonly Lined[]) {
    this.#lineOf = new Int32Array(words);
    let next = 1;
    for (const { base, cells, lineWords } of regions) {
      if (lineWords === undefined) {
        if (cells < CALCULATED_CELLS) this.#lineOf.fill(NO_LINE, base, base + cells);
        continue;
      }
      if (cells >= CALCULATED_CELLS) this.#large.push({ base, cells, lineWords, first: next });
      else for (let c = 0; c < cells; c++) this.#lineOf[base + c] = next + Math.floor(c / lineWords);
      next += Math.ceil(cells / lineWords);
    }
    this.lines = next - 1;
  }

  /** From 1 on; 0: it is not said which. */
  lineOf(address: number): number {
    const line = this.#lineOf[address] as number;
    if (line > 0) return line;
    if (line === NO_LINE) return 0;
    for (const { base, cells, lineWords, first } of this.#large) {
      const cell = address - base;
      if (cell >= 0 && cell < cells) return first + Math.floor(cell / lineWords);
    }
    return 0;
  }
}
