import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ModelError } from '../state/errors.ts';
import { NodeTable } from './nodes.ts';
import type { Operation, Steps } from './operation.ts';
import { Code, load, nop, store } from './operations.ts';
import { assertThat, count, point, program, routine, type Program } from './routine.ts';
import { RoutineCursor } from './cursor.ts';
import { verifyPoints } from './verify-points.ts';
import type { Address } from '../state/words.ts';

const X = 0 as Address;
const Y = 1 as Address;

/** Sums what it loads from X until it sees 0, then stores the sum. */
const sum = program(
  routine('sum', function* () {
    let total = 0;
    for (;;) {
      yield* point('next', total);
      const value = yield* load(X);
      if (value === 0) break;
      total = (total + value) & 7;
    }
    yield* store(Y, total);
    yield* nop();
  }),
);

/** The same without a point, for a few rounds. */
const remembers = program(
  routine('remembers', function* () {
    let total = 0;
    for (let i = 0; i < 4; i++) total += yield* load(X);
    yield* store(Y, total);
  }),
);

function walk(nodes: NodeTable, history: readonly number[]): number {
  return history.reduce(
    (node, result) => (nodes.code[node] === Code.done ? node : nodes.next(node, result)),
    nodes.root(0),
  );
}

function after(body: Program, history: readonly number[]): RoutineCursor {
  const cursor = new RoutineCursor(body, 0);
  for (const result of history) if (cursor.pending) cursor.advance(result);
  return cursor;
}

const results = fc.array(fc.nat(3), { maxLength: 12 });

describe('NodeTable', () => {
  it('does not begin a routine again for the first result at a node, whichever node was discovered before', () => {
    let begun = 0;
    const nodes = new NodeTable([{ ...remembers, start: () => (begun++, remembers.start()) }]);
    const first = nodes.root(0);
    const [after0, after1] = [nodes.next(first, 0), nodes.next(first, 1)];
    expect(begun).toBe(2);
    for (const node of [after0, after1]) nodes.next(nodes.next(node, 2), 3);
    expect(begun).toBe(2);
  });

  it.each([
    ['with points', sum],
    ['with histories', remembers],
  ])('a node is what the generator does after the same results (%s)', (_, body) => {
    fc.assert(
      fc.property(fc.array(results, { maxLength: 6 }), (histories) => {
        const nodes = new NodeTable([body]);
        for (const history of histories) {
          const node = walk(nodes, history);
          const cursor = after(body, history);
          expect(nodes.operations[node]).toEqual(cursor.pending);
          expect({ lo: nodes.hashes.lo[node], hi: nodes.hashes.hi[node] }).toEqual(cursor.hash);
        }
      }),
    );
  });

  it('histories that reach one point are one node, and do the same from there', () => {
    const nodes = new NodeTable([sum]);
    expect(walk(nodes, [1, 2])).toBe(walk(nodes, [2, 1]));
    expect(walk(nodes, [1, 2])).not.toBe(walk(nodes, [1, 1]));
    expect(walk(nodes, [1, 2, 0])).toBe(walk(nodes, [3, 0]));
    expect(nodes.operations[walk(nodes, [1, 2, 0])]).toMatchObject({ a: Y, b: 3 });
  });

  it('without a point every history is its own node', () => {
    const nodes = new NodeTable([remembers]);
    expect(walk(nodes, [1, 2])).not.toBe(walk(nodes, [2, 1]));
    expect(nodes.historyOf(walk(nodes, [2, 1]))).toEqual([2, 1]);
  });

  it('all histories that return are one node', () => {
    const nodes = new NodeTable([sum]);
    const done = walk(nodes, [0, 0, 0]);
    expect(nodes.code[done]).toBe(Code.done);
    expect(walk(nodes, [3, 3, 0, 0, 0])).toBe(done);
  });

  it('no result makes a routine that goes on hash like one that has returned', () => {
    const once = program(
      routine('once', function* () {
        yield* load(X);
        yield* nop();
      }),
    );
    const returned = after(once, [5, 5]).hash;
    for (const result of [-1, 0, 1, 0x7fff_ffff]) expect(after(once, [result]).hash).not.toEqual(returned);
  });

  it('an edge is discovered once: the generator does not run again', () => {
    let starts = 0;
    const counted: Program = { name: 'counted', start: () => (starts++, remembers.start()) };
    const nodes = new NodeTable([counted]);
    walk(nodes, [1, 2, 3, 0]);
    const first = starts;
    for (let i = 0; i < 10; i++) walk(nodes, [1, 2, 3, 0]);
    expect(starts).toBe(first);
  });

  it('remembers the edges it was asked for', () => {
    const nodes = new NodeTable([sum]);
    walk(nodes, [1, 2, 0]);
    walk(nodes, [3]);
    expect(nodes.edgesOf(nodes.root(0)).map((e) => e.result)).toEqual([1, 3]);
    expect(nodes.originOf(walk(nodes, [1, 2]))).toEqual({ parent: walk(nodes, [1]), result: 2, program: 0 });
    expect(nodes.edgeCount).toBe(4);
  });

  it('grows past its first size', () => {
    const endless = program(
      routine('endless', function* () {
        for (;;) yield* load(X);
      }),
    );
    const nodes = new NodeTable([endless]);
    const node = walk(
      nodes,
      Array.from({ length: 5000 }, (_, i) => i),
    );
    expect(nodes.historyOf(node)).toHaveLength(5000);
    expect(nodes.code[node]).toBe(Code.load);
  });

  it('an edge says what was counted and failed on the way, every time it is taken', () => {
    const says = program(
      routine('says', function* () {
        yield* count('at root');
        const value = yield* load(X);
        yield* count('loaded', value);
        yield* assertThat(value !== 3, 'never three', `it was ${value}`);
        yield* nop();
      }),
    );
    const nodes = new NodeTable([says]);
    expect(nodes.saidAtRoot(0)).toEqual([{ mark: 'count', counter: 'at root', amount: 1 }]);
    for (let round = 0; round < 2; round++) {
      walk(nodes, [3]);
      expect(nodes.said).toEqual([
        { mark: 'count', counter: 'loaded', amount: 3 },
        { mark: 'fail', property: 'never three', detail: 'it was 3' },
      ]);
      walk(nodes, [3, 0]);
      expect(nodes.said).toEqual([]);
    }
  });

  it('knows the routines under way', () => {
    const inner = routine('inner', () => load(X));
    const outer = program(
      routine('outer', function* () {
        yield* inner();
        yield* nop();
      }),
    );
    const nodes = new NodeTable([outer]);
    expect(nodes.stacks[nodes.root(0)]).toEqual(['outer', 'inner']);
    expect(nodes.stacks[walk(nodes, [0])]).toEqual(['outer']);
  });

  it('there is no program of another number', () => {
    expect(() => new NodeTable([sum]).root(1)).toThrow('nodes: root: no program 1');
  });
});

describe('a routine that', () => {
  const bad = (body: () => Steps<unknown>): NodeTable => new NodeTable([program(routine('bad', body))], 10);
  const errorOf = (action: () => unknown): string => {
    try {
      action();
    } catch (error) {
      expect(error).toBeInstanceOf(ModelError);
      return (error as Error).message;
    }
    throw new Error('nothing was thrown');
  };

  it('throws: the message names the routine, the step and the operation before', () => {
    const nodes = bad(function* () {
      yield* load(X);
      yield* load(X);
      throw new TypeError('pmd is undefined');
    });
    const message = 'routine: bad: step 2 (after load): threw TypeError: pmd is undefined';
    expect(errorOf(() => walk(nodes, [0, 0]))).toBe(message);
    expect(errorOf(() => walk(nodes, [0, 0]))).toBe(message);
  });

  it('yields something that is no operation', () => {
    const notYieldStar = bad(function* () {
      yield* load(X);
      yield load(X) as unknown as Operation;
    });
    expect(errorOf(() => walk(notYieldStar, [0]))).toBe(
      'routine: bad: step 1 (after load): yielded something that is no operation (load): use yield* with the operations',
    );
    const nothing = bad(function* () {
      yield undefined as unknown as Operation;
    });
    expect(errorOf(() => nothing.root(0))).toBe(
      'routine: bad: step 0: yielded something that is no operation (undefined): use yield* with the operations',
    );
  });

  it('loops without a point', () => {
    const nodes = bad(function* () {
      for (;;) yield* load(X);
    });
    const message =
      'routine: bad: step 11: 10 operations without a point(): a loop needs `yield* point(label, ...values)` at its head';
    expect(
      errorOf(() =>
        walk(
          nodes,
          Array.from({ length: 11 }, () => 0),
        ),
      ),
    ).toBe(message);
    const count_ = nodes.count;
    expect(
      errorOf(() =>
        walk(
          nodes,
          Array.from({ length: 11 }, () => 0),
        ),
      ),
    ).toBe(message);
    expect(nodes.count).toBe(count_);
  });

  it('loops with a point may go on for ever', () => {
    const nodes = bad(function* () {
      for (;;) {
        yield* point('head');
        yield* load(X);
      }
    });
    expect(
      walk(
        nodes,
        Array.from({ length: 1000 }, () => 0),
      ),
    ).toBe(nodes.root(0));
  });

  it('says something for ever and does nothing', () => {
    const nodes = bad(function* () {
      yield* load(X);
      for (;;) yield* count('spin');
    });
    expect(errorOf(() => walk(nodes, [0]))).toBe(
      'routine: bad: step 1 (after load): 100000 marks without an operation: an endless loop',
    );
  });
});

describe('verifyPoints', () => {
  const explored = (body: Program, values: readonly number[], depth: number): NodeTable => {
    const nodes = new NodeTable([body]);
    const visit = (node: number, left: number): void => {
      if (left === 0 || nodes.code[node] === Code.done) return;
      for (const value of values) visit(nodes.next(node, value), left - 1);
    };
    visit(nodes.root(0), depth);
    return nodes;
  };

  it('finds nothing where the values say all there is to say', () => {
    expect(verifyPoints([sum], explored(sum, [0, 1, 2], 5))).toEqual([]);
  });

  it('finds a value that was left out', () => {
    const forgetful = program(
      routine('forgetful', function* () {
        const first = yield* load(X);
        const second = yield* load(X);
        yield* point('loaded', second);
        yield* load(Y);
        yield* store(Y, first);
      }),
    );
    const [mismatch, ...others] = verifyPoints([forgetful], explored(forgetful, [0, 1], 4));
    expect(mismatch).toEqual({
      program: 'forgetful',
      point: 'forgetful@loaded(0)',
      histories: [
        [0, 0],
        [1, 0],
      ],
      results: [0],
      next: ['store(1, 0, 0)', 'store(1, 1, 0)'],
    });
    expect(others).toHaveLength(1);
  });

  it('finds two places under one label', () => {
    const twice = program(
      routine('twice', function* () {
        yield* point('spin');
        yield* load(X);
        yield* load(Y);
        yield* point('spin');
        yield* load(X);
      }),
    );
    expect(verifyPoints([twice], explored(twice, [0], 6))).toMatchObject([
      { point: 'twice@spin()', results: [0], next: ['load(1, 0, 0) at twice@spin()+1', 'returns at (returned)'] },
    ]);
  });

  it('a point in a routine need not say who called it', () => {
    const flush = routine('flush', function* () {
      yield* point('flush');
      for (let i = 0; i < 40; i++) yield* nop();
    });
    const caller = program(
      routine('caller', function* () {
        yield* load(X);
        yield* flush();
        yield* load(Y);
        yield* flush();
        yield* store(Y, 1);
      }),
    );
    expect(verifyPoints([caller], explored(caller, [0], 100))).toEqual([]);
  });

  it('finds a difference in what is said, and looks no deeper than it is told', () => {
    const accuses = program(
      routine('accuses', function* () {
        const value = yield* load(X);
        yield* point('checked');
        yield* nop();
        yield* assertThat(value === 0, 'zero');
        yield* nop();
      }),
    );
    const nodes = explored(accuses, [0, 1], 3);
    expect(verifyPoints([accuses], nodes)).toMatchObject([
      { point: 'accuses@checked()', next: ['nop(0, 0, 0)', 'fail zero; nop(0, 0, 0)'] },
    ]);
    expect(verifyPoints([accuses], nodes, { depth: 0, reach: 0 })).toEqual([]);
  });
});
