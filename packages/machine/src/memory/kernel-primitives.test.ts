/** What the kernel's primitives order on Arm, by trying every run of two routines. */
import { describe, expect, it } from 'vitest';
import type { OrderingRule } from './rules.ts';
import { defineOperation, operation, type Steps } from '../routine/operation.ts';
import { cmpxchg, load, setBits, smp_mb, smp_rmb, smp_wmb, store, waitFor, xchg } from '../routine/operations.ts';
import {
  cmpxchgOrdered,
  dsb_ish,
  set_bit,
  smp_load_acquire,
  smp_store_release,
  xchgOrdered,
} from '../routine/ordered.ts';
import { assertThat, program, routine } from '../routine/routine.ts';
import { everyRun } from '../schedule/every-run.ts';
import { SystemBuilder } from '../system/system.ts';
import type { Address } from '../state/words.ts';

const BROKEN = 'what was published is there';

interface Words {
  readonly x: Address;
  readonly y: Address;
}

/** Whether some run of two routines breaks the property. */
function breaks(
  first: (words: Words) => Steps,
  second: (words: Words) => Steps,
  options: { readonly leftOut?: readonly OrderingRule[]; readonly memory?: 'weak' | 'strong' } = {},
): boolean {
  const builder = new SystemBuilder({ memoryModel: 'arm', weak: { leftOut: new Set(options.leftOut) } });
  const x = builder.region('x', 1).at(0);
  const y = builder.region('y', 1, { memory: options.memory ?? 'weak' }).at(0);
  for (const [i, body] of [first, second].entries()) {
    const named = routine(`P${i}`, () => body({ x, y }));
    builder.processor({ name: `CPU${i}`, tasks: [program(named)] });
  }
  return everyRun(builder.build()).violations.has(BROKEN);
}

/** Reads y, then x: whoever has seen the flag sees what was stored before it. */
const reads =
  (between: () => Steps) =>
  ({ x, y }: Words): Steps =>
    (function* () {
      const flag = yield* load(y);
      yield* between();
      const value = yield* load(x);
      yield* assertThat(flag === 0 || value === 1, BROKEN);
    })();

const writes =
  (between: () => Steps) =>
  ({ x, y }: Words): Steps =>
    (function* () {
      yield* store(x, 1);
      yield* between();
      yield* store(y, 1);
    })();

const nothing = function* (): Steps {};

describe('message passing', () => {
  it.each<[string, boolean, () => Steps, () => Steps]>([
    ['no barrier', true, nothing, nothing],
    ['smp_wmb() alone', true, () => smp_wmb(), nothing],
    ['smp_rmb() alone', true, nothing, () => smp_rmb()],
    ['smp_wmb() and smp_rmb()', false, () => smp_wmb(), () => smp_rmb()],
    ['smp_rmb() and smp_wmb(), the wrong way round', true, () => smp_rmb(), () => smp_wmb()],
    ['smp_mb()', false, () => smp_mb(), () => smp_mb()],
    ['dsb(ish)', false, () => dsb_ish(), () => dsb_ish()],
  ])('%s: breaks %s', (_name, broken, writer, reader) => {
    expect(breaks(writes(writer), reads(reader))).toBe(broken);
  });

  it.each(['weak', 'strong'] as const)('release and acquire, and atomics, of a %s word', (memory) => {
    const published = function* ({ x, y }: Words, publish: (y: Address) => Steps<unknown>): Steps {
      yield* store(x, 1);
      yield* publish(y);
    };
    const taken = function* ({ x, y }: Words, take: (y: Address) => Steps<number>): Steps {
      const flag = yield* take(y);
      const value = yield* load(x);
      yield* assertThat(flag === 0 || value === 1, BROKEN);
    };
    const broken = (publish: (y: Address) => Steps<unknown>, take: (y: Address) => Steps<number>): boolean =>
      breaks(
        (words) => published(words, publish),
        (words) => taken(words, take),
        { memory },
      );
    expect(
      broken(
        (y) => smp_store_release(y, 1),
        (y) => smp_load_acquire(y),
      ),
    ).toBe(false);
    expect(
      broken(
        (y) => store(y, 1),
        (y) => smp_load_acquire(y),
      ),
    ).toBe(true);
    expect(
      broken(
        (y) => xchgOrdered('release', y, 1),
        (y) => xchgOrdered('acquire', y, 0),
      ),
    ).toBe(false);
    expect(
      broken(
        (y) => xchgOrdered('relaxed', y, 1),
        (y) => xchgOrdered('acquire', y, 0),
      ),
    ).toBe(true);
    expect(
      broken(
        (y) => xchg(y, 1),
        (y) => xchg(y, 0),
      ),
    ).toBe(false);
    expect(
      broken(
        (y) => setBits(y, 1),
        (y) => waitFor(y, 1, 1),
      ),
    ).toBe(false);
    expect(
      broken(
        (y) => set_bit(y, 1),
        (y) => waitFor(y, 1, 1),
      ),
    ).toBe(true);
  });
});

describe('a conditional atomic', () => {
  it.each(['weak', 'strong'] as const)('orders nothing when it fails, of a %s word', (memory) => {
    const broken = (take: (y: Address) => Steps<number>): boolean =>
      breaks(
        writes(() => smp_wmb()),
        function* ({ x, y }) {
          const flag = yield* take(y);
          yield* assertThat(flag === 0 || (yield* load(x)) === 1, BROKEN);
        },
        { memory },
      );
    for (const expected of [1, 2]) {
      const fails = expected === 2;
      expect(broken((y) => cmpxchg(y, expected, 3))).toBe(fails);
      expect(broken((y) => cmpxchgOrdered('acquire', y, expected, 3))).toBe(fails);
    }
  });
});

describe('a store of a kernel routine', () => {
  /** CPU0 sees y and stores to x; CPU1 stores to x and publishes y: the first store is the last one. */
  const first = function* ({ x, y }: Words): Steps {
    const flag = yield* load(y);
    if (flag === 1) yield* store(x, 2);
    const value = yield* load(x);
    yield* assertThat(flag === 0 || value === 2, BROKEN);
  };
  const second = function* ({ x, y }: Words): Steps {
    yield* store(x, 1);
    yield* smp_wmb();
    yield* store(y, 1);
    yield* smp_mb();
    const value = yield* load(x);
    // Coherence: x has been 1 before it was 2, so whoever reads it last reads 2 or was not overtaken.
    yield* assertThat(value !== 0, BROKEN);
  };

  it('is after the loads before it', () => {
    expect(breaks(first, second)).toBe(false);
  });
});

describe('store buffering with a word that everybody sees alike', () => {
  // Plain accesses of such a word would race.
  const relaxed = (words: Words, of: keyof Words, value: number): Steps<number> =>
    xchgOrdered('relaxed', words[of], value);
  const stores = (words: Words, shown: Address, between: () => Steps): (() => Steps) =>
    function* () {
      yield* store(words.x, 1);
      yield* between();
      yield* store(shown, 1 + (yield* relaxed(words, 'y', 0)));
    };
  const swaps = (words: Words, shown: Address, between: () => Steps): (() => Steps) =>
    function* () {
      yield* relaxed(words, 'y', 1);
      yield* between();
      yield* store(shown, 1 + (yield* load(words.x)));
    };

  it('needs full barriers, as with any two words', () => {
    const outcomes = (between: () => Steps): ReadonlySet<string> => {
      const builder = new SystemBuilder({ memoryModel: 'arm' });
      const x = builder.region('x', 1).at(0);
      const y = builder.region('y', 1, { memory: 'strong' }).at(0);
      const seen = builder.region('seen', 2, { memory: 'ghost' });
      const programs = [stores({ x, y }, seen.at(0), between), swaps({ x, y }, seen.at(1), between)];
      for (const [i, body] of programs.entries()) {
        const named = routine(`P${i}`, body);
        builder.processor({ name: `CPU${i}`, tasks: [program(named)] });
      }
      const found = new Set<string>();
      everyRun(builder.build(), undefined, (read) => found.add(`${read(seen.at(0))} ${read(seen.at(1))}`));
      return found;
    };
    expect(outcomes(nothing).has('1 1')).toBe(true);
    expect(outcomes(() => smp_mb()).has('1 1')).toBe(false);
  });
});

describe('what hardware does to a word in one operation', () => {
  const DIRTY = 2;
  /** An entry that is valid becomes dirty, as by DBM: read and written at once. */
  const HARDWARE = defineOperation({
    name: 'set_dirty',
    perform(cx, op) {
      const entry = cx.read(op.a);
      if (entry !== 0) cx.write(op.a, entry | DIRTY);
      return 0;
    },
  });

  it('is atomic: an entry that has been taken out does not come back', () => {
    const dirties = ({ x }: Words): Steps =>
      (function* () {
        yield operation(HARDWARE, x);
      })();
    const takes = ({ x }: Words): Steps =>
      (function* () {
        yield* store(x, 1);
        yield* smp_mb();
        yield* xchgOrdered('relaxed', x, 0);
        yield* smp_mb();
        yield* assertThat((yield* load(x)) === 0, BROKEN);
      })();
    expect(breaks(dirties, takes)).toBe(false);
  });
});
