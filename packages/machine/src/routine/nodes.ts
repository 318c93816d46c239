/**
 * Tabulated routines: the local states of all programs of a system as numbered nodes.
 *
 * A node is a pending operation; an edge is a result. Each is discovered once by running the generator and remembered,
 * so that from then on advancing a routine is a table look-up. Node 0 is "no routine".
 */
import { ModelError } from '../state/errors.ts';
import type { Mark, Operation } from './operation.ts';
import { Code } from './operations.ts';
import { sitesOf, type Site } from './sites.ts';
import type { Program } from './routine.ts';
import { RoutineCursor } from './cursor.ts';
import { refuseUnsteady, type Found } from './unsteady.ts';
import { ContentHashes, grown } from '../state/words.ts';

/** What an edge says on the way: property failures and counts, or nothing. */
export type Said = readonly Mark[];

const SILENT: Said = [];
const NO_EDGE = -1;
/** Generators kept: some kilobytes each. */
const WAITING_MAX = 1_000;

/** The nodes of all programs of one system. */
export class NodeTable {
  /** `Code` of the pending operation of each node. */
  code = new Int32Array(1024);
  /** First two operands of the pending operation, for inlined loads and stores. */
  a = new Int32Array(1024);
  b = new Int32Array(1024);
  readonly hashes = new ContentHashes();
  readonly operations: (Operation | null)[] = [null];
  readonly stacks: (readonly string[])[] = [[]];
  /** Number of nodes, node 0 included. */
  count = 1;

  readonly #programs: readonly Program[];
  readonly #roots: number[] = [];
  readonly #rootSaid: Said[] = [];
  readonly #programOf: number[] = [-1];
  readonly #parent: number[] = [0];
  readonly #parentResult: number[] = [0];
  readonly #byContent = new Map<string, number>();
  /** Per node: its first edge. Per edge: result, child, next edge. */
  #firstEdge = new Int32Array(1024).fill(NO_EDGE);
  #edgeResult = new Int32Array(2048);
  #edgeChild = new Int32Array(2048);
  #edgeNext = new Int32Array(2048);
  #edgeFrom = new Int32Array(2048);
  readonly #edgeSaid: Said[] = [];
  readonly #edgeStaying: number[] = [];
  /** Per node. */
  readonly #edgeTo: number[] = [];
  /** The places that routines have reached, one of each. */
  readonly sites = new Map<string, Site & { readonly routine: string }>();
  readonly #passed: Site[] = [];
  /** What the edge taken last says. */
  said: Said = SILENT;
  /**
   * Generators that wait where they arrived, by node, the newest last: the first result at such a node needs no replay.
   */
  readonly #waiting = new Map<number, RoutineCursor>();
  readonly #historyMax: number;

  /** How many words the machine has. */
  readonly #words: number;

  /** @param historyMax operations a program may perform without a `point` before it counts as an endless loop */
  constructor(programs: readonly Program[], historyMax = Number.POSITIVE_INFINITY, words = Number.POSITIVE_INFINITY) {
    this.#programs = programs;
    this.#historyMax = historyMax;
    this.#words = words;
  }

  /** The first node of a program. */
  root(programIndex: number): number {
    return this.#roots[programIndex] ?? this.#firstNode(programIndex);
  }

  #firstNode(programIndex: number): number {
    const body = this.#programs[programIndex];
    if (!body) throw new RangeError(`nodes: root: no program ${programIndex}`);
    const cursor = sitesOf(this.#passed, () => new RoutineCursor(body, programIndex, this.#words));
    this.#noteSites(cursor);
    const node = this.#add(programIndex, cursor, 0, 0);
    this.#roots[programIndex] = node;
    this.#waitAt(node, cursor);
    this.#rootSaid[programIndex] = cursor.said;
    return node;
  }

  /** What a program says before its first operation. */
  saidAtRoot(programIndex: number): Said {
    this.root(programIndex);
    return this.#rootSaid[programIndex] ?? SILENT;
  }

  /** The node after `result`; sets {@link said}. */
  next(node: number, result: number): number {
    for (let edge = this.#firstEdge[node] as number; edge !== NO_EDGE; edge = this.#edgeNext[edge] as number) {
      if (this.#edgeResult[edge] === result) {
        this.said = this.#edgeSaid[edge] as Said;
        return this.#edgeChild[edge] as number;
      }
    }
    return this.#discover(node, result);
  }

  /** The results received since the program began, along the path on which the node was first reached. */
  historyOf(node: number): number[] {
    const history: number[] = [];
    for (let n = node; this.#parent[n] !== 0; n = this.#parent[n] as number)
      history.push(this.#parentResult[n] as number);
    return history.reverse();
  }

  programOf(node: number): number {
    return this.#programOf[node] as number;
  }

  /** What was found there when it was discovered. */
  found(node: number): Found {
    return {
      operation: this.operations[node] ?? null,
      lo: this.hashes.lo[node],
      hi: this.hashes.hi[node],
      routine: this.stacks[node]?.at(-1),
    };
  }

  /** Parent node (0 for the first node of a program), the result that led here, and the program. */
  originOf(node: number): { readonly parent: number; readonly result: number; readonly program: number } {
    return {
      parent: this.#parent[node] as number,
      result: this.#parentResult[node] as number,
      program: this.#programOf[node] as number,
    };
  }

  /** Node, result and next node of every edge from the `first`-th on, in order of discovery. */
  edgesSince(first: number): Int32Array<ArrayBuffer> {
    const edges = new Int32Array((this.edgeCount - first) * 3);
    for (let edge = first, at = 0; edge < this.edgeCount; edge++) {
      edges[at++] = this.#edgeFrom[edge] as number;
      edges[at++] = this.#edgeResult[edge] as number;
      edges[at++] = this.#edgeChild[edge] as number;
    }
    return edges;
  }

  /** Edges discovered so far: grows whenever a routine receives a result it had not received there before. */
  get edgeCount(): number {
    return this.#edgeSaid.length;
  }

  /** One edge: where it begins, the result, where it leads, and what the routine says on the way. */
  edge(edge: number): { readonly from: number; readonly result: number; readonly child: number; readonly said: Said } {
    return {
      from: this.#edgeFrom[edge] as number,
      result: this.#edgeResult[edge] as number,
      child: this.#edgeChild[edge] as number,
      said: this.#edgeSaid[edge] as Said,
    };
  }

  /** The edge along which a node was first reached; -1: it is the first node of its program. */
  edgeTo(node: number): number {
    return this.#edgeTo[node] ?? NO_EDGE;
  }

  /**
   * The results received at a node so far, each with the node it leads to, and how many calls of its stack were on the
   * stack before, too: see {@link RoutineCursor.staying}.
   */
  edgesOf(node: number): { readonly result: number; readonly child: number; readonly staying: number }[] {
    const edges: { result: number; child: number; staying: number }[] = [];
    for (let edge = this.#firstEdge[node] as number; edge !== NO_EDGE; edge = this.#edgeNext[edge] as number) {
      edges.push({
        result: this.#edgeResult[edge] as number,
        child: this.#edgeChild[edge] as number,
        staying: this.#edgeStaying[edge] as number,
      });
    }
    return edges.reverse();
  }

  #discover(node: number, result: number): number {
    const programIndex = this.#programOf[node] as number;
    const cursor = this.#cursorAt(node, programIndex);
    sitesOf(this.#passed, () => cursor.advance(result));
    this.#noteSites(cursor);
    let child = this.#byContent.get(contentKey(cursor));
    if (child === undefined) {
      child = this.#add(programIndex, cursor, node, result);
      this.#edgeTo[child] = this.edgeCount;
      this.#waitAt(child, cursor);
    }
    this.#addEdge(node, result, child, cursor);
    return child;
  }

  #waitAt(node: number, cursor: RoutineCursor): void {
    if (cursor.pending === null) return;
    this.#waiting.set(node, cursor);
    if (this.#waiting.size <= WAITING_MAX) return;
    for (const oldest of this.#waiting.keys()) {
      this.#waiting.delete(oldest);
      return;
    }
  }

  #noteSites(cursor: RoutineCursor): void {
    if (this.#passed.length === 0) return;
    const routine = cursor.stack.at(-1) ?? cursor.program.name;
    for (const site of this.#passed)
      this.sites.set(`${routine} ${site.kind} ${site.name} ${site.place}`, { routine, ...site });
    this.#passed.length = 0;
  }

  #cursorAt(node: number, programIndex: number): RoutineCursor {
    const waiting = this.#waiting.get(node);
    if (waiting !== undefined) {
      // It goes on from there, or throws: either way it is of no more use here.
      this.#waiting.delete(node);
      return waiting;
    }
    const cursor = new RoutineCursor(this.#programs[programIndex] as Program, programIndex, this.#words);
    for (const place of this.#pathTo(node)) {
      if (this.#parent[place] !== 0) cursor.advance(this.#parentResult[place] as number);
      refuseUnsteady(this.found(place), cursor);
    }
    return cursor;
  }

  /** The nodes from the first one of its program to `node`, along the path on which it was first reached. */
  #pathTo(node: number): number[] {
    const path: number[] = [];
    for (let n = node; n !== 0; n = this.#parent[n] as number) path.push(n);
    return path.reverse();
  }

  #add(programIndex: number, cursor: RoutineCursor, parent: number, result: number): number {
    if (cursor.length > this.#historyMax) {
      // A condition that is steps is never false.
      cursor.refuseUnbegun();
      throw new ModelError(
        `routine: ${cursor.stack.at(-1) ?? cursor.program.name}: step ${cursor.steps}: ${this.#historyMax} operations without a point(): ` +
          `a loop needs \`yield* point(label, ...values)\` at its head`,
      );
    }
    const node = this.count++;
    if (node >= this.code.length) {
      this.code = grown(this.code, node + 1);
      this.a = grown(this.a, node + 1);
      this.b = grown(this.b, node + 1);
      const old = this.#firstEdge;
      this.#firstEdge = new Int32Array(this.code.length).fill(NO_EDGE);
      this.#firstEdge.set(old);
    }
    const op = cursor.pending;
    this.code[node] = op === null ? Code.done : (op.definition.code ?? Code.custom);
    this.a[node] = op?.a ?? 0;
    this.b[node] = op?.b ?? 0;
    this.hashes.set(node, cursor.hash);
    this.operations.push(op);
    this.stacks.push(cursor.stack);
    this.#programOf.push(programIndex);
    this.#parent.push(parent);
    this.#parentResult.push(result);
    this.#byContent.set(contentKey(cursor), node);
    return node;
  }

  #addEdge(node: number, result: number, child: number, cursor: RoutineCursor): void {
    const said = cursor.said.length === 0 ? SILENT : cursor.said;
    const edge = this.#edgeSaid.push(said) - 1;
    this.#edgeStaying.push(cursor.staying);
    if (edge >= this.#edgeResult.length) {
      this.#edgeResult = grown(this.#edgeResult, edge + 1);
      this.#edgeChild = grown(this.#edgeChild, edge + 1);
      this.#edgeNext = grown(this.#edgeNext, edge + 1);
      this.#edgeFrom = grown(this.#edgeFrom, edge + 1);
    }
    this.#edgeFrom[edge] = node;
    this.#edgeResult[edge] = result;
    this.#edgeChild[edge] = child;
    this.#edgeNext[edge] = this.#firstEdge[node] as number;
    this.#firstEdge[node] = edge;
    this.said = said;
  }
}

/** A local state is known by its content hash, which tells programs apart. */
function contentKey({ hash }: RoutineCursor): string {
  return `${hash.lo},${hash.hi}`;
}
