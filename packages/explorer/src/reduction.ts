/**
 * Partial-order reduction: in many states one processor's next step can stand for all others, because nothing that can
 * happen before it, in any interleaving, has to do with it.
 *
 * In a state s let T be the step of processor p (with all its outcomes). T may be taken alone if
 *
 *  1. it is enabled;
 *  2. no agent that can act before p does touches a word that T writes, or writes a word that T reads. What an agent
 * can
 *     still touch is computed from where it stands: for a processor, everything reachable in the graph of its routine's
 *     local states; for a channel, what its delivery touches, if it holds a message or somebody who can act may put one
 *     there; for an interrupt handler likewise; for a store buffer, the addresses in it;
 *  3. T writes no word that an `always` or `sometimes` property reads (one without `reads` is taken to read every
 * word);  4. every known edge out of p's local state leads forward in a fixed order, so that no cycle of states
 * consists of such
 *     steps only: on every cycle some state is expanded in full, and nothing is put off for ever.
 *
 * Then (persistent sets; Godefroid, LNCS 1032, chapters 4 and 6) every state at rest, every deadlock, every step that
 * reports a violation, every value of a property and every livelock of the full graph is found in the reduced one.
 *
 * 2 relies on what has been *seen*: the local states found and the words touched so far. The set of facts is taken
 * before a search and held fixed; if the search comes across anything new, it is run again with what is known then. A
 * search that came across nothing new is right: suppose some interleaving of the full graph did something unseen, and
 * take a shortest path w from a state of the reduced graph to such a thing. Where the reduced graph takes T alone, all
 * of w before its last step is as seen, so T commutes with it; either T is on w, and can be moved to its front, which
 * leaves a shorter path from the state after T; or it is not, and w is possible after T as well. By 4 that ends in a
 * state expanded in full, which w's first step leaves along an edge of the reduced graph, to a shorter path. So there
 * is no shortest one.
 *
 * Under `tso` a plain store only enters the store buffer, which concerns nobody else, and its draining may happen
 * before or after any load or store of the same processor to the same effect. Any other operation is only taken alone
 * while its processor's buffer is empty.
 */
import { Code, type Processor, type System } from '@shootdown/machine';
import { WordSets } from './access-sets.ts';
import { Known } from './known.ts';
import { Prospects } from './prospects.ts';
import type { RecordingExecutor } from './recording.ts';
import { Sleepers } from './sleepers.ts';

const Pair = { conflict: 1, independent: 2 } as const;
/** Bytes the table of pairs may take. */
const PAIRS_MAX = 1 << 24;

/** Decides in which states one processor's step can stand for all. */
export class Reduction {
  readonly #system: System;
  readonly #executor: RecordingExecutor;
  readonly #visible: WordSets;
  readonly #everythingVisible: boolean;
  #known: Known;
  #prospects: Prospects | null = null;
  /** Agents besides the processors and their buffers' memory words; null if there are none. */
  #sleepers: Sleepers | null = null;
  /**
   * By rows of {@link Known}: 1 if the step never stands alone, because of its place or because a property sees what it
   * writes.
   */
  #never = new Uint8Array(0);
  /** Per pair of rows whether they conflict, once it has been asked; null if that would be too much memory. */
  #pairs: Uint8Array | null = null;

  constructor(system: System, executor: RecordingExecutor) {
    this.#system = system;
    this.#executor = executor;
    const { words } = system.layout;
    const seen = system.properties.filter((property) => property.kind !== 'finally');
    this.#everythingVisible = seen.some((property) => property.reads === undefined);
    this.#visible = new WordSets(words, 1);
    for (const property of seen) for (const word of property.reads ?? []) this.#visible.add(0, word);
    this.#known = new Known(system, executor);
    this.#prepare();
  }

  /** Takes in everything seen so far; to be called before a search. */
  learn(): void {
    if (!this.stale) return;
    this.#known = new Known(this.#system, this.#executor);
    this.#prepare();
  }

  /** True if the search came across something that was not known when it began: it must be run again. */
  get stale(): boolean {
    return this.#known.stale || this.#prospects?.stale === true;
  }

  /** Whether states of a search leave something out: see {@link project}. */
  get projects(): boolean {
    return this.#prospects !== null;
  }

  /** Leaves out of the executor's state what nobody will look at any more. */
  project(): void {
    this.#prospects?.project();
  }

  #prepare(): void {
    const { requests } = this.#executor;
    this.#prospects = requests && new Prospects(this.#system, this.#executor, this.#known, requests);
    const { nodes, accesses, store } = this.#executor;
    const { graph, rows } = this.#known;
    const { channels, spontaneous, memoryModel, watches, drainWatchers, processors } = this.#system;
    const watched = watches.length > 0 || drainWatchers.length > 0;
    this.#pairs = rows * rows <= PAIRS_MAX ? new Uint8Array(rows * rows) : null;
    this.#never = new Uint8Array(rows);
    for (let node = 0; node < graph.nodes; node++) {
      const stays = nodes.code[node] === Code.done || graph.forward[node] === 0;
      for (const { index } of processors)
        if (stays || this.#isSeen(accesses.ofNode(node, index))) this.#never[this.#known.rowOf(node, index)] = 1;
    }
    const sleepers = channels.length > 0 || spontaneous.length > 0 || (memoryModel === 'tso' && watched);
    this.#sleepers = sleepers ? new Sleepers(this.#system, store.words, accesses, this.#known) : null;
  }

  #isSeen(row: number): boolean {
    const { writes } = this.#known;
    return this.#everythingVisible ? !writes.isEmpty(row) : writes.meets(row, this.#visible, 0);
  }

  /**
   * The next processor from `from` on whose step (the choice of that number) may be taken alone if it is enabled, or
   * -1.
   */
  next(from: number): number {
    const { processors } = this.#system;
    for (let processor = from; processor < processors.length; processor++) {
      if (this.#standsAlone(processors[processor] as Processor)) return processor;
    }
    return -1;
  }

  #standsAlone(p: Processor): boolean {
    const { store, nodes } = this.#executor;
    const node = store.words[this.#executor.topAddress(p)] as number;
    if (node >= this.#known.graph.nodes || this.#never[this.#known.rowOf(node, p.index)] === 1) return false;
    const draining = p.bufferBase >= 0 && (store.words[p.bufferBase] as number) > 0;
    const code = nodes.code[node];
    if (draining && code !== Code.load && code !== Code.store) return false;
    for (const q of this.#system.processors) if (q !== p && this.#conflictsWith(node, p, q)) return false;
    return this.#sleepers === null || !this.#sleepers.conflict(node, p, draining);
  }

  /**
   * Whether the step at `node` of `p` has to do with anything that a task of `q`, or its store buffer, may still do.
   */
  #conflictsWith(node: number, p: Processor, q: Processor): boolean {
    const { words } = this.#executor.store;
    for (let slot = 0; slot < q.tasks.length; slot++)
      if (this.#nodesConflict(node, p, words[q.taskBase + slot] as number, q)) return true;
    if (q.interruptAddress >= 0 && this.#nodesConflict(node, p, words[q.interruptAddress] as number, q)) return true;
    if (q.bufferBase < 0) return false;
    const { reads, writes } = this.#known;
    const row = this.#executor.accesses.ofNode(node, p.index);
    for (let i = 0; i < (words[q.bufferBase] as number); i++) {
      const address = words[q.bufferBase + 1 + 2 * i] as number;
      if (reads.has(row, address) || writes.has(row, address)) return true;
    }
    return false;
  }

  #nodesConflict(node: number, p: Processor, other: number, q: Processor): boolean {
    if (other === 0) return false;
    if (other >= this.#known.graph.nodes) return true;
    const later = this.#known.rowOf(other, q.index);
    if (this.#pairs === null) return this.#pairConflicts(node, p, later, q);
    const at = this.#known.rowOf(node, p.index) * this.#known.rows + later;
    if (this.#pairs[at] === 0)
      this.#pairs[at] = this.#pairConflicts(node, p, later, q) ? Pair.conflict : Pair.independent;
    return this.#pairs[at] === Pair.conflict;
  }

  #pairConflicts(node: number, p: Processor, later: number, q: Processor): boolean {
    const { reads, writes, laterReads, laterWrites, own } = this.#known;
    const row = this.#executor.accesses.ofNode(node, p.index);
    return (
      laterWrites.meets(later, reads, row) ||
      laterWrites.meets(later, writes, row) ||
      laterReads.meets(later, writes, row) ||
      laterWrites.meets(later, own, p.index) ||
      own.meets(q.index, writes, row)
    );
  }
}
