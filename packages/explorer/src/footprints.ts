/**
 * Who may touch which word: sets of words as bits, the footprints of operations, and all that a processor may still
 * touch from a given local state on.
 */
import type { NodeTable, Operation, System } from '@shootdown/machine';
import type { RoutineGraph } from './routine-graph.ts';

/** One set of words per row. */
export class WordSets {
  readonly #bits: Int32Array;
  readonly #stride: number;

  constructor(rows: number, words: number) {
    this.#stride = (words + 31) >>> 5;
    this.#bits = new Int32Array(rows * this.#stride);
  }

  has(row: number, word: number): boolean {
    return ((this.#bits[row * this.#stride + (word >>> 5)] as number) & (1 << (word & 31))) !== 0;
  }

  add(row: number, word: number): void {
    const at = row * this.#stride + (word >>> 5);
    this.#bits[at] = (this.#bits[at] as number) | (1 << (word & 31));
  }

  /** Adds row `from` to row `to`; true if `to` grew. */
  unite(to: number, from: number): boolean {
    let grew = false;
    for (let i = 0; i < this.#stride; i++) {
      const old = this.#bits[to * this.#stride + i] as number;
      const joint = old | (this.#bits[from * this.#stride + i] as number);
      if (joint === old) continue;
      this.#bits[to * this.#stride + i] = joint;
      grew = true;
    }
    return grew;
  }

  fill(row: number): void {
    this.#bits.fill(-1, row * this.#stride, (row + 1) * this.#stride);
  }
}

/** The words one operation touches; null: it may touch anything. */
export interface Touched {
  readonly reads: readonly number[];
  readonly writes: readonly number[];
}

/** Footprint of the operation pending at a node, as performed by a processor; null if it declares none. */
export function footprintOf(op: Operation | null, processor: number): Touched | null {
  if (op === null) return { reads: [], writes: [] };
  return op.definition.footprint?.(op, processor) ?? null;
}

/** What a processor touches now and later, by node of the routine graph. */
export class ProcessorFootprints {
  /** Footprint of the pending operation of each node; null for those that declare none. */
  readonly now: readonly (Touched | null)[];
  /** Words that may be read (written) from each node on. */
  readonly laterReads: WordSets;
  readonly laterWrites: WordSets;

  constructor(graph: RoutineGraph, table: NodeTable, processor: number, words: number) {
    this.now = Array.from({ length: graph.nodes }, (_, node) => footprintOf(table.operations[node] ?? null, processor));
    this.laterReads = new WordSets(graph.nodes, words);
    this.laterWrites = new WordSets(graph.nodes, words);
    this.now.forEach((touched, node) => this.#start(node, touched));
    this.#close(graph);
  }

  #start(node: number, touched: Touched | null): void {
    if (touched === null) {
      this.laterReads.fill(node);
      this.laterWrites.fill(node);
      return;
    }
    for (const word of touched.reads) this.laterReads.add(node, word);
    for (const word of touched.writes) this.laterWrites.add(node, word);
  }

  /** Everything a child may touch, its parents may touch: up to the fixed point (loops need several rounds). */
  #close(graph: RoutineGraph): void {
    for (let grew = true; grew; ) {
      grew = false;
      for (const node of graph.postorder) {
        for (const child of graph.children[node] ?? []) {
          grew = this.laterReads.unite(node, child) || grew;
          grew = this.laterWrites.unite(node, child) || grew;
        }
      }
      if (graph.acyclic) return;
    }
  }
}

/** Words that are not the routines' to read or write: local states, channels, store buffers. */
export function privateWords(system: System): Uint8Array {
  const marked = new Uint8Array(system.layout.words);
  const mark = (base: number, cells: number): void => {
    if (base >= 0) marked.fill(1, base, base + cells);
  };
  for (const p of system.processors) {
    mark(p.taskBase, p.tasks.length);
    mark(p.interruptAddress, 1);
    mark(p.currentAddress, 1);
    mark(p.bufferBase, 1 + 2 * system.storeBufferEntries);
  }
  for (const component of system.components) mark(component.address, 1);
  for (const channel of system.channels) mark(channel.base, channel.capacity);
  return marked;
}
