/**
 * Routines run again, along ways that they have gone before: what they do must follow from the results they get.
 *
 * A variable that routines share is no word of the machine, and nobody takes it back when a search does: what a
 * routine has read in it, when its nodes were discovered, is part of the nodes for ever. It shows when the same way is
 * gone again at another time: while another routine stands half-way, after it has returned, or before it has begun.
 */
import { RoutineCursor } from './cursor.ts';
import type { NodeTable, Said } from './nodes.ts';
import type { Program } from './routine.ts';
import { isSteady, otherWords, refuseUnsteady, saysTheSame } from './unsteady.ts';

/** A way that a routine has gone, from its first node on. */
export interface Way {
  /** Index of the program. */
  readonly program: number;
  /** The edges, in order: see {@link NodeTable.edge}. */
  readonly edges: readonly number[];
  /** How many steps it has taken wherever it came to something that is on no way before this one; its length, too. */
  readonly stops: readonly number[];
  /** It ends at a node that was first reached along another one: a `point` says that it is the same. */
  readonly merges: boolean;
}

/** Edges that are looked at for ways, if not all are. */
const EDGES_MAX = 4_000;
/** So few that none need be taken for another one, and that all are run again many times: a coin has to fall twice. */
const EDGES_FEW = 200;
const ROUNDS_OF_FEW = 32;

/**
 * Ways that have everything on them that was seen: every operation with every result and what came next. Of a small
 * table every edge.
 * @param every have every node on them; left out: of large tables a part is looked at
 */
export function waysOf(nodes: NodeTable, every = false): readonly Way[] {
  const finder = new WayFinder(nodes);
  const stride = every ? 1 : Math.ceil(nodes.edgeCount / EDGES_MAX);
  // What was discovered last is at the end of the longest ways.
  for (let edge = nodes.edgeCount - 1; edge >= 0; edge -= stride) finder.look(edge, every);
  return finder.ways;
}

class WayFinder {
  readonly ways: Way[] = [];
  readonly #nodes: NodeTable;
  readonly #numbers = new Map<string, number>();
  readonly #stacks = new Map<readonly string[], number>();
  /** By node: what it does there. */
  readonly #places: number[] = [];
  readonly #passed = new Set<string>();
  readonly #visited = new Set<number>();
  /** No two places are taken for the same code. */
  readonly #apart: boolean;

  constructor(nodes: NodeTable) {
    this.#nodes = nodes;
    this.#apart = nodes.edgeCount <= EDGES_FEW;
  }

  look(edge: number, every: boolean): void {
    const { child } = this.#nodes.edge(edge);
    if (this.#passed.has(this.#section(edge)) && (!every || this.#visited.has(child))) return;
    const edges = [edge];
    for (let at = this.#nodes.edgeTo(this.#nodes.edge(edge).from); at >= 0;) {
      edges.push(at);
      at = this.#nodes.edgeTo(this.#nodes.edge(at).from);
    }
    edges.reverse();
    const program = this.#nodes.programOf(child);
    // Before its first operation a routine may do something, too.
    const stops: number[] = this.ways.some((way) => way.program === program) ? [] : [0];
    for (const [i, passed] of edges.entries()) {
      const section = this.#section(passed);
      if (!this.#passed.has(section)) stops.push(i + 1);
      this.#passed.add(section);
      if (every) this.#visited.add(this.#nodes.edge(passed).child);
    }
    if (stops.at(-1) !== edges.length) stops.push(edges.length);
    this.ways.push({ program, edges, stops, merges: this.#nodes.edgeTo(child) !== edge });
  }

  /** What is run from one operation to the next one: the same code, as far as can be seen. */
  #section(edge: number): string {
    const { from, result, child } = this.#nodes.edge(edge);
    return `${this.#place(from)} ${result} ${this.#place(child)}`;
  }

  #place(node: number): number {
    if (this.#apart) return node;
    const known = this.#places[node];
    if (known !== undefined) return known;
    const stack = this.#nodes.stacks[node] as readonly string[];
    const calls = numbered(this.#stacks, stack);
    const op = this.#nodes.operations[node];
    const what = op ? `${op.definition.name} ${op.a} ${op.b} ${op.c}` : '';
    return (this.#places[node] = numbered(this.#numbers, `${this.#nodes.programOf(node)} ${calls} ${what}`));
  }
}

function numbered<K>(numbers: Map<K, number>, key: K): number {
  const known = numbers.get(key);
  if (known !== undefined) return known;
  numbers.set(key, numbers.size);
  return numbers.size - 1;
}

/**
 * Goes ways again: each from stop to stop, and while it stands there another one to its end. Throws ModelError on a
 * routine that does something else than the first time.
 * @param operationsMax to perform, about: which stops are left out is always the same
 */
export function verifyTogether(
  programs: readonly Program[],
  nodes: NodeTable,
  ways: readonly Way[],
  operationsMax: number,
): void {
  const own = programs.map((_, index) => ways.filter(({ program }) => program === index));
  const pairs = own.flatMap((those) => ways.map((way) => ({ way, those }))).filter(({ those }) => those.length > 0);
  // Its own program comes last, with what is left: that may put back what it has changed.
  const sorts = [pairs.filter(isOfTwo), pairs.filter((pair) => !isOfTwo(pair))];
  const rounds = Math.max(nodes.edgeCount <= EDGES_FEW ? ROUNDS_OF_FEW : 0, ...own.map(({ length }) => length));
  let left = operationsMax;
  for (let round = 0; round < rounds; round++) {
    for (const sort of sorts) {
      if (left <= 0) return;
      const skip = Math.ceil(sort.reduce((sum, pair) => sum + costOf(pair), 0) / left);
      for (const [i, pair] of sort.entries()) left -= goTogether(programs, nodes, pair, round, skip, i);
    }
  }
}

/** Goes a way from stop to stop, of which some are skipped. Returns the operations performed. */
function goTogether(
  programs: readonly Program[],
  nodes: NodeTable,
  { way, those }: WayAndOthers,
  round: number,
  skip: number,
  first: number,
): number {
  let operations = way.edges.length;
  const replay = new Replay(programs, nodes, way, null);
  for (let at = first % skip; at < way.stops.length; at += skip) {
    replay.goTo(way.stops[at] as number);
    const other = those[(at + round) % those.length] as Way;
    new Replay(programs, nodes, other, replay).goTo(other.edges.length);
    operations += 1 + other.edges.length;
  }
  replay.goTo(way.edges.length);
  return operations;
}

interface WayAndOthers {
  readonly way: Way;
  /** All of one program. */
  readonly those: readonly Way[];
}

function isOfTwo({ way, those }: WayAndOthers): boolean {
  return those[0]?.program !== way.program;
}

/** Operations to perform for it, about. */
function costOf({ way, those }: WayAndOthers): number {
  const mean = those.reduce((sum, { edges }) => sum + edges.length, 0) / those.length;
  return way.edges.length + way.stops.length * (1 + mean);
}

/** Goes every way again, while the one before it stands half-way; for the first, that is the last. */
export function verifyEvery(programs: readonly Program[], nodes: NodeTable, ways: readonly Way[]): void {
  for (const [i, way] of ways.entries()) {
    const before = ways.at(i - 1) as Way;
    const replay = new Replay(programs, nodes, before, null);
    replay.goTo(before.stops[i % before.stops.length] as number);
    new Replay(programs, nodes, way, replay).goTo(way.edges.length);
    replay.goTo(before.edges.length);
  }
}

/**
 * Goes the ways of one program again, when no other program of these has ever run. Throws ModelError as above.
 * @param programs of a system that was built anew
 */
export function verifyAlone(
  programs: readonly Program[],
  nodes: NodeTable,
  ways: readonly Way[],
  operationsMax: number,
): void {
  const stride = strideThrough(ways.length);
  let left = operationsMax;
  for (let i = 0, at = 0; i < ways.length && left > 0; i++, at = (at + stride) % ways.length) {
    const way = ways[at] as Way;
    new Replay(programs, nodes, way, null).goTo(way.edges.length);
    left -= way.edges.length + 1;
  }
}

/** Goes through all of so many in steps that are neither short nor regular. */
function strideThrough(count: number): number {
  let stride = Math.max(1, Math.floor(count * GOLDEN));
  while (divisor(stride, count) > 1) stride++;
  return stride;
}

const GOLDEN = 0.618;

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}

/** A routine on a way that it has gone before. */
class Replay {
  readonly #nodes: NodeTable;
  readonly #way: Way;
  /** Who stands half-way. */
  readonly #beside: Replay | null;
  readonly #cursor: RoutineCursor;

  constructor(programs: readonly Program[], nodes: NodeTable, way: Way, beside: Replay | null) {
    this.#nodes = nodes;
    this.#way = way;
    this.#beside = beside;
    this.#cursor = new RoutineCursor(programs[way.program] as Program, way.program);
    const root = nodes.root(way.program);
    this.#compare(root, nodes.saidAtRoot(way.program), false);
  }

  goTo(steps: number): void {
    while (this.#cursor.steps < steps) {
      const edge = this.#way.edges[this.#cursor.steps] as number;
      const { result, child, said } = this.#nodes.edge(edge);
      this.#cursor.advance(result);
      this.#compare(child, said, this.#nodes.edgeTo(child) !== edge);
    }
  }

  #compare(node: number, said: Said, merged: boolean): void {
    const found = this.#nodes.found(node);
    if (isSteady(found, this.#cursor) && saysTheSame(said, this.#cursor)) return;
    const besides = { merged, besides: this.#beside?.where ?? '' };
    refuseUnsteady(found, this.#cursor, besides);
    throw otherWords(found, said, this.#cursor, besides);
  }

  get where(): string {
    const { pending, program, steps } = this.#cursor;
    const name = this.#cursor.stack.at(-1) ?? program.name;
    return pending === null ? ` after ${program.name}` : ` while ${name} is at its step ${steps}`;
  }
}
