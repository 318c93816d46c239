/**
 * What a finished search says about the long run: where the system can never come to rest again, and what is true when
 * it has come to rest for good.
 *
 * A *terminal component* is a set of states that reach one another and nothing else (a strongly connected component
 * without a way out). Every fair infinite run ends in one, and every finite run ends in one of a single state. If some
 * state of a terminal component is at rest, the system comes to rest there, and `finally` properties are checked on its
 * states at rest. If none is, and it has a transition, the system moves for ever without coming to rest: a livelock.
 */
import type { System, TabulatedExecutor } from '@shootdown/machine';
import { StateFlag, type StateGraph } from './graph.ts';
import type { Findings } from './properties.ts';
import { NO_LIVELOCK } from './result.ts';
import { RoutineGraph } from './routine-graph.ts';
import type { PendingFinally } from './shard.ts';

/** What {@link terminalComponents} finds. */
interface TerminalComponents {
  /** States of terminal components that never rest and have transitions, in order of their numbers. */
  readonly restless: readonly number[];
  /** Marks every state of a terminal component (1). */
  readonly terminal: Uint8Array;
}

/** Finds the terminal components of a complete graph (Tarjan's algorithm, without recursion). */
function terminalComponents(graph: StateGraph): TerminalComponents {
  const search = new Tarjan(graph);
  for (let state = 0; state < graph.states; state++) search.visit(state);
  search.restless.sort((a, b) => a - b);
  return { restless: search.restless, terminal: search.terminal };
}

const UNSEEN = -1;

class Tarjan {
  readonly restless: number[] = [];
  readonly terminal: Uint8Array;
  readonly #graph: StateGraph;
  readonly #number: Int32Array;
  readonly #low: Int32Array;
  /**
   * 1: on the component stack. 2: its component, or one it leads to, is not itself, so nothing above it is terminal.
   */
  readonly #onStack: Uint8Array;
  readonly #leaves: Uint8Array;
  /** States whose component is open, and those between the root and here with the next edge to follow. */
  readonly #stack: Int32Array;
  readonly #path: Int32Array;
  readonly #edge: Int32Array;
  #open = 0;
  #depth = 0;
  #next = 0;

  constructor(graph: StateGraph) {
    this.#graph = graph;
    this.#number = new Int32Array(graph.states).fill(UNSEEN);
    this.#low = new Int32Array(graph.states);
    this.#onStack = new Uint8Array(graph.states);
    this.#leaves = new Uint8Array(graph.states);
    this.terminal = new Uint8Array(graph.states);
    this.#stack = new Int32Array(graph.states);
    this.#path = new Int32Array(graph.states);
    this.#edge = new Int32Array(graph.states);
  }

  visit(root: number): void {
    if (this.#number[root] !== UNSEEN) return;
    this.#enter(root);
    while (this.#depth > 0) {
      const state = this.#path[this.#depth - 1] as number;
      const edge = this.#edge[this.#depth - 1] as number;
      if (edge === this.#graph.endOf(state)) this.#leave(state);
      else {
        this.#edge[this.#depth - 1] = edge + 1;
        this.#follow(state, this.#graph.target.get(edge));
      }
    }
  }

  #enter(state: number): void {
    this.#number[state] = this.#low[state] = this.#next++;
    this.#onStack[state] = 1;
    this.#stack[this.#open++] = state;
    this.#path[this.#depth] = state;
    this.#edge[this.#depth++] = this.#graph.firstOf(state);
  }

  #follow(state: number, target: number): void {
    if (this.#number[target] === UNSEEN) this.#enter(target);
    else if (this.#onStack[target] === 1)
      this.#low[state] = Math.min(this.#low[state] as number, this.#number[target] as number);
    else this.#leaves[state] = 1;
  }

  #leave(state: number): void {
    this.#depth--;
    const root = this.#low[state] === this.#number[state];
    if (root) this.#closeComponent(state);
    if (this.#depth === 0) return;
    const parent = this.#path[this.#depth - 1] as number;
    if (root) this.#leaves[parent] = 1;
    else {
      this.#low[parent] = Math.min(this.#low[parent] as number, this.#low[state] as number);
      this.#leaves[parent] = (this.#leaves[parent] as number) | (this.#leaves[state] as number);
    }
  }

  #closeComponent(root: number): void {
    const end = this.#open;
    do this.#onStack[this.#stack[--this.#open] as number] = 0;
    while (this.#stack[this.#open] !== root);
    if (this.#leaves[root] === 1) return;
    let moves = false;
    let rests = false;
    for (let i = this.#open; i < end; i++) {
      const state = this.#stack[i] as number;
      this.terminal[state] = 1;
      moves ||= this.#graph.endOf(state) > this.#graph.firstOf(state);
      rests ||= (this.#graph.flags.get(state) & StateFlag.rest) !== 0;
    }
    if (moves && !rests) for (let i = this.#open; i < end; i++) this.restless.push(this.#stack[i] as number);
  }
}

/** Adds livelocks and `finally` properties broken for good to the findings of a complete search. */
export function judgeLongRun(
  system: System,
  executor: TabulatedExecutor,
  graph: StateGraph,
  pending: readonly PendingFinally[],
  findings: Findings,
): void {
  // Every step advances a routine or shortens a store buffer: without loops in the routines there are none in the
  // graph.
  if (system.components.length === 0 && new RoutineGraph(executor.nodes).acyclic) return;
  const { restless, terminal } = terminalComponents(graph);
  for (const state of restless) findings.add('livelock', NO_LIVELOCK, graph.levelOf(state), { state, entry: -1 });
  for (const { property, length, state } of pending)
    if (terminal[state] === 1) findings.add('finally', property, length, { state, entry: -1 });
}
