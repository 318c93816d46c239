import { assertThat, load, program, routine, store, type MemoryModel, type Steps } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { everyRun, systemOf } from '@shootdown/machine/every-run';
import { LOCK_MISUSE } from './misuse.ts';
import {
  down_read,
  down_read_trylock,
  down_write,
  down_write_trylock,
  downgrade_write,
  Rwsem,
  RWSEM_FLAG_WAITERS,
  up_read,
  up_write,
} from './rwsem.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const steps = (name: string, body: () => Steps) => program(routine(name, body));

describe.each(MODELS)('rwsem on %s', (model) => {
  it('keeps a writer alone: two increments are never lost', () => {
    const ends: number[] = [];
    let counter = 0;
    const system = systemOf(model, (builder) => {
      const sem = new Rwsem(builder, 'sem', 2);
      const word = builder.region('counter', 1).at(0);
      counter = word;
      const increment = function* (): Steps {
        yield* down_write(sem);
        yield* store(word, 1 + (yield* load(word)));
        yield* up_write(sem);
      };
      return [steps('a', increment), steps('b', increment)];
    });
    const run = everyRun(system, undefined, (read) => ends.push(read(counter)));
    expect(run.violations.size).toBe(0);
    expect(run.deadlock).toBe(false);
    expect(new Set(ends)).toEqual(new Set([2]));
  });

  it('lets readers in together', () => {
    let sem: Rwsem | undefined;
    const system = systemOf(model, (builder) => {
      sem = new Rwsem(builder, 'sem', 2);
      const reader = function* (): Steps {
        yield* down_read(sem as Rwsem);
        yield* up_read(sem as Rwsem);
      };
      return [steps('a', reader), steps('b', reader)];
    });
    const run = everyRun(
      system,
      (read) => read((sem as Rwsem).held.at(0)) === 1 && read((sem as Rwsem).held.at(1)) === 1,
    );
    expect(run.witnessed).toBeGreaterThan(0);
  });

  it('deadlocks on a nested read lock with a writer queued in between', () => {
    const system = systemOf(model, (builder) => {
      const sem = new Rwsem(builder, 'sem', 2);
      return [
        steps('nested', function* () {
          yield* down_read(sem);
          yield* down_read(sem);
          yield* up_read(sem);
          yield* up_read(sem);
        }),
        steps('writer', function* () {
          yield* down_write(sem);
          yield* up_write(sem);
        }),
      ];
    });
    expect(everyRun(system).deadlock).toBe(true);
  });

  it('does not deadlock when the nested one is a trylock, and that one fails behind a queued writer', () => {
    let failed = 0;
    const system = systemOf(model, (builder) => {
      const sem = new Rwsem(builder, 'sem', 2);
      const result = builder.region('result', 1).at(0);
      failed = result;
      return [
        steps('nested', function* () {
          yield* down_read(sem);
          const locked = yield* down_read_trylock(sem);
          if (locked === 1) yield* up_read(sem);
          else yield* store(result, 1);
          yield* up_read(sem);
        }),
        steps('writer', function* () {
          yield* down_write(sem);
          yield* up_write(sem);
        }),
      ];
    });
    const run = everyRun(system, (read) => read(failed) === 1);
    expect(run.deadlock).toBe(false);
    expect(run.violations.size).toBe(0);
    expect(run.witnessed).toBeGreaterThan(0);
  });
});

describe('rwsem', () => {
  /** CPU0 holds for reading; CPU1 queues to write; CPU2 wants to read. */
  const readersAndWriter = (order: number[]) => {
    let sem: Rwsem | undefined;
    const system = systemOf('sc', (builder) => {
      sem = new Rwsem(builder, 'sem', 3);
      const note = builder.region('order', 1).at(0);
      const enter = function* (task: number): Steps {
        const sofar = yield* load(note);
        yield* store(note, sofar * 10 + task);
      };
      return [
        steps('holder', function* () {
          yield* down_read(sem as Rwsem);
          yield* up_read(sem as Rwsem);
        }),
        steps('writer', function* () {
          yield* down_write(sem as Rwsem);
          yield* enter(1);
          yield* up_write(sem as Rwsem);
        }),
        steps('reader', function* () {
          yield* down_read(sem as Rwsem);
          yield* enter(2);
          yield* up_read(sem as Rwsem);
        }),
      ];
    });
    const run = everyRun(
      system,
      (read) =>
        (read((sem as Rwsem).count) & RWSEM_FLAG_WAITERS) !== 0 &&
        read((sem as Rwsem).waitList.at(0)) === 2 &&
        read((sem as Rwsem).waitList.at(1)) === 3,
      (read) => order.push(read(system.layout.regions.find((r) => r.name === 'order')?.base ?? 0)),
    );
    return run;
  };

  it('queues a reader behind a queued writer, although a reader holds the lock', () => {
    const order: number[] = [];
    const run = readersAndWriter(order);
    expect(run.witnessed).toBeGreaterThan(0);
    expect(run.deadlock).toBe(false);
    expect(new Set(order)).toEqual(new Set([12, 21]));
  });

  it('serves writers in the order in which they queued', () => {
    let overtaken = 0;
    const system = systemOf('sc', (builder) => {
      const sem = new Rwsem(builder, 'sem', 3);
      const got = builder.region('got', 3);
      overtaken = got.at(2);
      const writer = (task: number) =>
        steps(`writer${task}`, function* () {
          yield* down_write(sem);
          yield* store(got.at(task), 1);
          yield* up_write(sem);
        });
      return [
        steps('holder', function* () {
          yield* down_write(sem);
          const first = sem.waitList.at(0);
          const waiting = yield* load(first);
          const second = yield* load(sem.waitList.at(1));
          yield* up_write(sem);
          if (waiting !== 2 || second !== 3) return;
          yield* down_write(sem);
          const one = yield* load(got.at(1));
          const two = yield* load(got.at(2));
          yield* assertThat(one >= two, 'FIFO', 'the second writer overtook the first');
          yield* up_write(sem);
        }),
        writer(1),
        writer(2),
      ];
    });
    const run = everyRun(system, (read) => read(overtaken) === 1);
    expect(run.violations).toEqual(new Set());
    expect(run.deadlock).toBe(false);
    expect(run.witnessed).toBeGreaterThan(0);
  });

  it('explores that a free lock with a waiting writer is stolen, and that it is not', () => {
    const order: number[] = [];
    let sem: Rwsem | undefined;
    const system = systemOf('sc', (builder) => {
      sem = new Rwsem(builder, 'sem', 3);
      const hold = function* (): Steps {
        yield* down_write(sem as Rwsem);
        yield* up_write(sem as Rwsem);
      };
      return [steps('holder', hold), steps('waiter', hold), steps('thief', hold)];
    });
    const stolen = everyRun(
      system,
      (read) => read((sem as Rwsem).owner) === 3 && read((sem as Rwsem).waitList.at(0)) === 2,
      () => order.push(1),
    );
    const queued = everyRun(
      system,
      (read) => read((sem as Rwsem).owner) === 0 && read((sem as Rwsem).waitList.at(1)) === 3,
    );
    expect(stolen.witnessed).toBeGreaterThan(0);
    expect(queued.witnessed).toBeGreaterThan(0);
  });

  it('lets waiting readers in when a writer downgrades', () => {
    let sem: Rwsem | undefined;
    const system = systemOf('sc', (builder) => {
      sem = new Rwsem(builder, 'sem', 2);
      return [
        steps('writer', function* () {
          yield* down_write(sem as Rwsem);
          yield* downgrade_write(sem as Rwsem);
          yield* up_read(sem as Rwsem);
        }),
        steps('reader', function* () {
          yield* down_read(sem as Rwsem);
          yield* up_read(sem as Rwsem);
        }),
      ];
    });
    const run = everyRun(
      system,
      (read) => read((sem as Rwsem).held.at(0)) === 1 && read((sem as Rwsem).held.at(1)) === 1,
    );
    expect(run.violations.size).toBe(0);
    expect(run.witnessed).toBeGreaterThan(0);
  });

  const misuses: readonly [string, (sem: Rwsem) => Steps][] = [
    ['up_read(sem) on processor 0, which does not hold it for reading', (sem) => up_read(sem)],
    ['up_write(sem) on processor 0, which does not hold it for writing', (sem) => up_write(sem)],
    ['downgrade_write(sem) on processor 0, which does not hold it for writing', (sem) => downgrade_write(sem)],
    [
      'down_write(sem) on processor 0, which holds it for writing already',
      function* (sem) {
        yield* down_write(sem);
        yield* down_write(sem);
      },
    ],
    [
      'down_write(sem) on processor 0, which holds it for reading',
      function* (sem) {
        yield* down_read(sem);
        yield* down_write(sem);
      },
    ],
    [
      'down_read(sem) on processor 0, which holds it for writing',
      function* (sem) {
        yield* down_write(sem);
        yield* down_read(sem);
      },
    ],
    [
      'up_write(sem) on processor 0, which does not hold it for writing',
      function* (sem) {
        yield* down_read(sem);
        yield* up_write(sem);
      },
    ],
  ];
  it.each(misuses)('reports %s', (detail, body) => {
    const system = systemOf('sc', (builder) => {
      const sem = new Rwsem(builder, 'sem', 1);
      return [steps('misuse', () => body(sem))];
    });
    const run = everyRun(system);
    expect(run.violations).toEqual(new Set([LOCK_MISUSE]));
    expect(run.details).toEqual(new Set([detail]));
  });

  it('refuses trylocks that would have to wait', () => {
    const results: number[] = [];
    let word = 0;
    const system = systemOf('sc', (builder) => {
      const sem = new Rwsem(builder, 'sem', 1);
      const result = builder.region('result', 1).at(0);
      word = result;
      return [
        steps('try', function* () {
          yield* down_read(sem);
          const write = yield* down_write_trylock(sem);
          const read = yield* down_read_trylock(sem);
          yield* store(result, 10 * write + read);
        }),
      ];
    });
    everyRun(system, undefined, (read) => results.push(read(word)));
    expect(results).toEqual([1]);
  });
});
