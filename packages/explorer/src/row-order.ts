/** Rows of states that differ only in a permutation of interchangeable processors, brought into one form. */
import type { ContentHashes, System } from '@shootdown/machine';

/**
 * Of all such states the one with the local states in order (of content) is kept: always the same one, whichever of
 * them was found first.
 */
export class RowOrder {
  /** Words of the local states of interchangeable processors. */
  readonly #groups: readonly (readonly number[])[];
  readonly #hashes: ContentHashes;

  constructor(system: System, hashes: ContentHashes) {
    this.#groups = system.symmetric.map((group) => group.map((index) => system.processors[index]?.taskBase ?? 0));
    this.#hashes = hashes;
  }

  /** Sorts the local states of one row. */
  sort(row: Int32Array, offset: number): void {
    for (const group of this.#groups) {
      for (let i = 1; i < group.length; i++) {
        const node = row[offset + (group[i] as number)] as number;
        let j = i - 1;
        for (; j >= 0 && this.#isBefore(node, row[offset + (group[j] as number)] as number); j--) {
          row[offset + (group[j + 1] as number)] = row[offset + (group[j] as number)] as number;
        }
        row[offset + (group[j + 1] as number)] = node;
      }
    }
  }

  #isBefore(a: number, b: number): boolean {
    const { lo, hi } = this.#hashes;
    return (lo[a] as number) < (lo[b] as number) || (lo[a] === lo[b] && (hi[a] as number) < (hi[b] as number));
  }
}
