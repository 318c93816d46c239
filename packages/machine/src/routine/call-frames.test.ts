/**
 * What frames of history forget and what they must not; every unsound way to write a routine that is known, and what
 * notices it.
 */
import { describe, expect, it } from 'vitest';
import { ModelError } from '../state/errors.ts';
import { NodeTable } from './nodes.ts';
import { load, nop, store } from './operations.ts';
import type { Steps } from './operation.ts';
import { each, inlined, Local, local, point, program, retry, routine, type Program } from './routine.ts';
import { RoutineCursor } from './cursor.ts';
import { verifyPoints } from './verify-points.ts';
import type { Address } from '../state/words.ts';

const X = 0 as Address;
type Body = () => Steps<unknown>;

function explored(body: Program, values: readonly number[] = [0, 1], depth = 8): NodeTable {
  const nodes = new NodeTable([body]);
  const visit = (node: number, left: number): void => {
    if (left === 0 || nodes.operations[node] === null) return;
    for (const value of values) visit(nodes.next(node, value), left - 1);
  };
  visit(nodes.root(0), depth);
  return nodes;
}
const mismatches = (body: Body, values?: readonly number[]) => {
  const p = program(routine('caller', body));
  return verifyPoints([p], explored(p, values)).length;
};

describe('what a call leaves behind', () => {
  it('is its value, not how it came to it', () => {
    const waits = inlined(function* (): Steps {
      if ((yield* load(X)) === 1) yield* nop();
    });
    const p = program(
      routine('caller', function* () {
        yield* waits();
        yield* store(X, 7);
      }),
    );
    const nodes = explored(p);
    // root, wait, store, done
    expect(nodes.count - 1).toBe(4);
    expect(verifyPoints([p], nodes)).toEqual([]);
  });

  it('counts: two calls in a row are two places', () => {
    const f = routine('f', function* (): Steps {
      yield* point('p');
      yield* load(X);
    });
    expect(
      mismatches(function* () {
        yield* f();
        yield* nop();
        yield* f();
        yield* store(X, 1);
      }),
    ).toBe(0);
  });

  it('recursion: each depth has a frame', () => {
    const f: (depth: number) => Steps<number> = routine('f', function* (depth: number): Steps<number> {
      yield* point('entry');
      const v = yield* load(X);
      return depth === 0 ? v : v + (yield* f(depth - 1));
    });
    expect(
      mismatches(function* () {
        yield* store(X, yield* f(3));
      }),
    ).toBe(0);
  });

  it('plain data by content, and early returns', () => {
    const f = routine('f', function* () {
      const a = yield* load(X);
      if (a === 0) return null;
      const b = yield* load(X);
      return { a, b };
    });
    expect(
      mismatches(function* () {
        const r = yield* f();
        yield* store(X, r === null ? 5 : r.a * 2 + r.b);
      }),
    ).toBe(0);
  });

  it('everything, if what it returns is no data', () => {
    const f = routine('f', function* () {
      const a = yield* load(X);
      yield* load(X);
      return () => a;
    });
    expect(
      mismatches(function* () {
        const r = yield* f();
        yield* store(X, r());
      }),
    ).toBe(0);
  });
});

describe('loops without points', () => {
  it('retry and each: an endless loop has as many nodes as its body, and callers keep what they know', () => {
    const body = routine('caller', function* () {
      const v = yield* load(X);
      const r = yield* retry(function* () {
        const a = yield* load(X);
        const b = yield* load(X);
        return a === b ? { a } : undefined;
      });
      yield* each(2, function* (i) {
        yield* load(X);
        yield* store(X, i);
        return undefined;
      });
      yield* store(X, v + r.a);
    });
    const p = program(body);
    const nodes = explored(p, [0, 1], 14);
    expect(verifyPoints([p], nodes)).toEqual([]);
    // root; per v: first load, second after 0 or 1; per v and a: 4 in each, store; done
    expect(nodes.count - 1).toBe(1 + 2 * 3 + 4 * (2 * 3 + 1) + 1);
  });

  it('a loop variable that the body changes: verifyPoints', () => {
    expect(
      mismatches(function* () {
        let flush = 0;
        yield* each(2, function* () {
          if ((yield* load(X)) === 1) flush = 1;
          return undefined;
        });
        yield* store(X, flush);
      }),
    ).toBeGreaterThan(0);
  });
});

describe('unsound', () => {
  it('a callee that changes a variable of its caller: verifyPoints', () => {
    expect(
      mismatches(function* () {
        let seen = 0;
        const f = routine('f', function* (): Steps {
          seen = yield* load(X);
        });
        yield* f();
        yield* store(X, seen);
      }),
    ).toBeGreaterThan(0);
  });

  it('a callee that changes an object: verifyPoints; as a Local it is sound', () => {
    class Box extends Local {
      v = 0;
      override get words() {
        return [this.v];
      }
    }
    const f = routine('f', function* (box: { v: number }): Steps {
      box.v = yield* load(X);
    });
    expect(
      mismatches(function* () {
        const box = { v: 0 };
        yield* f(box);
        yield* store(X, box.v);
      }),
    ).toBeGreaterThan(0);
    expect(
      mismatches(function* () {
        const box = yield* local(new Box());
        yield* f(box);
        yield* store(X, box.v);
      }),
    ).toBe(0);
    // What a callee has taken out of it, too.
    const take = routine('take', function* (box: Box): Steps {
      const v = box.v;
      box.v = 0;
      yield* nop();
      yield* store(X, v);
    });
    expect(
      mismatches(function* () {
        const box = yield* local(new Box());
        yield* f(box);
        yield* take(box);
      }),
    ).toBe(0);
  });

  it("a Local that is returned is the caller's", () => {
    class Box extends Local {
      v = 0;
      override get words() {
        return [this.v];
      }
    }
    const make = routine('make', function* () {
      yield* load(X);
      return yield* local(new Box());
    });
    const f = routine('f', function* (box: Box): Steps {
      box.v = yield* load(X);
    });
    expect(
      mismatches(function* () {
        const box = yield* make();
        yield* f(box);
        yield* store(X, box.v);
      }),
    ).toBe(0);
  });

  it('a difference far behind the return: the content hash shows a later point at once, plain code only within reach', () => {
    const body = (n: number, pointed: boolean): Body =>
      function* () {
        let seen = 0;
        const f = routine('f', function* (): Steps {
          seen = yield* load(X);
        });
        yield* f();
        for (let i = 0; i < n; i++) yield* nop();
        if (pointed) yield* point('late', seen);
        yield* nop();
        yield* store(X, seen);
      };
    const far = (n: number, pointed: boolean) => {
      const p = program(routine('caller', body(n, pointed)));
      return verifyPoints([p], explored(p, [0, 1].slice(0, 2), 1) && deep(p)).length;
    };
    const deep = (p: Program): NodeTable => {
      const nodes = new NodeTable([p]);
      for (const first of [0, 1]) {
        let node = nodes.next(nodes.root(0), first);
        while (nodes.operations[node] !== null) node = nodes.next(node, 0);
      }
      return nodes;
    };
    expect(far(5, false)).toBe(1);
    expect(far(150, true)).toBe(1);
    expect(far(150, false)).toBe(1);
    expect(far(300, false)).toBe(0);
  });

  it("a plain helper with a point speaks for its caller's frame: verifyPoints", () => {
    const helper = function* (): Steps {
      yield* point('helper');
      yield* nop();
    };
    const body: Body = function* () {
      const v = yield* load(X);
      yield* helper();
      yield* store(X, v);
    };
    expect(mismatches(body)).toBeGreaterThan(0);
    const framed = inlined(helper);
    expect(
      mismatches(function* () {
        const v = yield* load(X);
        yield* framed();
        yield* store(X, v);
      }),
    ).toBe(0);
  });

  it("an argument from a part of the caller's history that a point has dropped, in use: verifyPoints", () => {
    const f = routine('f', function* (v: number): Steps {
      yield* nop();
      yield* store(X, v);
    });
    expect(
      mismatches(function* () {
        const v = yield* load(X);
        yield* point('dropped');
        yield* f(v);
      }),
    ).toBeGreaterThan(0);
  });

  it('a generator in variables, driven by hand', () => {
    const f = routine('f', function* (): Steps<number> {
      return yield* load(X);
    });
    expect(
      mismatches(function* () {
        const g = f();
        const v = yield* g;
        yield* store(X, v);
      }),
    ).toBe(0);
  });

  it('module state: the second run is compared with the first', () => {
    let calls = 0;
    const f = routine('f', function* (): Steps {
      calls++;
      yield* load(X);
    });
    const p = program(
      routine('caller', function* () {
        yield* f();
        yield* store(X, calls);
      }),
    );
    expect(() => explored(p)).toThrow(/^routine: caller: step 1: not deterministic: store \(0, \d, 0\) became store /);
  });

  it('a callee that throws ends the model: callers cannot catch', () => {
    const f = routine('f', function* (): Steps {
      yield* load(X);
      throw new RangeError('x');
    });
    const p = program(
      routine('caller', function* () {
        try {
          yield* f();
        } catch {
          yield* nop();
        }
      }),
    );
    const c = new RoutineCursor(p, 0);
    expect(() => c.advance(0)).toThrow(ModelError);
  });

  it('a plain object returned, kept by the callee and changed later', () => {
    const kept: { v: number }[] = [];
    const make = routine('make', function* () {
      yield* load(X);
      const box = { v: 0 };
      kept.push(box);
      return box;
    });
    const change = routine('change', function* (): Steps {
      const v = yield* load(X);
      (kept.at(-1) as { v: number }).v = v;
    });
    expect(
      mismatches(function* () {
        const box = yield* make();
        yield* change();
        yield* store(X, box.v);
      }),
    ).toBeGreaterThan(0);
  });
});
