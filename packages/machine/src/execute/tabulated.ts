/**
 * The tabulated executor: every local state is a small integer, every step a few table look-ups.
 *
 * Routines are nodes of a {@link NodeTable}; component states and messages are interned, and XState is asked once per
 * (state, message) pair. The shared state can be journalled, undone and loaded, which is what exploring needs.
 */
import type { Discovered, Discoveries, Numbering } from '../routine/discoveries.ts';
import { Executor } from './executor.ts';
import { NodeRoutines } from './node-routines.ts';
import type { NodeTable } from '../routine/nodes.ts';
import type { Operation } from '../routine/operation.ts';
import { Code } from '../routine/operations.ts';
import type { Processor, System } from '../system/specs.ts';
import { TabulatedComponents } from './tabulated-components.ts';

/** Runs a system by table look-up. */
export class TabulatedExecutor extends Executor<NodeRoutines, TabulatedComponents> {
  readonly nodes: NodeTable;
  readonly #processors: readonly Processor[];
  /** Loads and stores are those of words, and need nothing else. */
  readonly #inlines: boolean;

  constructor(system: System) {
    super(system, (kept) => ({ routines: new NodeRoutines(kept), components: new TabulatedComponents(kept) }));
    this.nodes = this.routines.nodes;
    this.#processors = system.processors;
    this.#inlines = system.memoryModel === 'sc';
  }

  /** Calls into XState so far. */
  get xstateCalls(): number {
    return this.components.xstateCalls;
  }

  /** The inner loop of every exploration: loads and stores under `sc` are performed without leaving this function. */
  protected override advance(index: number, branch: number): boolean {
    const processor = this.#processors[index] as Processor;
    if (!this.executes(processor)) return false;
    const { words } = this.store;
    const { code, a, b, operations } = this.nodes;
    const address = this.topAddress(processor);
    const node = words[address] as number;
    const kind = code[node] as number;
    if (kind === Code.done) return false;
    if (kind === Code.custom || branch !== 0 || !this.#inlines)
      return this.perform(processor, address, operations[node] as Operation, branch);
    let result = 0;
    if (kind === Code.load) result = words[a[node] as number] as number;
    // A watcher may ask who has written, and may throw.
    else if (this.watched !== null && this.watched[a[node] as number] !== 0)
      return this.perform(processor, address, operations[node] as Operation, branch);
    else this.store.write(a[node] as number, b[node] as number);
    this.processor = index;
    this.finishAdvance(processor, address, result);
    return true;
  }

  /** How much has been discovered so far. */
  get discovered(): Discovered {
    return {
      nodes: this.nodes.count,
      edges: this.nodes.edgeCount,
      states: this.components.stateCount,
      messages: this.messages.all.length,
    };
  }

  /** What has been discovered since a position, for executors of the same system in other threads. */
  discoveriesSince(since: Discovered): Discoveries {
    const roots: number[] = [];
    for (let node = since.nodes; node < this.nodes.count; node++)
      if (this.nodes.originOf(node).parent === 0) roots.push(this.nodes.programOf(node), node);
    return {
      roots,
      edges: this.nodes.edgesSince(since.edges),
      states: this.components.statesSince(since.states),
      firstMessage: since.messages,
      messages: this.messages.all.slice(since.messages),
    };
  }

  /** Makes another executor's discoveries its own; `numbering` says which number each of them has here. */
  adopt(discoveries: Discoveries, numbering: Numbering): void {
    discoveries.messages.forEach((message, i) => {
      numbering.messages[discoveries.firstMessage + i] = this.messages.intern(message);
    });
    for (let i = 0; i < discoveries.roots.length; i += 2)
      numbering.nodes[discoveries.roots[i + 1] as number] = this.nodes.root(discoveries.roots[i] as number);
    for (let i = 0; i < discoveries.edges.length; i += 3) {
      const node = numbering.nodes[discoveries.edges[i] as number] as number;
      numbering.nodes[discoveries.edges[i + 2] as number] = this.nodes.next(node, discoveries.edges[i + 1] as number);
    }
    for (let i = 0; i < discoveries.states.length; i += 4) {
      const [component, before, message, after] = discoveries.states.slice(i, i + 4) as [
        number,
        number,
        number,
        number,
      ];
      numbering.states[after] = this.components.adopt(
        component,
        numbering.states[before] as number,
        numbering.messages[message] as number,
      );
    }
  }
}
