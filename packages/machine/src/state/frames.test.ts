import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Frames, TOO_MANY_REFERENCES } from './frames.ts';
import type { FrameOptions } from './frame-options.ts';
import { FrameKind, FREED_FRAME, NO_FRAME } from './frame-kind.ts';
import { everyRun } from '../schedule/every-run.ts';
import type { Steps } from '../routine/operation.ts';
import { nop, smp_mb } from '../routine/operations.ts';
import { assertThat, program, routine } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import { TabulatedExecutor } from '../execute/tabulated.ts';

const TABLES = 3;
const PAGES = 4;

function machineOf(body: (frames: Frames) => Steps<unknown>, options: Partial<FrameOptions> = {}) {
  const builder = new SystemBuilder();
  const frames = new Frames(builder, { tables: TABLES, entriesPerTable: 2, pages: PAGES, ...options });
  builder.processor({ name: 'P0', tasks: [program(routine('body', () => body(frames)))] });
  const executor = new TabulatedExecutor(builder.build());
  executor.observe = true;
  return { frames, executor };
}

/** Runs a routine to its end; what it violated, in order. */
function violations(body: (frames: Frames) => Steps<unknown>): string[] {
  const { executor } = machineOf(body);
  const found: string[] = [];
  executor.onViolation = (violation) => {
    expect(violation.property).toBe(FREED_FRAME);
    found.push(violation.detail);
  };
  while (executor.step(0)) continue;
  expect(executor.atRest()).toBe(true);
  return found;
}

describe('frames', () => {
  it('more references than there can be holders are a leak, if it is known how many there can be', () => {
    const body = function* (frames: Frames): Steps {
      const page = yield* frames.alloc(FrameKind.page);
      for (let i = 0; i < 3; i++) yield* frames.ref(page, 1);
    };
    const { executor } = machineOf(body, { referencesMax: 3 });
    const found: string[] = [];
    executor.onViolation = ({ property, detail }) => found.push(`${property}: ${detail}`);
    while (executor.step(0)) continue;
    expect(found).toEqual([`${TOO_MANY_REFERENCES}: 0x3 has 4`]);
    expect(violations(body)).toEqual([]);
  });

  it('allocation takes the lowest free frame of its pool, and the hint is exact', () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constantFrom(FrameKind.page, FrameKind.table) }),
      fc.record({ free: fc.nat(TABLES + PAGES - 1) }),
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
        const { frames, executor } = machineOf(() => nop());
        const hint = executor.system.layout.regions.find((r) => r.name === 'frame.lowest');
        const used = new Set<number>();
        const lowest = (first: number, end: number): number => {
          let frame = first;
          while (frame < end && used.has(frame)) frame++;
          return frame;
        };
        for (const step of actions) {
          const taken = 'kind' in step;
          const [first, end] = taken && step.kind === FrameKind.table ? [0, TABLES] : [TABLES, TABLES + PAGES];
          const expected = !taken || lowest(first, end) === end ? NO_FRAME : lowest(first, end);
          if (!taken && used.delete(step.free)) frames.give(executor, step.free);
          expect(taken ? frames.take(executor, step.kind) : NO_FRAME).toBe(expected);
          if (expected !== NO_FRAME) used.add(expected);
          expect([executor.read(hint!.at(0)), executor.read(hint!.at(1))]).toEqual([
            lowest(0, TABLES),
            lowest(TABLES, TABLES + PAGES),
          ]);
          for (let frame = 0; frame < frames.count; frame++)
            expect(executor.read(frames.state.at(frame)) > 0).toBe(used.has(frame));
        }
      }),
    );
  });

  it('the same frames in use are the same state, whatever was freed on the way', () => {
    const after = (...steps: (number | 'take')[]): string => {
      const { frames, executor } = machineOf(() => nop());
      for (const step of steps) {
        if (step === 'take') frames.take(executor, FrameKind.page);
        else frames.give(executor, step);
      }
      return executor.fingerprint;
    };
    expect(after('take', 'take', TABLES, 'take')).toBe(after('take', 'take'));
  });

  it('a table starts empty, also when its frame held other entries before', () => {
    const { frames, executor } = machineOf(() => nop());
    const table = frames.take(executor, FrameKind.table);
    executor.write(frames.entry(table, 1).address, 0x123);
    frames.give(executor, table);
    expect(frames.take(executor, FrameKind.table)).toBe(table);
    expect(executor.read(frames.entry(table, 1).address)).toBe(0);
  });

  it('touching a table while it is one is no violation', () => {
    expect(
      violations(function* (frames) {
        const table = yield* frames.alloc(FrameKind.table);
        const entry = frames.entry(table, 0);
        yield* frames.write(entry, 1);
        yield* frames.cmpxchg(entry, 1, 2);
        yield* frames.xchg(entry, (yield* frames.read(entry)) + 1);
        yield* frames.free(table);
      }),
    ).toEqual([]);
  });

  it.each<[string, (frames: Frames, table: number) => Steps<unknown>, string]>([
    ['read', (f, t) => f.read(f.entry(t, 0)), 'read of table 0x0, which is freed (was a table)'],
    ['written', (f, t) => f.write(f.entry(t, 0), 1), 'write to table 0x0, which is freed (was a table)'],
    ['exchanged', (f, t) => f.xchg(f.entry(t, 0), 1), 'write to table 0x0, which is freed (was a table)'],
    [
      'compared and exchanged',
      (f, t) => f.cmpxchg(f.entry(t, 0), 0, 1),
      'write to table 0x0, which is freed (was a table)',
    ],
    ['freed', (f, t) => f.free(t), 'free of 0x0, which is freed (was a table)'],
    ['put', (f, t) => f.put(t), 'free of 0x0, which is freed (was a table)'],
  ])('a table that is %s after it was freed', (_, touch, detail) => {
    expect(
      violations(function* (frames) {
        const table = yield* frames.alloc(FrameKind.table);
        yield* frames.free(table);
        yield* touch(frames, table);
      }),
    ).toEqual([detail]);
  });

  it('a table frame that was never allocated is free, not freed', () => {
    expect(violations((frames) => frames.read(frames.entry(2, 0)))).toEqual(['read of table 0x2, which is free']);
  });

  it('a reference keeps a frame; the last put frees it', () => {
    expect(
      violations(function* (frames) {
        const page = yield* frames.alloc(FrameKind.page);
        expect(yield* frames.ref(page, 1)).toBe(2);
        expect(yield* frames.put(page)).toBe(1);
        expect(yield* frames.put(page)).toBe(0);
        yield* frames.free(page);
      }),
    ).toEqual(['free of 0x3, which is freed (was a page)']);
  });

  it('running out of frames is a result, not an error', () => {
    const results: number[] = [];
    violations(function* (frames) {
      for (let i = 0; i <= PAGES; i++) results.push(yield* frames.alloc(FrameKind.page));
    });
    // The generator runs once per discovered state, so the list may repeat; what counts is the last result.
    expect(results.at(-1)).toBe(NO_FRAME);
  });

  it.each<[string, (frames: Frames) => Steps<unknown>, string]>([
    ['free', (f) => f.free(NO_FRAME), 'frames: free of frame -1: no such frame (0 .. 6)'],
    ['put', (f) => f.put(7), 'frames: reference to frame 7: no such frame (0 .. 6)'],
    ['ref', (f) => f.ref(NO_FRAME, 1), 'frames: reference to frame -1: no such frame (0 .. 6)'],
  ])('%s of a frame that does not exist says so and touches nothing', (_, touch, message) => {
    const { executor } = machineOf(touch);
    const { fingerprint } = executor;
    expect(() => executor.step(0)).toThrow(message);
    expect(executor.fingerprint).toBe(fingerprint);
  });

  it('only table frames have entries', () => {
    const { frames } = machineOf(() => nop());
    expect(() => frames.entry(TABLES, 0)).toThrow('frames: entry: frame 3 is no table frame (0 .. 2)');
    expect(() => frames.entry(-1, 0)).toThrow('frames: entry: frame -1 is no table frame');
    expect(() => frames.entry(0, 2)).toThrow('frames: entry: index 2 outside a table of 2 entries');
  });
});

describe('initial pages', () => {
  it('are in use with one reference each, and the next allocation gets the page after them', () => {
    const builder = new SystemBuilder();
    const frames = new Frames(builder, { tables: TABLES, entriesPerTable: 2, pages: PAGES, initialPages: 2 });
    const got: number[] = [];
    const body = routine('body', function* () {
      got.push(yield* frames.alloc(FrameKind.page));
      got.push(yield* frames.put(TABLES));
    });
    builder.processor({ name: 'P0', tasks: [program(body)] });
    const executor = new TabulatedExecutor(builder.build());
    while (executor.step(0)) continue;
    expect(got).toEqual([TABLES + 2, 0]);
    expect(executor.failed).toBe(false);
  });

  it('are no more than there are pages', () => {
    expect(() => new Frames(new SystemBuilder(), { tables: 1, entriesPerTable: 1, pages: 1, initialPages: 2 })).toThrow(
      'frames: new: 2 initial pages, have 1',
    );
  });
});

describe('one pool', () => {
  const machine = (
    options: Partial<FrameOptions>,
    body: (frames: Frames) => Steps<unknown>,
    memoryModel: 'sc' | 'tso' = 'sc',
  ) => {
    const builder = new SystemBuilder({ memoryModel });
    const frames = new Frames(builder, {
      tables: 1,
      entriesPerTable: 2,
      pages: 2,
      initialTables: [[1, 2]],
      ...options,
    });
    builder.processor({ name: 'P0', tasks: [program(routine('body', () => body(frames)))] });
    return builder.build();
  };
  const reuse = function* (frames: Frames): Steps {
    yield* frames.free(0);
    const page = yield* frames.alloc(FrameKind.page);
    yield* assertThat(page !== 0, 'a table does not come back as a page');
    const table = yield* frames.alloc(FrameKind.table);
    if (table !== NO_FRAME) yield* assertThat(table === 0, 'a page does not come back as a table');
    if (table !== NO_FRAME) yield* frames.write(frames.entry(table, 1), 7);
  };

  it('a table may come back as a page, and a page as a table', () => {
    const shared = everyRun(machine({ pool: 'shared' }, reuse));
    expect([...shared.violations]).toEqual(['a table does not come back as a page']);
    expect([...everyRun(machine({}, reuse)).violations]).toEqual([]);
    const any = everyRun(machine({ pool: 'shared', allocation: 'any' }, reuse));
    expect(any.violations).toEqual(
      new Set(['a table does not come back as a page', 'a page does not come back as a table']),
    );
  });

  it('an allocation that may return any free frame has that many outcomes, and one if there is none', () => {
    const seen = new Set<number>();
    const taking = function* (frames: Frames): Steps {
      const first = yield* frames.alloc(FrameKind.page);
      const second = yield* frames.alloc(FrameKind.page);
      seen.add(first * 10 + second);
      yield* assertThat((yield* frames.alloc(FrameKind.page)) === NO_FRAME, 'no third page');
    };
    const run = everyRun(machine({ allocation: 'any' }, taking));
    expect(seen).toEqual(new Set([12, 21]));
    expect([...run.violations]).toEqual([]);
  });

  it('words that are none are refused', () => {
    expect(() => machine({ pool: 'common' as 'shared' }, reuse)).toThrow(
      'frames: new: pool: "common" is none of separate, shared',
    );
  });

  it('a store that drains into a freed table is an access to it', () => {
    const late = function* (frames: Frames): Steps {
      yield* frames.write(frames.entry(0, 0), 5);
      yield* frames.free(0);
    };
    const drained = function* (frames: Frames): Steps {
      yield* frames.write(frames.entry(0, 0), 5);
      yield* smp_mb();
      yield* frames.free(0);
    };
    expect([...everyRun(machine({}, late, 'tso')).violations]).toEqual([FREED_FRAME]);
    expect([...everyRun(machine({}, drained, 'tso')).violations]).toEqual([]);
    expect([...everyRun(machine({}, late)).violations]).toEqual([]);
  });
});
