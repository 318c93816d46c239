/** Exact number of interleavings: maximal paths of an acyclic state graph, by dynamic programming over big integers. */
import type { StateGraph } from './graph.ts';

/** How many schedules run until nothing is enabled, and how many of them violate a property on the way. */
export interface Interleavings {
  readonly all: bigint;
  readonly violating: bigint;
}

/** Counts the maximal paths from state 0 of a complete graph; null if the graph has a cycle. */
export function countInterleavings(graph: StateGraph): Interleavings | null {
  const order = topologicalOrder(graph);
  if (order === null) return null;
  const paths = Array.from({ length: graph.states }, () => 0n);
  const clean = Array.from({ length: graph.states }, () => 0n);
  for (let i = order.length - 1; i >= 0; i--) {
    const state = order[i] as number;
    const first = graph.firstOf(state);
    const end = graph.endOf(state);
    let all = first === end ? 1n : 0n;
    let without = all;
    for (let edge = first; edge < end; edge++) {
      const target = graph.target.get(edge);
      all += paths[target] as bigint;
      if (!graph.violates(edge)) without += clean[target] as bigint;
    }
    paths[state] = all;
    clean[state] = without;
  }
  const all = paths[0] as bigint;
  return { all, violating: all - (clean[0] as bigint) };
}

/** States so that every edge leads forward (Kahn's algorithm); null if there is a cycle. */
function topologicalOrder(graph: StateGraph): Int32Array | null {
  const incoming = new Int32Array(graph.states);
  for (let edge = 0; edge < graph.edges; edge++) {
    const target = graph.target.get(edge);
    incoming[target] = (incoming[target] as number) + 1;
  }
  const order = new Int32Array(graph.states);
  let length = 0;
  for (let state = 0; state < graph.states; state++) if (incoming[state] === 0) order[length++] = state;
  for (let i = 0; i < length; i++) {
    const state = order[i] as number;
    for (let edge = graph.firstOf(state); edge < graph.endOf(state); edge++) {
      const target = graph.target.get(edge);
      incoming[target] = (incoming[target] as number) - 1;
      if (incoming[target] === 0) order[length++] = target;
    }
  }
  return length === graph.states ? order : null;
}
