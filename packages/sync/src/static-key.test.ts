import {
  assertThat,
  load,
  program,
  routine,
  smp_mb,
  store,
  type MemoryModel,
  type Region,
  type Steps,
  type SystemBuilder,
} from '@shootdown/machine';
import { describe, expect, it } from 'vitest';
import { everyRun, systemOf } from '@shootdown/machine/every-run';
import { LOCK_MISUSE } from './misuse.ts';
import {
  JumpLabels,
  static_branch_dec,
  static_branch_disable,
  static_branch_enable,
  static_branch_inc,
  static_branch_unlikely,
  type StaticKey,
} from './static-key.ts';

const MODELS: readonly MemoryModel[] = ['sc', 'tso'];
const steps = (name: string, body: () => Steps) => program(routine(name, body));
const SEEN = 'a branch enabled before is taken';

describe.each(MODELS)('static key on %s', (model) => {
  /** CPU0 enables the key and then says so; CPU1 hears it and looks. */
  const enableThenTell = (synchronize: boolean) =>
    systemOf(model, (builder) => {
      const labels = new JumpLabels(builder, { processors: 2 });
      const key = labels.key('key');
      const told = builder.region('told', 1).at(0);
      return [
        steps('enable', function* () {
          yield* static_branch_inc(key, 0);
          yield* store(told, 1);
        }),
        steps('look', function* () {
          if ((yield* load(told)) === 0) return;
          if (synchronize) yield* labels.contextSynchronization();
          yield* assertThat((yield* static_branch_unlikely(key)) === 1, SEEN);
        }),
      ];
    });

  it('may still be seen off after the cache maintenance, without a context synchronization', () => {
    expect(everyRun(enableThenTell(false)).violations).toEqual(new Set([SEEN]));
  });

  it('is seen on after an ISB', () => {
    expect(everyRun(enableThenTell(true)).violations).toEqual(new Set());
  });

  it('counts: it is off when the last user has gone, and on until then', () => {
    const run = twoUsers(model, static_branch_inc, static_branch_dec);
    expect(run.violations).toEqual(new Set());
    expect(run.deadlock).toBe(false);
  });

  it('does not count when it is only enabled and disabled', () => {
    expect(twoUsers(model, static_branch_enable, static_branch_disable).violations).toEqual(new Set([SEEN]));
  });
});

type Change = (key: StaticKey, processor: number) => Steps;

function twoUsers(model: MemoryModel, on: Change, off: Change) {
  return everyRun(
    systemOf(model, (builder) => {
      const labels = new JumpLabels(builder, { processors: 2 });
      const key = labels.key('key');
      const user = (processor: number) =>
        steps(`user${processor}`, function* () {
          yield* on(key, processor);
          yield* labels.contextSynchronization();
          yield* assertThat((yield* static_branch_unlikely(key)) === 1, SEEN);
          yield* off(key, processor);
        });
      return [user(0), user(1)];
    }),
  );
}

describe('static key', () => {
  it('reports a static_branch_dec() too many', () => {
    const run = everyRun(
      systemOf('sc', (builder) => {
        const key = new JumpLabels(builder, { processors: 1 }).key('key');
        return [steps('dec', () => static_branch_dec(key, 0))];
      }),
    );
    expect(run.violations).toEqual(new Set([LOCK_MISUSE]));
    expect(run.details).toEqual(new Set(['static_branch_dec(key) on processor 0, whose count is 0']));
  });
});

describe('static key on arm', () => {
  const mutexOf = (builder: SystemBuilder): Region =>
    builder.layout.regions.find(({ name }) => name === 'jump_label_mutex') as Region;

  it('hands on what was done before it was enabled to who only counts', () => {
    const BEFORE = 'what came before is seen';
    const run = everyRun(
      systemOf('arm', (builder) => {
        const key = new JumpLabels(builder, { processors: 2 }).key('key');
        const x = builder.region('x', 1).at(0);
        // Orders nothing: it only says that the key is on.
        const told = builder.region('told', 1, { memory: 'ghost' }).at(0);
        return [
          steps('enable', function* () {
            yield* store(x, 1);
            yield* static_branch_inc(key, 0);
            yield* store(told, 1);
          }),
          steps('count', function* () {
            if ((yield* load(told)) === 0) return;
            yield* static_branch_inc(key, 1);
            yield* assertThat((yield* load(x)) === 1, BEFORE);
          }),
        ];
      }),
    );
    expect(run).toMatchObject({ violations: new Set(), deadlock: false });
  });

  it('orders nothing by a cmpxchg of its count that fails', () => {
    let passed = false;
    let [sawX, sawY] = [0, 0];
    const system = systemOf('arm', (builder) => {
      const labels = new JumpLabels(builder, { processors: 2 });
      const key = labels.key('key');
      const [x, y] = [builder.region('x', 1).at(0), builder.region('y', 1).at(0)];
      const ghost = (name: string) => builder.region(name, 1, { memory: 'ghost' }).at(0);
      const [tried, a, b] = [ghost('tried'), ghost('a'), ghost('b')];
      [sawX, sawY] = [a, b];
      builder.watch(mutexOf(builder), (cx, address) => {
        if (cx.read(address) === 2) cx.write(tried, 1);
      });
      return [
        steps('first', function* () {
          yield* static_branch_enable(key, 0);
          yield* static_branch_disable(key, 0);
          yield* store(y, 1);
          yield* smp_mb();
          yield* store(a, 1 + (yield* load(x)));
        }),
        steps('second', function* () {
          yield* store(x, 1);
          yield* static_branch_disable(key, 1);
          const value = yield* load(y);
          // It had seen the key on, and taken the mutex.
          if ((yield* load(tried)) === 1) yield* store(b, 1 + value);
        }),
      ];
    });
    everyRun(system, (read) => (passed ||= read(sawX) === 1 && read(sawY) === 1));
    expect(passed).toBe(true);
  });
});
