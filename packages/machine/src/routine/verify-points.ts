/**
 * Checks the claim that a `point` makes: what a routine does from there depends on the label and the values alone.
 *
 * Executors believe the claim and treat all histories that reach one point as one local state. A claim that is false (a
 * value left out, two loops under one label) hides interleavings, so tests check it: for every point that was reached
 * along several histories, the routine is run again along each of them and what it does next is compared.
 */
import { checkOptions, keysOf } from '../state/errors.ts';
import { canonicalJson, mix32 } from '../state/hash.ts';
import type { NodeTable } from './nodes.ts';
import type { Operation } from './operation.ts';
import { Random } from '../state/random.ts';
import type { Program } from './routine.ts';
import { RoutineCursor } from './cursor.ts';
import { sameOperation } from './unsteady.ts';

/** Two histories that reach one point and go on differently. */
export interface PointMismatch {
  /** Name of the program. */
  readonly program: string;
  /** The point, `label(values)`. */
  readonly point: string;
  /** The results received before the point, along either history. */
  readonly histories: readonly [readonly number[], readonly number[]];
  /** The results received since the point; the two go on differently after the last of them. */
  readonly results: readonly number[];
  /** What the routine does there, after either history. */
  readonly next: readonly [string, string];
}

/** How far to look. */
export interface VerifyPointsOptions {
  /** Operations after the point to compare over all results. Default 8. */
  readonly depth?: number;
  /** Operations after the point to compare along a few paths, picked at random but always the same. Default 200. */
  readonly reach?: number;
  /**
   * Operations to run again at most, about: the pairs of histories are taken in an order that is mixed and always the
   * same, until so many have been run. Default: no limit, all pairs.
   */
  readonly operationsMax?: number;
  /**
   * Operands that are no plain data (frames, functions) are compared by identity. Default true; false: not at all, for
   * routines that make them anew every time.
   */
  readonly identity?: boolean;
}

const VERIFY_POINTS_KEYS = keysOf<VerifyPointsOptions>()('depth', 'reach', 'operationsMax', 'identity');

const DEPTH_DEFAULT = 8;
const REACH_DEFAULT = 200;
const WALKS = 8;

/**
 * Compares the histories that reached one point, over all results that were seen there: run or explore a system with a
 * {@link TabulatedExecutor} first and hand in its node table, which remembers them.
 * @returns one mismatch per pair of histories that disagree; empty when every claim held
 * @example expect(verifyPoints(system.programs, executor.nodes)).toEqual([])
 */
export function verifyPoints(
  programs: readonly Program[],
  nodes: NodeTable,
  options: VerifyPointsOptions = {},
): readonly PointMismatch[] {
  checkOptions('verifyPoints', options, VERIFY_POINTS_KEYS);
  const { depth = DEPTH_DEFAULT, reach = REACH_DEFAULT, operationsMax = Number.POSITIVE_INFINITY } = options;
  const mismatches: PointMismatch[] = [];
  const budget = { left: operationsMax, identity: options.identity ?? true };
  for (const { node, result, child } of mergesOf(nodes, operationsMax !== Number.POSITIVE_INFINITY)) {
    if (budget.left <= 0) break;
    const index = nodes.programOf(child);
    const body = programs[index];
    if (!body) throw new RangeError(`verifyPoints: no program ${index} (have ${programs.length})`);
    const pair = new Pair(body, index, [nodes.historyOf(child), [...nodes.historyOf(node), result]], nodes, budget);
    const mismatch = pair.compare(child, depth) ?? pair.walk(child, reach);
    if (mismatch) mismatches.push(mismatch);
  }
  return mismatches;
}

/** What is left to do, and how to compare. */
interface Budget {
  left: number;
  readonly identity: boolean;
}

/** An edge to a node that was first reached along another one. */
interface Merge {
  readonly node: number;
  readonly result: number;
  readonly child: number;
}

function mergesOf(nodes: NodeTable, mixed: boolean): readonly Merge[] {
  const merges: Merge[] = [];
  // A loop that leads back to a point adds edges to old nodes only, so the edges of a snapshot of the nodes are all
  // there is.
  for (let node = 1; node < nodes.count; node++) {
    for (const { result, child } of nodes.edgesOf(node)) {
      const origin = nodes.originOf(child);
      if (origin.parent === node && origin.result === result) continue;
      merges.push({ node, result, child });
    }
  }
  if (mixed) merges.sort((a, b) => mix32(a.child ^ mix32(a.node)) - mix32(b.child ^ mix32(b.node)));
  return merges;
}

/** A mismatch in one line. */
export function describeMismatch({ program, point, histories, results, next }: PointMismatch): string {
  const after = results.length === 0 ? '' : ` and [${results.join(', ')}]`;
  return (
    `routine: ${program}: point ${point || '(the end of a call)'}: two histories reach it and go on differently: after [${histories[0].join(', ')}]${after} ` +
    `comes ${next[0]}, after [${histories[1].join(', ')}]${after} comes ${next[1]}: a point must name all that the future depends on` +
    (point === ''
      ? ''
      : ' (one in a helper that is called more than once: make the helper a routine(), or loop with retry())')
  );
}

/** Two histories that reach one node. */
class Pair {
  readonly #body: Program;
  readonly #identity: number;
  readonly #histories: readonly [readonly number[], readonly number[]];
  readonly #nodes: NodeTable;
  readonly #budget: Budget;

  constructor(
    body: Program,
    identity: number,
    histories: readonly [readonly number[], readonly number[]],
    nodes: NodeTable,
    budget: Budget,
  ) {
    this.#budget = budget;
    this.#body = body;
    this.#identity = identity;
    this.#histories = histories;
    this.#nodes = nodes;
  }

  /** @param cursors where the two stand after `results`; used up */
  compare(
    node: number,
    depth: number,
    results: readonly number[] = [],
    cursors = this.#bothAfter(results),
  ): PointMismatch | null {
    const mismatch = this.#mismatch(...cursors, results);
    if (mismatch || depth === 0 || this.#budget.left <= 0) return mismatch;
    const edges = this.#nodes.edgesOf(node);
    for (const [i, { result, child }] of edges.entries()) {
      // A routine that has gone on cannot go back, so every edge but the last needs cursors of its own.
      const next = i === edges.length - 1 ? cursors : this.#bothAfter(results);
      for (const cursor of next) cursor.advance(result);
      const mismatch = this.compare(child, depth - 1, [...results, result], next);
      if (mismatch) return mismatch;
    }
    return null;
  }

  /** Looks further than {@link compare} can, along single paths: what a point left out may matter much later. */
  walk(node: number, reach: number): PointMismatch | null {
    for (let seed = 1; seed <= WALKS && this.#budget.left > 0; seed++) {
      const random = new Random(seed);
      const [first, second] = this.#bothAfter([]);
      const results: number[] = [];
      for (let at = node; results.length < reach;) {
        const edges = this.#nodes.edgesOf(at);
        const edge = edges[random.below(edges.length)];
        if (!edge) break;
        results.push(edge.result);
        this.#budget.left -= 2;
        first.advance(edge.result);
        second.advance(edge.result);
        const mismatch = this.#mismatch(first, second, results);
        if (mismatch) return mismatch;
        at = edge.child;
      }
    }
    return null;
  }

  #mismatch(first: RoutineCursor, second: RoutineCursor, results: readonly number[]): PointMismatch | null {
    const saidTheSame = results.length === 0 || canonicalJson(first.said) === canonicalJson(second.said);
    const sameContent = first.hash.lo === second.hash.lo && first.hash.hi === second.hash.hi;
    if (saidTheSame && sameContent && samePending(first.pending, second.pending, this.#budget.identity)) return null;
    return {
      program: this.#body.name,
      point: this.#after(0, []).where,
      histories: this.#histories,
      results,
      next: sameContent
        ? [describe(first), describe(second)]
        : [`${describe(first)} at ${first.where}`, `${describe(second)} at ${second.where}`],
    };
  }

  #bothAfter(results: readonly number[]): [RoutineCursor, RoutineCursor] {
    return [this.#after(0, results), this.#after(1, results)];
  }

  #after(which: 0 | 1, results: readonly number[]): RoutineCursor {
    const cursor = new RoutineCursor(this.#body, this.#identity);
    for (const result of [...this.#histories[which], ...results]) cursor.advance(result);
    this.#budget.left -= 1 + cursor.steps;
    return cursor;
  }
}

/** Labels and facts are text for traces and no behaviour. */
function samePending(a: Operation | null, b: Operation | null, identity: boolean): boolean {
  if (a === null || b === null) return a === b;
  if (!identity) return sameOperation(a, b);
  return a.definition === b.definition && a.a === b.a && a.b === b.b && a.c === b.c && sameData(a.data, b.data);
}

/** Plain data by content, anything else (frames, a TLB) by identity. */
function sameData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (!isPlain(a) || !isPlain(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && sameData(a[key], b[key]));
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}

function describe(cursor: RoutineCursor): string {
  const op = cursor.pending;
  const said = cursor.said
    .map((mark) =>
      mark.mark === 'fail'
        ? `fail ${mark.property}; `
        : mark.mark === 'count'
          ? `count ${mark.counter} ${mark.amount}; `
          : mark.mark === 'tell'
            ? `tells ${mark.message.type}; `
            : '',
    )
    .join('');
  return op === null ? `${said}returns` : `${said}${op.definition.name}(${[op.a, op.b, op.c].join(', ')})`;
}
