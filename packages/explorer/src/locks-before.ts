/**
 * Which locks a processor will have acquired by the time it asks for a word, whatever way its run goes: what it reads
 * under a lock it reads after all that the last holder has done, so no state need keep what is older.
 *
 * A local state leads to a word *past* a lock if some way from there comes to the word without acquiring the lock. Only
 * operations count that have acquired it whenever they were performed (not a trylock, which may fail).
 */
import type { System } from '@shootdown/machine';
import { WordSets } from './access-sets.ts';
import type { Known } from './known.ts';
import type { Requests } from './prospects.ts';
import type { RecordingExecutor } from './recording.ts';

/** Locks that come before words, for one search and for one way of asking for a word. */
export class LocksBefore {
  readonly #known: Known;
  /** By lock: the words that each row of {@link Known} leads to past it. */
  readonly #past = new Map<number, WordSets>();
  /** Per processor: what it may ask for at any time, on behalf of others. */
  readonly #always: WordSets;

  /** @param asked what rows of `Accesses` ask for */
  constructor(
    system: System,
    executor: RecordingExecutor,
    known: Known,
    requests: Requests,
    asked: readonly WordSets[],
  ) {
    const { accesses } = executor;
    const { graph } = known;
    this.#known = known;
    this.#always = new WordSets(requests.words, system.processors.length);
    const own = new WordSets(requests.words, known.rows);
    const locks = new Set<number>();
    for (const { index } of system.processors)
      for (const sets of asked) this.#always.unite(index, sets, accesses.ofOthers(index));
    for (let node = 0; node < graph.nodes; node++)
      for (const { index } of system.processors) {
        const row = accesses.ofNode(node, index);
        for (const sets of asked) own.unite(known.rowOf(node, index), sets, row);
        for (const lock of requests.acquires.members(row)) locks.add(lock);
      }
    for (const lock of locks) {
      const past = own.copy(requests.words);
      known.close([past], (node, processor) => requests.acquires.has(accesses.ofNode(node, processor), lock));
      this.#past.set(lock, past);
    }
  }

  /** Of some words, the locks that a processor at these rows will have acquired before it comes to them. */
  before(processor: number, rows: readonly number[], words: readonly number[]): [number, readonly number[]][] {
    const roots = (this.#known.handlers[processor] ?? []).map((root) => this.#known.rowOf(root, processor));
    const all = [...rows, ...roots];
    const locked: [number, readonly number[]][] = [];
    for (const word of words) {
      if (this.#always.has(processor, word)) continue;
      const locks = [...this.#past].flatMap(([lock, past]) => (all.some((row) => past.has(row, word)) ? [] : [lock]));
      if (locks.length > 0) locked.push([word, locks]);
    }
    return locked;
  }
}
