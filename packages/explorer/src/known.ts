/** What has been seen of a system, taken before a search and held fixed: what reduction relies on. */
import type { Processor, System } from '@shootdown/machine';
import { WordSets } from './access-sets.ts';
import type { RecordingExecutor } from './recording.ts';
import { RoutineGraph } from './routine-graph.ts';

/** The local states found and the words touched so far. */
export class Known {
  readonly graph: RoutineGraph;
  /** What each agent touches, by rows of `Accesses`. */
  readonly reads: WordSets;
  readonly writes: WordSets;
  /** What a processor may still touch, by {@link rowOf}. */
  readonly laterReads: WordSets;
  readonly laterWrites: WordSets;
  /** Words that a processor's step reads besides its operation's: whether it may execute, and what. */
  readonly own: WordSets;
  /** First local states of the interrupt handlers of each processor. */
  readonly handlers: readonly (readonly number[])[];
  /** Local states times processors. */
  readonly rows: number;
  readonly #processors: number;
  readonly #executor: RecordingExecutor;
  readonly #learnt: number;

  constructor(system: System, executor: RecordingExecutor) {
    const { nodes, accesses } = executor;
    const { words } = system.layout;
    this.#executor = executor;
    this.#processors = system.processors.length;
    this.handlers = system.processors.map((p) => Object.values(p.handlers).map((program) => nodes.root(program)));
    this.graph = new RoutineGraph(nodes);
    this.#learnt = accesses.learnt;
    this.rows = this.graph.nodes * this.#processors;
    this.own = new WordSets(words, this.#processors);
    for (const p of system.processors) for (const word of ownWords(system, p)) this.own.add(p.index, word);
    accesses.reserve(accesses.ofNode(this.graph.nodes, 0) + this.#processors);
    // Copies: what is learnt in the course of a search must not depend on the order in which its states are expanded.
    this.reads = accesses.reads.copy(words);
    this.writes = accesses.writes.copy(words);
    this.laterReads = new WordSets(words, this.rows);
    this.laterWrites = new WordSets(words, this.rows);
    for (let node = 0; node < this.graph.nodes; node++) {
      for (let p = 0; p < this.#processors; p++) {
        const [later, row] = [this.rowOf(node, p), accesses.ofNode(node, p)];
        this.laterReads.unite(later, accesses.reads, row);
        this.laterWrites.unite(later, accesses.writes, row);
        this.laterWrites.unite(later, accesses.buffered, row);
      }
    }
    this.close([this.laterReads, this.laterWrites]);
  }

  /** The row of a processor at a local state. */
  rowOf(node: number, processor: number): number {
    return node * this.#processors + processor;
  }

  /** True if something has been seen since that is not in here. */
  get stale(): boolean {
    const { nodes, accesses } = this.#executor;
    return accesses.learnt !== this.#learnt || nodes.count !== this.graph.nodes || nodes.edgeCount !== this.graph.edges;
  }

  /**
   * What a child may do its parents may do: up to the fixed point.
   * @param sets by {@link rowOf}
   * @param ends where that is not to be followed
   */
  close(sets: readonly WordSets[], ends: (node: number, processor: number) => boolean = () => false): void {
    for (let grew = true; grew;) {
      grew = false;
      for (const node of this.graph.postorder) {
        for (const child of this.graph.children[node] ?? []) {
          for (let p = 0; p < this.#processors; p++) {
            if (ends(node, p)) continue;
            for (const later of sets) grew = later.unite(this.rowOf(node, p), later, this.rowOf(child, p)) || grew;
          }
        }
      }
      if (this.graph.acyclic) return;
    }
  }
}

function ownWords(system: System, p: Processor): number[] {
  const components = [system.components[p.component], system.components[p.gate]];
  return [
    ...components.map((c) => c?.address ?? -1),
    p.interruptAddress,
    p.currentAddress,
    ...p.tasks.map((_, slot) => p.taskBase + slot),
  ].filter((word) => word >= 0);
}
