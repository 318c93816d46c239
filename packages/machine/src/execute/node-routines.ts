/** Routines as numbered nodes: what an exploration comes back to is looked up. */
import type { Mark, Operation } from '../routine/operation.ts';
import { NodeTable } from '../routine/nodes.ts';
import { Code } from '../routine/operations.ts';
import type { Kept, RoutineKeeper } from './keepers.ts';
import type { WordStore } from '../state/words.ts';

/** Where a routine stands is the node in its word. */
export class NodeRoutines implements RoutineKeeper {
  readonly nodes: NodeTable;
  said: readonly Mark[] = [];
  readonly #store: WordStore;
  readonly #words: Int32Array;

  constructor({ system, store }: Kept) {
    this.nodes = new NodeTable(system.programs, system.maxHistory, system.layout.words);
    this.#store = store;
    this.#words = store.words;
  }

  /** Nodes are kept: they are the same in every run. */
  begin(): void {}

  start(address: number, program: number): void {
    this.#store.writeInterned(address, this.nodes.root(program), this.nodes.hashes);
    this.said = this.nodes.saidAtRoot(program);
  }

  clear(address: number): void {
    this.#store.writeInterned(address, 0, this.nodes.hashes);
  }

  swap(a: number, b: number): void {
    const node = this.#store.read(a);
    this.#store.writeInterned(a, this.#store.read(b), this.nodes.hashes);
    this.#store.writeInterned(b, node, this.nodes.hashes);
  }

  advance(address: number, result: number): boolean {
    const { nodes } = this;
    const next = nodes.next(this.#words[address] as number, result);
    this.#store.writeInterned(address, next, nodes.hashes);
    this.said = nodes.said;
    return nodes.code[next] === Code.done;
  }

  operationAt(address: number): Operation | null {
    return this.nodes.operations[this.#words[address] as number] ?? null;
  }

  stackAt(address: number): readonly string[] {
    return this.nodes.stacks[this.#store.read(address)] ?? [];
  }

  stepsAt(address: number): number {
    return this.nodes.historyOf(this.#words[address] as number).length;
  }

  settle(): void {}
}
