/** What atomics that may fail order, if they fail and if they do not. */
import {
  assertThat,
  load,
  nop,
  program,
  routine,
  smp_mb,
  smp_wmb,
  store,
  type Address,
  type MemoryModel,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { everyRun, systemOf } from '@shootdown/machine/every-run';
import { describe, expect, it } from 'vitest';
import { Mutex, mutex_lock, mutex_trylock, mutex_unlock } from './mutex.ts';
import { Refcount, refcount_dec_and_test, refcount_inc, refcount_inc_not_zero } from './refcount.ts';
import { down_read_trylock, down_write, down_write_trylock, Rwsem, up_read, up_write } from './rwsem.ts';
import { spin_lock, spin_trylock, spin_unlock, Spinlock } from './spinlock.ts';

const steps = (name: string, body: () => Steps) => program(routine(name, body));
const wordsOf = (builder: SystemBuilder, ...names: string[]): Address[] =>
  names.map((name) => builder.region(name, 1).at(0));

interface Kind {
  readonly lock: () => Steps;
  readonly unlock: () => Steps;
  readonly trylock: () => Steps<number>;
  readonly end: () => Steps;
}

const rwsem = (builder: SystemBuilder, trylock: (sem: Rwsem) => Steps<number>, end: (sem: Rwsem) => Steps): Kind => {
  const sem = new Rwsem(builder, 'lock', 2);
  return { lock: () => down_write(sem), unlock: () => up_write(sem), trylock: () => trylock(sem), end: () => end(sem) };
};

const KINDS: Readonly<Record<string, (builder: SystemBuilder) => Kind>> = {
  spin_trylock(builder) {
    const lock = new Spinlock(builder, 'lock');
    const unlock = () => spin_unlock(lock);
    return { lock: () => spin_lock(lock), unlock, trylock: () => spin_trylock(lock), end: unlock };
  },
  mutex_trylock(builder) {
    const mutex = new Mutex(builder, 'lock');
    const unlock = () => mutex_unlock(mutex);
    return { lock: () => mutex_lock(mutex), unlock, trylock: () => mutex_trylock(mutex), end: unlock };
  },
  down_read_trylock: (builder) => rwsem(builder, down_read_trylock, up_read),
  down_write_trylock: (builder) => rwsem(builder, down_write_trylock, up_write),
};

const SEEN = 'what was stored before is seen';

describe.each(Object.entries(KINDS))('%s()', (name, make) => {
  it('acquires on arm if it takes the lock', () => {
    const run = everyRun(
      systemOf('arm', (builder) => {
        const { lock, unlock, trylock, end } = make(builder);
        const [x, y] = wordsOf(builder, 'x', 'y') as [Address, Address];
        const holder = function* (): Steps {
          yield* lock();
          yield* store(x, 1);
          yield* unlock();
          yield* store(y, 1);
        };
        const tries = function* (): Steps {
          const over = yield* load(y);
          if ((yield* trylock()) === 0) return;
          const value = yield* load(x);
          yield* assertThat(over === 0 || value === 1, SEEN);
          yield* end();
        };
        return [steps('holder', holder), steps('tries', tries)];
      }),
    );
    expect(run).toMatchObject({ violations: new Set(), deadlock: false });
  });

  it('orders nothing on arm if it fails', () => {
    const run = everyRun(
      systemOf('arm', (builder) => {
        const { lock, unlock, trylock, end } = make(builder);
        const [x] = wordsOf(builder, 'x') as [Address];
        const holder = function* (): Steps {
          yield* store(x, 1);
          yield* smp_wmb();
          yield* lock();
          yield* nop();
          yield* unlock();
        };
        const tries = function* (): Steps {
          const got = yield* trylock();
          const value = yield* load(x);
          yield* assertThat(got === 1 || value === 1, SEEN);
          if (got === 1) yield* end();
        };
        return [steps('holder', holder), steps('tries', tries)];
      }),
    );
    expect(run).toMatchObject({ violations: new Set([SEEN]), deadlock: false });
  });

  // rwsem_write_trylock() does not look before its cmpxchg.
  const looksFirst = name !== 'down_write_trylock';
  it(`is ${looksFirst ? 'a plain load' : 'a full barrier'} on tso if it fails`, () => {
    const passes = storeIsPassed('tso', (builder) => {
      const { lock, trylock } = make(builder);
      return { first: lock, between: trylock, counts: (got) => got === 0 };
    });
    expect(passes).toBe(looksFirst);
  });
});

interface Between {
  /** What the other processor does first. */
  readonly first?: () => Steps;
  readonly between: () => Steps<number>;
  /** Runs in which `between` comes to this result. Default: all. */
  readonly counts?: (result: number) => boolean;
}

/**
 * Whether a load after `between` may come before a store before it, as the other processor, which has a full barrier,
 * sees it.
 */
function storeIsPassed(model: MemoryModel, make: (builder: SystemBuilder) => Between): boolean {
  let passed = false;
  let [x, y] = [0, 0];
  const system = systemOf(model, (builder) => {
    const { first, between, counts = () => true } = make(builder);
    const words = wordsOf(builder, 'x', 'y', 'sawX', 'sawY') as [Address, Address, Address, Address];
    [x, y] = [words[2], words[3]];
    const other = function* (): Steps {
      if (first) yield* first();
      yield* store(words[1], 1);
      yield* smp_mb();
      yield* store(words[2], 1 + (yield* load(words[0])));
    };
    const own = function* (): Steps {
      yield* store(words[0], 1);
      const result = yield* between();
      const value = yield* load(words[1]);
      if (counts(result)) yield* store(words[3], 1 + value);
    };
    return [steps('other', other), steps('own', own)];
  });
  everyRun(system, (read) => (passed ||= read(x) === 1 && read(y) === 1));
  return passed;
}

describe('refcount', () => {
  const raised = (refs: Refcount) =>
    function* (): Steps<number> {
      yield* refcount_inc(refs);
      return 1;
    };

  it('is not raised from 0 by refcount_inc_not_zero() on arm, where the count may be read late', () => {
    const GONE = 'no reference to an object that is gone';
    const run = everyRun(
      systemOf('arm', (builder) => {
        const refs = new Refcount(builder, 'refs');
        const [gone] = wordsOf(builder, 'gone') as [Address];
        const drop = function* (): Steps {
          if ((yield* refcount_dec_and_test(refs)) === 1) yield* store(gone, 1);
        };
        const get = function* (): Steps {
          if ((yield* refcount_inc_not_zero(refs)) === 0) return;
          yield* smp_mb();
          yield* assertThat((yield* load(gone)) === 0, GONE);
        };
        return [steps('drop', drop), steps('get', get)];
      }),
    );
    expect(run).toMatchObject({ violations: new Set(), deadlock: false });
  });

  it.each([
    ['refcount_inc()', 1],
    ['refcount_inc_not_zero() that succeeds', 1],
    ['refcount_inc_not_zero() that fails', 0],
  ])('%s orders nothing on arm; what it changes, a locked instruction changes on tso', (name, initial) => {
    const passes = (model: MemoryModel) =>
      storeIsPassed(model, (builder) => {
        const refs = new Refcount(builder, 'refs', initial);
        return { between: name === 'refcount_inc()' ? raised(refs) : () => refcount_inc_not_zero(refs) };
      });
    expect([passes('arm'), passes('tso')]).toEqual([true, initial === 0]);
  });

  it('has who drops the last reference see what others did before they dropped theirs', () => {
    const run = everyRun(
      systemOf('arm', (builder) => {
        const refs = new Refcount(builder, 'refs', 2);
        const [x] = wordsOf(builder, 'x') as [Address];
        const uses = function* (): Steps {
          yield* store(x, 1);
          if ((yield* refcount_dec_and_test(refs)) === 1) yield* store(x, 2);
        };
        const frees = function* (): Steps {
          if ((yield* refcount_dec_and_test(refs)) === 1) yield* assertThat((yield* load(x)) === 1, SEEN);
        };
        return [steps('uses', uses), steps('frees', frees)];
      }),
    );
    expect(run).toMatchObject({ violations: new Set(), deadlock: false });
  });

  it('is ordered by refcount_dec_and_test() as by a release, not as by a full barrier', () => {
    const passes = (model: MemoryModel) =>
      storeIsPassed(model, (builder) => {
        const refs = new Refcount(builder, 'refs', 2);
        return { between: () => refcount_dec_and_test(refs) };
      });
    expect([passes('arm'), passes('tso')]).toEqual([true, false]);
  });
});
