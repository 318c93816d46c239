/**
 * Partial-order reduction: in many states one processor's next step can stand for all others, because nothing that can
 * happen before it, in any interleaving, has to do with it.
 *
 * In a state s let T be the step of processor p (with all its outcomes). T may be taken alone if
 *
 *  1. it is enabled;
 *  2. no agent that can act before p does touches a word that T writes, or writes a word that T reads. What an agent can
 *     still touch is computed from where it stands: for a processor, everything reachable in the graph of its routine's
 *     local states; for a channel, what its delivery touches, if it holds a message or somebody who can act may put one
 *     there; for an interrupt handler likewise; for a store buffer, the addresses in it;
 *  3. T writes no word that an `always` or `sometimes` property reads (one without `reads` is taken to read every word);
 *  4. every known edge out of p's local state leads forward in a fixed order, so that no cycle of states consists of such
 *     steps only: on every cycle some state is expanded in full, and nothing is put off for ever.
 *
 * Then (persistent sets; Godefroid, LNCS 1032, chapters 4 and 6) every state at rest, every deadlock, every step that
 * reports a violation, every value of a property and every livelock of the full graph is found in the reduced one.
 *
 * 2 relies on what has been *seen*: the local states found and the words touched so far. The set of facts is taken before
 * a search and held fixed; if the search comes across anything new, it is run again with what is known then. A search that
 * came across nothing new is right: suppose some interleaving of the full graph did something unseen, and take a shortest
 * path w from a state of the reduced graph to such a thing. Where the reduced graph takes T alone, all of w before its
 * last step is as seen, so T commutes with it; either T is on w, and can be moved to its front, which leaves a shorter
 * path from the state after T; or it is not, and w is possible after T as well. By 4 that ends in a state expanded in full,
 * which w's first step leaves along an edge of the reduced graph, to a shorter path. So there is no shortest one.
 *
 * Under `tso` a plain store only enters the store buffer, which concerns nobody else, and its draining may happen before
 * or after any load or store of the same processor to the same effect. Any other operation is only taken alone while its
 * processor's buffer is empty.
 */
import { Code, type Processor, type System } from '@shootdown/machine';
import { WordSets } from './access-sets.ts';
import type { RecordingExecutor } from './recording.ts';
import { RoutineGraph } from './routine-graph.ts';

/** Rows of the scratch sets. */
const Scratch = { reads: 0, writes: 1 } as const;

const Pair = { conflict: 1, independent: 2 } as const;
/** Bytes the table of pairs may take. */
const PAIRS_MAX = 1 << 24;

/** Decides in which states one processor's step can stand for all. */
export class Reduction {
  readonly #system: System;
  readonly #executor: RecordingExecutor;
  readonly #visible: WordSets;
  readonly #everythingVisible: boolean;
  /** Words a processor's step reads besides its operation's: whether it may execute, and what. */
  readonly #own: WordSets;
  readonly #active: WordSets;
  /** Dormant agents: what wakes them, what they then may touch. */
  readonly #channelAwake: Uint8Array;
  readonly #handlerAwake: Uint8Array;
  readonly #processors: number;
  /** There are agents besides the processors and their buffers' memory words. */
  readonly #dormant: boolean;
  #graph: RoutineGraph;
  /** What each agent touches, by rows of `Accesses`; what a processor may still touch, by node and processor. */
  #reads: WordSets;
  #writes: WordSets;
  #laterReads: WordSets;
  #laterWrites: WordSets;
  /** Rows of {@link #laterReads}: one per node and processor. */
  #rows = 0;
  /** 1 if a property sees what the step of that row writes. */
  #seen = new Uint8Array(0);
  /** Per pair of rows whether they conflict, once it has been asked; null if that would be too much memory. */
  #pairs: Uint8Array | null = null;
  #learnt = 0;

  constructor(system: System, executor: RecordingExecutor) {
    this.#system = system;
    this.#executor = executor;
    this.#processors = system.processors.length;
    this.#dormant = system.channels.length > 0 || system.spontaneous.length > 0 || (system.memoryModel === 'tso' && system.watches.length > 0);
    const { words } = system.layout;
    const seen = system.properties.filter((property) => property.kind !== 'finally');
    this.#everythingVisible = seen.some((property) => property.reads === undefined);
    this.#visible = new WordSets(words, 1);
    for (const property of seen) for (const word of property.reads ?? []) this.#visible.add(0, word);
    this.#own = new WordSets(words, system.processors.length);
    for (const p of system.processors) for (const word of ownWords(system, p)) this.#own.add(p.index, word);
    this.#active = new WordSets(words, 2);
    this.#channelAwake = new Uint8Array(system.channels.length);
    this.#handlerAwake = new Uint8Array(system.processors.length);
    this.#graph = new RoutineGraph(executor.nodes);
    this.#reads = this.#writes = this.#laterReads = this.#laterWrites = new WordSets(words, 1);
    this.learn();
  }

  /** Takes in everything seen so far; to be called before a search. */
  learn(): void {
    const { nodes, accesses } = this.#executor;
    const processors = this.#processors;
    this.#graph = new RoutineGraph(nodes);
    this.#learnt = accesses.learnt;
    const rows = this.#graph.nodes * processors;
    this.#rows = rows;
    this.#seen = new Uint8Array(rows);
    this.#pairs = rows * rows <= PAIRS_MAX ? new Uint8Array(rows * rows) : null;
    accesses.reserve(accesses.ofNode(this.#graph.nodes, 0) + processors);
    // Copies: what is learnt in the course of a search must not depend on the order in which its states are expanded.
    this.#reads = accesses.reads.copy(this.#system.layout.words);
    this.#writes = accesses.writes.copy(this.#system.layout.words);
    this.#laterReads = new WordSets(this.#system.layout.words, rows);
    this.#laterWrites = new WordSets(this.#system.layout.words, rows);
    for (let node = 0; node < this.#graph.nodes; node++) {
      for (let p = 0; p < processors; p++) {
        const row = accesses.ofNode(node, p);
        this.#laterReads.unite(node * processors + p, accesses.reads, row);
        this.#laterWrites.unite(node * processors + p, accesses.writes, row);
        this.#laterWrites.unite(node * processors + p, accesses.buffered, row);
        const seen = this.#everythingVisible ? !accesses.writes.isEmpty(row) : accesses.writes.meets(row, this.#visible, 0);
        this.#seen[node * processors + p] = seen ? 1 : 0;
      }
    }
    this.#close(processors);
  }

  /** True if the search came across something that was not known when it began: it must be run again. */
  get stale(): boolean {
    const { nodes, accesses } = this.#executor;
    return accesses.learnt !== this.#learnt || nodes.count !== this.#graph.nodes || nodes.edgeCount !== this.#graph.edges;
  }

  /** What a child may touch its parents may touch: up to the fixed point. */
  #close(processors: number): void {
    for (let grew = true; grew; ) {
      grew = false;
      for (const node of this.#graph.postorder) {
        for (const child of this.#graph.children[node] ?? []) {
          for (let p = 0; p < processors; p++) {
            grew = this.#laterReads.unite(node * processors + p, this.#laterReads, child * processors + p) || grew;
            grew = this.#laterWrites.unite(node * processors + p, this.#laterWrites, child * processors + p) || grew;
          }
        }
      }
      if (this.#graph.acyclic) return;
    }
  }

  /** The next processor from `from` on whose step (the choice of that number) may be taken alone if it is enabled, or -1. */
  next(from: number): number {
    for (let processor = from; processor < this.#processors; processor++) {
      if (this.#standsAlone(this.#system.processors[processor] as Processor)) return processor;
    }
    return -1;
  }

  #standsAlone(p: Processor): boolean {
    const { store, nodes } = this.#executor;
    const node = store.words[this.#executor.topAddress(p)] as number;
    const code = nodes.code[node] as number;
    if (node >= this.#graph.nodes || code === Code.done || this.#graph.forward[node] === 0) return false;
    const row = node * this.#processors + p.index;
    if (this.#seen[row] === 1) return false;
    const draining = p.bufferBase >= 0 && (store.words[p.bufferBase] as number) > 0;
    if (draining && code !== Code.load && code !== Code.store) return false;
    for (const q of this.#system.processors) if (q !== p && this.#conflictsWith(node, p, q)) return false;
    return !this.#dormant || !this.#conflictsWithOthers(node, p, draining);
  }

  /** Whether the step at `node` of `p` has to do with anything that a task of `q`, or its store buffer, may still do. */
  #conflictsWith(node: number, p: Processor, q: Processor): boolean {
    const { words } = this.#executor.store;
    for (let slot = 0; slot < q.tasks.length; slot++) if (this.#nodesConflict(node, p, words[q.taskBase + slot] as number, q)) return true;
    if (q.interruptAddress >= 0 && this.#nodesConflict(node, p, words[q.interruptAddress] as number, q)) return true;
    if (q.bufferBase < 0) return false;
    const row = this.#executor.accesses.ofNode(node, p.index);
    for (let i = 0; i < (words[q.bufferBase] as number); i++) {
      const address = words[q.bufferBase + 1 + 2 * i] as number;
      if (this.#reads.has(row, address) || this.#writes.has(row, address)) return true;
    }
    return false;
  }

  #nodesConflict(node: number, p: Processor, other: number, q: Processor): boolean {
    if (other === 0) return false;
    if (other >= this.#graph.nodes) return true;
    const a = node * this.#processors + p.index;
    const b = other * this.#processors + q.index;
    if (this.#pairs === null) return this.#pairConflicts(node, p, b, q);
    const at = a * this.#rows + b;
    if (this.#pairs[at] === 0) this.#pairs[at] = this.#pairConflicts(node, p, b, q) ? Pair.conflict : Pair.independent;
    return this.#pairs[at] === Pair.conflict;
  }

  #pairConflicts(node: number, p: Processor, b: number, q: Processor): boolean {
    const row = this.#executor.accesses.ofNode(node, p.index);
    return (
      this.#laterWrites.meets(b, this.#reads, row) ||
      this.#laterWrites.meets(b, this.#writes, row) ||
      this.#laterReads.meets(b, this.#writes, row) ||
      this.#laterWrites.meets(b, this.#own, p.index) ||
      this.#own.meets(q.index, this.#writes, row)
    );
  }

  /** The same for everything else that is active or can be woken: components, channels, handlers, draining. */
  #conflictsWithOthers(node: number, p: Processor, draining: boolean): boolean {
    if (!this.#gatherActive(p, draining)) return true;
    const row = this.#executor.accesses.ofNode(node, p.index);
    const active = this.#active;
    return (
      active.meets(Scratch.writes, this.#reads, row) ||
      active.meets(Scratch.writes, this.#writes, row) ||
      active.meets(Scratch.reads, this.#writes, row) ||
      active.meets(Scratch.writes, this.#own, p.index)
    );
  }

  /** Collects what everybody but `p` may touch before `p` moves; false if that is not known. */
  #gatherActive(p: Processor, draining: boolean): boolean {
    const { accesses } = this.#executor;
    this.#active.clear(Scratch.reads);
    this.#active.clear(Scratch.writes);
    this.#handlerAwake.fill(0);
    for (const q of this.#system.processors) if (q !== p && !this.#gatherProcessor(q)) return false;
    for (const s of this.#system.spontaneous) this.#gather(accesses.ofSpontaneous(s.index));
    if (draining) this.#gather(accesses.ofDrain(p.index));
    this.#channelAwake.fill(0);
    while (this.#wakeChannels() || this.#wakeHandlers(p));
    return true;
  }

  #gatherProcessor(q: Processor): boolean {
    const { words } = this.#executor.store;
    this.#active.unite(Scratch.reads, this.#own, q.index);
    for (let slot = 0; slot < q.tasks.length; slot++) if (!this.#gatherLater(words[q.taskBase + slot] as number, q)) return false;
    if (q.interruptAddress >= 0 && !this.#gatherLater(words[q.interruptAddress] as number, q)) return false;
    if (q.bufferBase < 0) return true;
    this.#gather(this.#executor.accesses.ofDrain(q.index));
    for (let i = 0; i < (words[q.bufferBase] as number); i++) this.#active.add(Scratch.writes, words[q.bufferBase + 1 + 2 * i] as number);
    return true;
  }

  #gatherLater(node: number, q: Processor): boolean {
    if (node >= this.#graph.nodes) return false;
    const row = node * this.#system.processors.length + q.index;
    this.#active.unite(Scratch.reads, this.#laterReads, row);
    this.#active.unite(Scratch.writes, this.#laterWrites, row);
    return true;
  }

  #gather(row: number): void {
    this.#active.unite(Scratch.reads, this.#reads, row);
    this.#active.unite(Scratch.writes, this.#writes, row);
  }

  /** Adds the channels that hold a message or may be sent one; true if there was one more. */
  #wakeChannels(): boolean {
    let woke = false;
    for (const channel of this.#system.channels) {
      if (this.#channelAwake[channel.index] === 1) continue;
      if (this.#executor.store.words[channel.base] === 0 && !this.#active.has(Scratch.writes, channel.base)) continue;
      this.#channelAwake[channel.index] = 1;
      this.#gather(this.#executor.accesses.ofChannel(channel.index));
      woke = true;
    }
    return woke;
  }

  /** Adds the handlers of processors that may be interrupted; true if there was one more. */
  #wakeHandlers(p: Processor): boolean {
    let woke = false;
    for (const q of this.#system.processors) {
      if (q === p || q.interruptAddress < 0 || this.#handlerAwake[q.index] === 1 || !this.#active.has(Scratch.writes, q.interruptAddress)) continue;
      this.#handlerAwake[q.index] = 1;
      for (const program of Object.values(q.handlers)) this.#gatherLater(this.#executor.nodes.root(program), q);
      woke = true;
    }
    return woke;
  }
}

function ownWords(system: System, p: Processor): number[] {
  const components = [system.components[p.component], system.components[p.gate]];
  return [...components.map((c) => c?.address ?? -1), p.interruptAddress, p.currentAddress, ...p.tasks.map((_, slot) => p.taskBase + slot)].filter((word) => word >= 0);
}
