import {
  acquireWord,
  nop,
  program,
  routine,
  store,
  SystemBuilder,
  waitFor,
  type Address,
  type Program,
  type Steps,
} from '@shootdown/machine';
import { everyRun } from '@shootdown/machine/every-run';
import { describe, expect, it } from 'vitest';
import { CALLBACK_SLEEPS, CONTRACTS_BEFORE_3_7, EAGAIN, NOTIFIER_CONTRACT } from './contract.ts';
import {
  might_sleep,
  MmuNotifierSubscriptions,
  type MmuNotifierOps,
  type MmuNotifierOptions,
  type NotifierCall,
} from './notifier.ts';

interface Machine {
  readonly subscriptions: MmuNotifierSubscriptions;
  /** The word of a spinlock that callers may hold. */
  readonly lock: Address;
  /** What has been called, in order. */
  readonly calls: string[];
}

/** Takes the spinlock that the notifiers know of; nobody else wants it. */
const HELD_BY_CPU0 = 1;

/** A machine of one CPU, or two, and its subscribers; what its callbacks do is written down. */
function run(
  subscribers: Readonly<Record<string, (machine: Machine) => MmuNotifierOps>>,
  body: (machine: Machine) => Steps,
  options: Partial<MmuNotifierOptions> = {},
  other?: (machine: Machine) => Steps,
) {
  const builder = new SystemBuilder();
  const lock = builder.region('ptl', 1).at(0);
  const machine: Machine = {
    lock,
    calls: [],
    subscriptions: new MmuNotifierSubscriptions(builder, 'mm', { spinlocks: [lock], ...options }),
  };
  for (const [name, ops] of Object.entries(subscribers)) machine.subscriptions.add(name, ops(machine));
  const programs: Program[] = [program(routine('caller', () => body(machine)))];
  if (other) programs.push(program(routine('other', () => other(machine))));
  programs.forEach((task, id) => builder.processor({ name: `CPU${id}`, tasks: [task] }));
  const { violations, details } = everyRun(builder.build());
  return { calls: [...new Set(machine.calls)], violations: [...violations], details: [...details] };
}

/** A subscriber whose callbacks take one step. */
const recording =
  (name: string) =>
  ({ calls }: Machine): MmuNotifierOps => {
    const note = function* ({ callback, start, end }: NotifierCall): Steps {
      calls.push(`${name} ${callback} ${start}-${end}`);
      yield* nop();
    };
    return {
      *invalidate_range_start(call) {
        yield* note(call);
        return 0;
      },
      invalidate_range_end: note,
      invalidate_page: note,
      change_pte: note,
      arch_invalidate_secondary_tlbs: note,
    };
  };

/** One whose callbacks take a lock that sleeps. */
const sleeping = (): MmuNotifierOps => {
  const sleeps = (call: NotifierCall): Steps => might_sleep(call, 'mutex_lock(m)');
  return {
    *invalidate_range_start(call) {
      yield* sleeps(call);
      return 0;
    },
    invalidate_page: sleeps,
  };
};

const under = function* (lock: Address, body: Steps<unknown>): Steps {
  yield* store(lock, HELD_BY_CPU0);
  yield* body;
  yield* store(lock, 0);
};

describe('the notifiers of an address space', () => {
  it('tell the newest subscriber first, of the range', () => {
    const { calls } = run({ first: recording('first'), second: recording('second') }, function* ({ subscriptions }) {
      yield* subscriptions.mmu_notifier_invalidate_range_start(3, 5);
      yield* subscriptions.mmu_notifier_invalidate_range_end(3, 5);
    });
    expect(calls).toEqual([
      'second invalidate_range_start 3-5',
      'first invalidate_range_start 3-5',
      'second invalidate_range_end 3-5',
      'first invalidate_range_end 3-5',
    ]);
  });

  it('call invalidate_page() for those without change_pte(), where that is the rule', () => {
    const without = (machine: Machine): MmuNotifierOps => {
      const { change_pte: _, ...ops } = recording('without')(machine);
      return ops;
    };
    const called = (fallback: boolean): string[] =>
      run(
        { with: recording('with'), without },
        ({ subscriptions }) => subscriptions.mmu_notifier_change_pte(7, 0, fallback),
        { changePteNeedsBracket: false },
      ).calls;
    expect(called(true)).toEqual(['without invalidate_page 7-8', 'with change_pte 7-8']);
    expect(called(false)).toEqual(['with change_pte 7-8']);
  });

  it('that may not block say EAGAIN if a subscriber has to, and tell all others that it is over', () => {
    const refuses = (): MmuNotifierOps => ({
      *invalidate_range_start({ blockable }) {
        yield* nop();
        return blockable ? 0 : EAGAIN;
      },
    });
    const results: number[] = [];
    const { calls, violations } = run({ kvm: recording('kvm'), refuses }, function* ({ subscriptions }) {
      results.push(yield* subscriptions.mmu_notifier_invalidate_range_start_nonblock(0, 1));
      yield* nop();
    });
    expect(results.at(-1)).toBe(EAGAIN);
    expect(calls).toEqual(['kvm invalidate_range_start 0-1', 'kvm invalidate_range_end 0-1']);
    expect(violations).toEqual([]);
  });

  it('report a subscriber that may refuse although it has an end', () => {
    const refuses = (machine: Machine): MmuNotifierOps => ({
      ...recording('refuses')(machine),
      *invalidate_range_start() {
        yield* nop();
        return EAGAIN;
      },
    });
    expect(
      run({ refuses }, function* ({ subscriptions }) {
        yield* subscriptions.mmu_notifier_invalidate_range_start_nonblock(0, 1);
      }).violations,
    ).toContain(NOTIFIER_CONTRACT);
  });

  it('report a subscriber that refuses although it may block', () => {
    const refuses = (): MmuNotifierOps => ({
      *invalidate_range_start() {
        yield* nop();
        return EAGAIN;
      },
    });
    expect(
      run({ refuses }, function* ({ subscriptions }) {
        yield* subscriptions.mmu_notifier_invalidate_range_start(0, 1);
      }).violations,
    ).toContain(NOTIFIER_CONTRACT);
  });

  it('tell who must not block so at the end, too', () => {
    const blockable: boolean[] = [];
    const refuses = (): MmuNotifierOps => ({
      *invalidate_range_start() {
        yield* nop();
        return EAGAIN;
      },
    });
    const hears = (): MmuNotifierOps => ({
      *invalidate_range_end(call) {
        blockable.push(call.blockable);
        yield* nop();
      },
    });
    run({ refuses, hears }, function* ({ subscriptions }) {
      yield* subscriptions.mmu_notifier_invalidate_range_start_nonblock(0, 1);
    });
    expect(new Set(blockable)).toEqual(new Set([false]));
  });

  it('tell nobody anything after release()', () => {
    const calls = run(
      {
        first: recording('first'),
        second: ({ calls: said }) => ({
          *release() {
            said.push('second release');
            yield* nop();
          },
        }),
      },
      function* ({ subscriptions }) {
        yield* subscriptions.mmu_notifier_release();
        yield* subscriptions.mmu_notifier_invalidate_range_start(0, 1);
      },
    ).calls;
    expect(calls).toEqual(['second release']);
  });

  it.each(['first', 'second'])('tell %s as long as a release() is under way', (name) => {
    const { calls } = run(
      {
        first: recording('first'),
        second: (machine) => ({ ...recording('second')(machine), release: () => store(machine.lock, HELD_BY_CPU0) }),
      },
      ({ subscriptions }) => subscriptions.mmu_notifier_release(),
      {},
      function* ({ subscriptions, lock }) {
        yield* waitFor(lock, -1, HELD_BY_CPU0);
        yield* subscriptions.mmu_notifier_invalidate_range_start(0, 1);
      },
    );
    expect(calls).toContain(`${name} invalidate_range_start 0-1`);
  });
});

describe('the contract', () => {
  it('forbids to sleep in a callback that is called under a spinlock, and says which', () => {
    const { violations, details } = run(
      { rdma: sleeping },
      ({ subscriptions, lock }) => under(lock, subscriptions.mmu_notifier_invalidate_page(0)),
      { contracts: CONTRACTS_BEFORE_3_7 },
    );
    expect(violations).toEqual([CALLBACK_SLEEPS]);
    expect(details).toEqual([
      'invalidate_page() is called under the page-table lock and must not sleep, and mutex_lock(m) does',
    ]);
  });

  it('lets the same callback sleep where no lock is held', () => {
    expect(
      run({ rdma: sleeping }, ({ subscriptions }) => subscriptions.mmu_notifier_invalidate_page(0)).violations,
    ).toEqual([]);
  });

  it('forbids to call what may sleep under a spinlock, whether or not it does', () => {
    const { violations, details } = run({ kvm: recording('kvm') }, ({ subscriptions, lock }) =>
      under(lock, subscriptions.mmu_notifier_invalidate_range_start(0, 1)),
    );
    expect(violations).toEqual([CALLBACK_SLEEPS]);
    expect(details).toEqual(['invalidate_range_start() may sleep and must not be called under a spinlock (kvm)']);
  });

  it('allows change_pte() and the invalidation of secondary TLBs under a spinlock', () => {
    const { violations } = run(
      { kvm: recording('kvm') },
      ({ subscriptions, lock }) =>
        under(
          lock,
          (function* () {
            yield* subscriptions.mmu_notifier_change_pte(0, 0, false);
            yield* subscriptions.mmu_notifier_arch_invalidate_secondary_tlbs(0, 1);
          })(),
        ),
      { changePteNeedsBracket: false },
    );
    expect(violations).toEqual([]);
  });

  it('forbids to sleep where the caller has said that nobody may block', () => {
    const { details } = run({ rdma: sleeping }, function* ({ subscriptions }) {
      yield* subscriptions.mmu_notifier_invalidate_range_start_nonblock(0, 1);
    });
    expect(details).toEqual(['invalidate_range_start() was told not to block, and mutex_lock(m) sleeps']);
  });

  it.each([
    [
      'without the locks of the address space, a subscriber comes between start and end of another task',
      false,
      [NOTIFIER_CONTRACT],
    ],
    ['under mm_take_all_locks() it does not', true, []],
  ])('%s', (_, locked, expected) => {
    const builder = new SystemBuilder();
    const mmap_lock = builder.region('mmap_lock', 1).at(0);
    const subscriptions = new MmuNotifierSubscriptions(builder, 'mm');
    const calls: string[] = [];
    const kvm = subscriptions.add('kvm', recording('kvm')({ subscriptions, calls, lock: mmap_lock }), {
      registered: false,
    });
    const guarded = function* (body: () => Steps): Steps {
      if (locked) yield* acquireWord(mmap_lock, -1, 1);
      yield* body();
      if (locked) yield* store(mmap_lock, 0);
    };
    const bracket = function* (): Steps {
      yield* subscriptions.mmu_notifier_invalidate_range_start(0, 1);
      yield* nop();
      yield* subscriptions.mmu_notifier_invalidate_range_end(0, 1);
    };
    builder.processor({ name: 'CPU0', tasks: [program(routine('zap', () => guarded(bracket)))] });
    builder.processor({
      name: 'CPU1',
      tasks: [program(routine('register', () => guarded(() => subscriptions.mmu_notifier_register(kvm))))],
    });
    expect([...everyRun(builder.build()).violations]).toEqual(expected);
  });
});
