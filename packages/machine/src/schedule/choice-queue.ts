/** Choices in the order in which they are ready: a binary heap that knows where each choice is in it. */

const NOWHERE = -1;

/** A priority queue of choices 0 .. n - 1. What is ready at one time comes in order of rank. */
export class ChoiceQueue {
  readonly #rank: Int32Array;
  readonly #time: Float64Array;
  readonly #heap: Int32Array;
  /** Where in the heap each choice is. */
  readonly #place: Int32Array;
  #size = 0;

  /** @param rank per choice: who comes first of those ready at one time */
  constructor(rank: Int32Array) {
    this.#rank = rank;
    this.#time = new Float64Array(rank.length).fill(Number.POSITIVE_INFINITY);
    this.#heap = new Int32Array(rank.length);
    this.#place = new Int32Array(rank.length).fill(NOWHERE);
  }

  /** The choice that is ready first; -1: none ever is. */
  get first(): number {
    return this.#size === 0 ? -1 : (this.#heap[0] as number);
  }

  /** When a choice is ready. */
  timeOf(choice: number): number {
    return this.#time[choice] as number;
  }

  /** Says when a choice is ready; Infinity takes it out. */
  set(choice: number, time: number): void {
    const place = this.#place[choice] as number;
    if (place === NOWHERE) {
      if (time === Number.POSITIVE_INFINITY) return;
      this.#time[choice] = time;
      this.#rise(choice, this.#size++);
      return;
    }
    const before = this.#time[choice] as number;
    if (time === before) return;
    this.#time[choice] = time;
    if (time === Number.POSITIVE_INFINITY) this.#remove(choice, place);
    else if (time < before) this.#rise(choice, place);
    else this.#sink(choice, place);
  }

  #remove(choice: number, place: number): void {
    this.#place[choice] = NOWHERE;
    const last = this.#heap[--this.#size] as number;
    if (last === choice) return;
    this.#rise(last, place);
    this.#sink(last, this.#place[last] as number);
  }

  #isBefore(a: number, b: number): boolean {
    const x = this.#time[a] as number;
    const y = this.#time[b] as number;
    return x < y || (x === y && (this.#rank[a] as number) < (this.#rank[b] as number));
  }

  #rise(choice: number, from: number): void {
    let place = from;
    while (place > 0) {
      const up = (place - 1) >> 1;
      const parent = this.#heap[up] as number;
      if (!this.#isBefore(choice, parent)) break;
      this.#put(parent, place);
      place = up;
    }
    this.#put(choice, place);
  }

  #sink(choice: number, from: number): void {
    let place = from;
    for (;;) {
      let down = 2 * place + 1;
      if (down >= this.#size) break;
      if (down + 1 < this.#size && this.#isBefore(this.#heap[down + 1] as number, this.#heap[down] as number)) down++;
      const child = this.#heap[down] as number;
      if (!this.#isBefore(child, choice)) break;
      this.#put(child, place);
      place = down;
    }
    this.#put(choice, place);
  }

  #put(choice: number, place: number): void {
    this.#heap[place] = choice;
    this.#place[choice] = place;
  }
}
