import { assertThat, load, program, routine, store, type MemoryModel, type Steps } from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { everyRun, systemOf } from '@shootdown/machine/every-run';
import { LOCK_MISUSE } from './misuse.ts';
import { Rcu } from './rcu.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const steps = (name: string, body: () => Steps) => program(routine(name, body));
const POISON = 'no read of what a grace period has passed over';

type Wait = 'synchronize_rcu' | 'call_rcu' | 'nothing';

/** A reader follows a pointer inside a section; the updater unpublishes it, waits, and poisons what it pointed to. */
function publication(model: MemoryModel, wait: Wait, sections = 1) {
  return systemOf(model, (builder) => {
    const rcu = new Rcu(builder, { processors: 3 });
    const pointer = builder.region('pointer', 1, { initial: 1 }).at(0);
    const data = builder.region('data', 1, { initial: 1 }).at(0);
    const poison = rcu.register('poison', () => store(data, 0));
    const reader = function* (): Steps {
      for (let i = 0; i < sections; i++) {
        yield* rcu.rcu_read_lock();
        const p = yield* load(pointer);
        if (p !== 0) yield* assertThat((yield* load(data)) === 1, POISON);
        yield* rcu.rcu_read_unlock(0);
      }
    };
    const updater = function* (): Steps {
      yield* store(pointer, 0);
      if (wait === 'call_rcu') return yield* rcu.call_rcu(poison, 0);
      if (wait === 'synchronize_rcu') yield* rcu.synchronize_rcu(1);
      yield* store(data, 0);
    };
    return wait === 'call_rcu'
      ? [steps('reader', reader), steps('updater', updater), rcu.rcuc(2)]
      : [steps('reader', reader), steps('updater', updater)];
  });
}

describe.each(MODELS)('rcu on %s', (model) => {
  it.each<Wait>(['synchronize_rcu', 'call_rcu'])('%s waits for a reader that has the old pointer', (wait) => {
    const run = everyRun(publication(model, wait, 2));
    expect(run.violations).toEqual(new Set());
    expect(run.deadlock).toBe(false);
  });

  it('does so only because somebody waits', () => {
    expect(everyRun(publication(model, 'nothing')).violations).toEqual(new Set([POISON]));
  });

  it('does not wait for a section that began after the grace period did', () => {
    let rcu: Rcu | undefined;
    const system = systemOf(model, (builder) => {
      rcu = new Rcu(builder, { processors: 2 });
      const reader = function* (): Steps {
        for (let i = 0; i < 2; i++) {
          yield* (rcu as Rcu).rcu_read_lock();
          yield* (rcu as Rcu).rcu_read_unlock(0);
        }
      };
      return [steps('reader', reader), steps('updater', () => (rcu as Rcu).synchronize_rcu(1))];
    });
    const run = everyRun(
      system,
      (read) => read((rcu as Rcu).over.at(1)) === 1 && read((rcu as Rcu).nesting.at(0)) === 1,
    );
    expect(run.witnessed).toBeGreaterThan(0);
  });

  it('shows the updater everything that the sections it waited for have stored', () => {
    let flag = 0;
    let seen = 0;
    const ends = new Set<string>();
    const system = systemOf(model, (builder) => {
      const rcu = new Rcu(builder, { processors: 2 });
      const pointer = builder.region('pointer', 1, { initial: 1 }).at(0);
      const [x, result] = [builder.region('x', 1).at(0), builder.region('result', 1).at(0)];
      [flag, seen] = [x, result];
      return [
        steps('reader', function* () {
          yield* rcu.rcu_read_lock();
          if ((yield* load(pointer)) === 1) yield* store(x, 1);
          yield* rcu.rcu_read_unlock(0);
        }),
        steps('updater', function* () {
          yield* store(pointer, 0);
          yield* rcu.synchronize_rcu(1);
          yield* store(result, yield* load(x));
        }),
      ];
    });
    everyRun(system, undefined, (read) => ends.add(`${read(flag)} seen as ${read(seen)}`));
    expect([...ends].sort()).toEqual(['0 seen as 0', '1 seen as 1']);
  });

  it('ends when the outermost section ends', () => {
    let rcu: Rcu | undefined;
    const system = systemOf(model, (builder) => {
      rcu = new Rcu(builder, { processors: 2 });
      return [
        steps('reader', function* () {
          yield* (rcu as Rcu).rcu_read_lock();
          yield* (rcu as Rcu).rcu_read_lock();
          yield* (rcu as Rcu).rcu_read_unlock(0);
          yield* (rcu as Rcu).rcu_read_unlock(0);
        }),
        steps('updater', () => (rcu as Rcu).synchronize_rcu(1)),
      ];
    });
    const run = everyRun(system);
    expect(run.violations.size).toBe(0);
    expect(run.deadlock).toBe(false);
  });
});

describe('rcu', () => {
  it('reports an unlock without a lock, and waiting inside a section', () => {
    const unlock = everyRun(
      systemOf('sc', (builder) => {
        const rcu = new Rcu(builder, { processors: 1 });
        return [steps('unlock', () => rcu.rcu_read_unlock(0))];
      }),
    );
    expect(unlock.details).toEqual(new Set(['rcu_read_unlock(rcu) on processor 0, which is in no read-side section']));
    const wait = everyRun(
      systemOf('sc', (builder) => {
        const rcu = new Rcu(builder, { processors: 1 });
        return [
          steps('wait', function* () {
            yield* rcu.rcu_read_lock();
            yield* rcu.synchronize_rcu(0);
          }),
        ];
      }),
    );
    expect(wait.violations).toEqual(new Set([LOCK_MISUSE]));
  });

  it('starts a second grace period for a callback that came during the first', () => {
    let done = 0;
    const ends: number[] = [];
    const system = systemOf('sc', (builder) => {
      const rcu = new Rcu(builder, { processors: 2 });
      const word = builder.region('done', 1).at(0);
      done = word;
      const mark = rcu.register('mark', function* (bit) {
        yield* store(word, (yield* load(word)) | bit);
      });
      return [
        steps('updater', function* () {
          yield* rcu.call_rcu(mark, 1);
          yield* rcu.call_rcu(mark, 2);
        }),
        rcu.rcuc(1),
      ];
    });
    const run = everyRun(system, undefined, (read) => ends.push(read(done)));
    expect(run.deadlock).toBe(false);
    expect(new Set(ends)).toEqual(new Set([3]));
  });
});
