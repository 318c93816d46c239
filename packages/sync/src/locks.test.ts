import {
  assertThat,
  load,
  program,
  routine,
  smp_mb,
  store,
  type Address,
  type MemoryModel,
  type Steps,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { everyRun, systemOf } from '@shootdown/machine/every-run';
import { LOCK_MISUSE } from './misuse.ts';
import { Mutex, mutex_lock, mutex_trylock, mutex_unlock } from './mutex.ts';
import { percpu_down_read, percpu_down_write, percpu_up_read, percpu_up_write, PercpuRwsem } from './percpu-rwsem.ts';
import { Rcu } from './rcu.ts';
import {
  Refcount,
  refcount_dec_and_test,
  refcount_inc,
  refcount_inc_not_zero,
  REFCOUNT_SATURATED,
} from './refcount.ts';
import {
  read_seqcount_begin,
  read_seqcount_retry,
  Seqcount,
  write_seqcount_begin,
  write_seqcount_end,
} from './seqcount.ts';
import { spin_lock, spin_trylock, spin_unlock, Spinlock } from './spinlock.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const steps = (name: string, body: () => Steps) => program(routine(name, body));

describe.each(MODELS)('spinlock and mutex on %s', (model) => {
  it.each(['spinlock', 'mutex'] as const)('a %s never loses an increment', (kind) => {
    const ends: number[] = [];
    let counter = 0;
    const system = systemOf(model, (builder) => {
      const word = builder.region('counter', 1).at(0);
      counter = word;
      const spin = new Spinlock(builder, 'spin');
      const mutex = new Mutex(builder, 'mutex');
      const increment = function* (): Steps {
        yield* kind === 'spinlock' ? spin_lock(spin) : mutex_lock(mutex);
        yield* store(word, 1 + (yield* load(word)));
        yield* kind === 'spinlock' ? spin_unlock(spin) : mutex_unlock(mutex);
      };
      return [steps('a', increment), steps('b', increment)];
    });
    const run = everyRun(system, undefined, (read) => ends.push(read(counter)));
    expect(run.deadlock).toBe(false);
    expect(run.violations.size).toBe(0);
    expect(new Set(ends)).toEqual(new Set([2]));
  });

  it('spin_unlock() is no full barrier on tso, mutex_unlock() is', () => {
    const outcomes = (kind: 'spinlock' | 'mutex') => {
      const ends = new Set<string>();
      let words: number[] = [];
      const system = systemOf(model, (builder) => {
        const [x, y, r0, r1] = ['x', 'y', 'r0', 'r1'].map((name) => builder.region(name, 1).at(0)) as [
          never,
          never,
          never,
          never,
        ];
        words = [r0, r1];
        const side = (mine: never, other: never, result: never, lock: Spinlock | Mutex) =>
          function* (): Steps {
            yield* lock instanceof Spinlock ? spin_lock(lock) : mutex_lock(lock);
            yield* store(mine, 1);
            yield* lock instanceof Spinlock ? spin_unlock(lock) : mutex_unlock(lock);
            yield* store(result, yield* load(other));
          };
        const lock = (name: string) => (kind === 'spinlock' ? new Spinlock(builder, name) : new Mutex(builder, name));
        return [steps('p0', side(x, y, r0, lock('l0'))), steps('p1', side(y, x, r1, lock('l1')))];
      });
      everyRun(system, undefined, (read) => ends.add(words.map(read).join('')));
      return ends;
    };
    expect(outcomes('spinlock').has('00')).toBe(model === 'tso');
    expect(outcomes('mutex').has('00')).toBe(false);
  });
});

describe('spinlock and mutex', () => {
  it('report recursion and foreign unlocks by name', () => {
    const run = (body: (spin: Spinlock, mutex: Mutex) => Steps) =>
      everyRun(
        systemOf('tso', (builder) => {
          const [spin, mutex] = [new Spinlock(builder, 'ptl'), new Mutex(builder, 'm')];
          return [steps('misuse', () => body(spin, mutex))];
        }),
      );
    const recursive = run(function* (spin) {
      yield* spin_lock(spin);
      yield* spin_lock(spin);
    });
    expect(recursive.violations).toEqual(new Set([LOCK_MISUSE]));
    expect(recursive.details).toEqual(new Set(['spin_lock(ptl) on processor 0, which holds it already']));
    expect(run((spin) => spin_unlock(spin)).details).toEqual(
      new Set(['spin_unlock(ptl) on processor 0, which does not hold it']),
    );
    expect(run((_, mutex) => mutex_unlock(mutex)).details).toEqual(
      new Set(['mutex_unlock(m) on processor 0, which does not hold it']),
    );
    const again = run(function* (_, mutex) {
      yield* mutex_lock(mutex);
      yield* mutex_lock(mutex);
    });
    expect(again.details).toEqual(new Set(['mutex_lock(m) on processor 0, which holds it already']));
  });

  it('fail a trylock on a held lock and take a free one', () => {
    const run = everyRun(
      systemOf('sc', (builder) => {
        const [spin, mutex] = [new Spinlock(builder, 'ptl'), new Mutex(builder, 'm')];
        return [
          steps('try', function* () {
            yield* assertThat((yield* spin_trylock(spin)) === 1, 'first');
            yield* assertThat((yield* spin_trylock(spin)) === 0, 'second');
            yield* assertThat((yield* mutex_trylock(mutex)) === 1, 'first');
            yield* assertThat((yield* mutex_trylock(mutex)) === 0, 'second');
          }),
        ];
      }),
    );
    expect(run.violations.size).toBe(0);
  });
});

describe.each(MODELS)('percpu-rwsem on %s', (model) => {
  const EXCLUSION = 'no reader beside a writer';
  const system = (withGracePeriod: boolean) => {
    const words: { block?: number } = {};
    const built = systemOf(model, (builder) => {
      const rcu = new Rcu(builder, { processors: 3 });
      const sem = new PercpuRwsem(builder, 'sem', rcu);
      const data = builder.region('data', 1).at(0);
      words.block = sem.block;
      const reader = function* (): Steps {
        yield* percpu_down_read(sem, 0);
        const first = yield* load(data);
        const second = yield* load(data);
        yield* assertThat(first === second, EXCLUSION);
        yield* percpu_up_read(sem, 0);
      };
      const writer = function* (): Steps {
        if (withGracePeriod) yield* percpu_down_write(sem, 1);
        else yield* downWriteWithoutGracePeriod(sem);
        yield* store(data, 1);
        yield* smp_mb();
        yield* store(data, 2);
        yield* percpu_up_write(sem);
      };
      return [steps('reader', reader), steps('writer', writer), rcu.rcuc(2)];
    });
    return { built, words };
  };

  it('keeps readers and the writer apart, and the writer waits for the readers inside', () => {
    const { built, words } = system(true);
    const run = everyRun(built, (read) => read(words.block ?? 0) === 1);
    expect(run.violations).toEqual(new Set());
    // The last reader wakes the writer that sleeps until all have left.
    expect(run.deadlock).toBe(false);
    expect(run.witnessed).toBeGreaterThan(0);
  });

  it('needs the grace period: the fast path does not look at the writer', () => {
    expect(everyRun(system(false).built).violations).toEqual(new Set([EXCLUSION]));
  });
});

describe('percpu-rwsem on arm', () => {
  const WHOLE = 'who writes sees all that a reader has done, or nothing';
  /** A reader that began on the fast path changes two words; a writer comes meanwhile. */
  const run = (withoutBarrierB: boolean) =>
    everyRun(
      systemOf('arm', (builder) => {
        const rcu = new Rcu(builder, { processors: 3 });
        const sem = new PercpuRwsem(builder, 'sem', rcu, { withoutBarrierB });
        const [a, b] = [0, 1].map((i) => builder.region(`data${i}`, 1).at(0)) as [Address, Address];
        const reader = function* (): Steps {
          yield* percpu_down_read(sem, 0);
          yield* store(a, 1);
          yield* store(b, 1);
          yield* percpu_up_read(sem, 0);
        };
        const writer = function* (): Steps {
          yield* percpu_down_write(sem, 1);
          const first = yield* load(a);
          const second = yield* load(b);
          yield* assertThat(first === second, WHOLE);
          yield* percpu_up_write(sem);
        };
        return [steps('reader', reader), steps('writer', writer), rcu.rcuc(2)];
      }),
    );

  it('hands on what a reader has done, and wakes the writer that waits for it', () => {
    const { violations, deadlock } = run(false);
    expect(violations).toEqual(new Set());
    expect(deadlock).toBe(false);
  });

  it('needs barrier B, which matches C', () => {
    expect(run(true).violations).toEqual(new Set([WHOLE]));
  });
});

/** What percpu_down_write() would be if it set `block` without telling the fast path. */
function* downWriteWithoutGracePeriod(sem: PercpuRwsem): Steps {
  yield* store(sem.block as never, 1);
  yield* store(sem.owner as never, 2);
  yield* smp_mb();
}

describe.each(MODELS)('seqcount on %s', (model) => {
  it('makes a reader retry rather than see half an update', () => {
    const run = everyRun(
      systemOf(model, (builder) => {
        const seqcount = new Seqcount(builder, 'seq');
        const [low, high] = [builder.region('low', 1).at(0), builder.region('high', 1).at(0)];
        return [
          steps('writer', function* () {
            yield* write_seqcount_begin(seqcount);
            yield* store(low, 1);
            yield* store(high, 1);
            yield* write_seqcount_end(seqcount);
          }),
          steps('reader', function* () {
            const start = yield* read_seqcount_begin(seqcount);
            const l = yield* load(low);
            const h = yield* load(high);
            if (!(yield* read_seqcount_retry(seqcount, start))) yield* assertThat(l === h, 'no torn read');
          }),
        ];
      }),
    );
    expect(run.violations).toEqual(new Set());
    expect(run.deadlock).toBe(false);
  });

  it('reports two writers at once', () => {
    const run = everyRun(
      systemOf(model, (builder) => {
        const seqcount = new Seqcount(builder, 'seq');
        const writer = function* (): Steps {
          yield* write_seqcount_begin(seqcount);
          yield* write_seqcount_end(seqcount);
        };
        return [steps('a', writer), steps('b', writer)];
      }),
    );
    expect(run.violations).toEqual(new Set([LOCK_MISUSE]));
  });
});

describe('refcount', () => {
  it('gives the last reference to one of two', () => {
    const ends: number[] = [];
    let last = 0;
    const system = systemOf('tso', (builder) => {
      const refs = new Refcount(builder, 'refs', 2);
      const results = builder.region('last', 2);
      last = results.base;
      const put = (i: number) =>
        steps(`put${i}`, function* () {
          yield* store(results.at(i), yield* refcount_dec_and_test(refs));
        });
      return [put(0), put(1)];
    });
    expect(everyRun(system, undefined, (read) => ends.push(read(last) + read(last + 1))).violations.size).toBe(0);
    expect(new Set(ends)).toEqual(new Set([1]));
  });

  it('saturates on use after free and on underflow, not on a careful try', () => {
    const run = (body: (refs: Refcount) => Steps) =>
      everyRun(
        systemOf('sc', (builder) => {
          const refs = new Refcount(builder, 'refs', 0);
          return [steps('misuse', () => body(refs))];
        }),
      );
    expect(run((refs) => refcount_inc(refs)).violations).toEqual(new Set([REFCOUNT_SATURATED]));
    expect(
      run(function* (refs) {
        yield* refcount_dec_and_test(refs);
      }).violations,
    ).toEqual(new Set([REFCOUNT_SATURATED]));
    expect(
      run(function* (refs) {
        yield* refcount_inc_not_zero(refs);
      }).violations,
    ).toEqual(new Set());
  });
});
