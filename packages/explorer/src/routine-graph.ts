/**
 * The local states of all routines as one small graph: what a processor may still do from where it stands.
 *
 * The graph holds what has been discovered so far. It grows while a search runs; whoever relies on it must look again
 * afterwards (`NodeTable.edgeCount`).
 */
import type { NodeTable } from '@shootdown/machine';

/** A snapshot of the routine nodes and their edges. Node 0 is "no routine". */
export class RoutineGraph {
  readonly nodes: number;
  readonly edges: number;
  readonly children: readonly (readonly number[])[];
  /**
   * 1 if every known edge of the node leads forward in a fixed order. An edge that does not lead forward is on every
   * cycle, so a cycle cannot consist of such nodes only.
   */
  readonly forward: Uint8Array;
  /** Every known edge leads forward: no routine ever comes back to a local state. */
  readonly acyclic: boolean;
  /** Children before parents, except along edges that do not lead forward. */
  readonly postorder: Int32Array;

  constructor(table: NodeTable) {
    this.nodes = table.count;
    this.edges = table.edgeCount;
    // By result, not by order of discovery: the order below must not depend on which state was expanded first.
    this.children = Array.from({ length: table.count }, (_, node) =>
      table
        .edgesOf(node)
        .sort((a, b) => a.result - b.result)
        .map((edge) => edge.child),
    );
    this.postorder = this.#postorder(table);
    const rank = new Int32Array(this.nodes);
    this.postorder.forEach((node, i) => {
      rank[node] = i;
    });
    this.forward = Uint8Array.from(this.children, (children, node) =>
      children.every((child) => (rank[child] as number) < (rank[node] as number)) ? 1 : 0,
    );
    this.acyclic = this.forward.every((forward) => forward === 1);
  }

  /** Depth-first from the roots, in order of programs. */
  #postorder(table: NodeTable): Int32Array {
    const order = new Int32Array(this.nodes);
    const seen = new Uint8Array(this.nodes);
    let length = 0;
    const roots = Array.from({ length: this.nodes }, (_, node) => node).filter(
      (node) => node === 0 || table.originOf(node).parent === 0,
    );
    roots.sort((a, b) => table.programOf(a) - table.programOf(b));
    for (const root of roots) {
      if (seen[root] === 1) continue;
      seen[root] = 1;
      const path = [{ node: root, next: 0 }];
      for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
        const child = this.children[top.node]?.[top.next++];
        if (child === undefined) {
          order[length++] = top.node;
          path.pop();
        } else if (seen[child] === 0) {
          seen[child] = 1;
          path.push({ node: child, next: 0 });
        }
      }
    }
    return order;
  }
}
