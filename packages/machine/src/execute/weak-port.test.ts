/** What components do to a weak memory by themselves depends on the state, and on nothing that was done before it. */
import { describe, expect, it } from 'vitest';
import {
  defineOperation,
  operation,
  perform,
  type Message,
  type OperationContext,
  type OperationOrder,
  type Steps,
} from '../routine/operation.ts';
import { load, nop, smp_mb, store, xchg } from '../routine/operations.ts';
import { smp_load_acquire, smp_store_release } from '../routine/ordered.ts';
import { assertThat, program, routine } from '../routine/routine.ts';
import { everyRun } from '../schedule/every-run.ts';
import { SystemBuilder } from '../system/system.ts';
import type { System } from '../system/specs.ts';
import { ModelError } from '../state/errors.ts';
import type { Address } from '../state/words.ts';
import { DirectExecutor } from './direct.ts';
import { LiveExecutor } from './live.ts';
import { listenerMachine } from './processor.test-support.machine.ts';
import { TabulatedExecutor } from './tabulated.ts';

const Choice = { user: 0, other: 1, first: 2, second: 3 } as const;

/** Two CPUs that may store to a word, and a device that may do two things to it at any time. */
function systemOf(does: (cx: OperationContext, x: Address, n: number) => void, messagesMax = 16): System {
  const builder = new SystemBuilder({ memoryModel: 'arm', weak: { messagesMax } });
  const x = builder.region('x', 1).at(0);
  const body = routine('user', function* () {
    yield* store(x, 5);
    yield* nop();
  });
  const heard = (cx: OperationContext, { n }: Message): void => does(cx, x, Number(n));
  builder.processor({ name: 'CPU0', tasks: [program(body)] });
  builder.processor({ name: 'CPU1', tasks: [program(body)] });
  builder.component({ name: 'device', machine: listenerMachine, effects: { heard } });
  for (const n of [0, 1])
    builder.spontaneous({ name: `device ${n}`, kind: 'hardware', component: 'device', message: { type: 'answer', n } });
  return builder.build();
}

const message = { type: 'answer', n: 0 };

/** A component, of no processor unless one is given it, that does something by itself. */
function device(builder: SystemBuilder, heard: (cx: OperationContext) => void): void {
  builder.component({ name: 'device', machine: listenerMachine, effects: { heard } });
  builder.spontaneous({ name: 'device', kind: 'hardware', component: 'device', message });
}

function cpus(builder: SystemBuilder, ...bodies: (() => Steps)[]): void {
  for (const [i, body] of bodies.entries())
    builder.processor({ name: `CPU ${i}`, tasks: [program(routine(`of CPU ${i}`, body))] });
}

describe.each([TabulatedExecutor, DirectExecutor, LiveExecutor])('a step of a component on arm', (Executor) => {
  it('leads to the same state whatever was read before it', () => {
    const system = systemOf((cx, x, n) => {
      if (n === 0) cx.read(x);
      else cx.write(x, 7);
    });
    const fresh = new Executor(system);
    const used = new Executor(system);
    used.step(Choice.first);
    used.reset();
    for (const executor of [fresh, used]) expect(executor.step(Choice.second)).toBe(true);
    expect(used.fingerprint).toBe(fresh.fingerprint);
  });

  it('goes one way: what may go several is refused, as nobody would take the others', () => {
    const executor = new Executor(systemOf((cx, x) => void cx.load(x)));
    executor.step(Choice.other);
    expect(() => executor.step(Choice.first)).toThrow(
      'weak memory: a load may go 2 ways, and no operation does it: an effect or a watcher uses read() and write()',
    );
  });

  it('tells no processor what it has read, whatever its number', () => {
    // Who has seen that the device has seen x has not seen x: between the two loads there is no barrier.
    const broken = (readerFirst: boolean): boolean => {
      const builder = new SystemBuilder({ memoryModel: 'arm' });
      const [x, done] = ['x', 'done'].map((name) => builder.region(name, 1).at(0)) as [Address, Address];
      const reader = routine('reader', function* () {
        const seen = yield* load(done);
        yield* assertThat(seen === 0 || (yield* load(x)) === 1, 'what the device has seen is there');
      });
      const writer = routine('writer', () => store(x, 1));
      const heard = (cx: OperationContext): void => {
        if (cx.read(x) === 1 && cx.read(done) === 0) cx.write(done, 1);
      };
      device(builder, heard);
      for (const [i, body] of (readerFirst ? [reader, writer] : [writer, reader]).entries())
        builder.processor({ name: `CPU${i}`, tasks: [program(body)] });
      return everyRun(builder.build()).violations.size > 0;
    };
    expect([broken(true), broken(false)]).toEqual([true, true]);
  });

  it('goes one way also after a search has come to a bound', () => {
    const system = systemOf((cx, x, n) => void (n === 0 ? cx.load(x) : cx.write(x, 7)), 2);
    const executor = new Executor(system);
    for (const choice of [Choice.other, Choice.second]) executor.step(choice);
    expect(executor.weak?.memory.boundHit).toBe(true);
    expect(() => executor.step(Choice.first)).toThrow('weak memory: a load may go 2 ways');
  });

  it('that belongs to no processor reads and writes in one', () => {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const x = builder.region('x', 1, { initial: [1] }).at(0);
    const heard = (cx: OperationContext): void => {
      if (cx.read(x) === 1) cx.write(x, 3);
    };
    device(builder, heard);
    const clear = routine('clear', function* () {
      yield* xchg(x, 0);
      yield* assertThat((yield* load(x)) === 0, 'the device changes what is valid only');
    });
    builder.processor({ name: 'CPU0', tasks: [program(clear)] });
    expect(everyRun(builder.build()).violations).toEqual(new Set());
  });

  it('is in the name of the processor whose component does it, whoever sets it off', () => {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const [x, y] = ['x', 'y'].map((name) => builder.region(name, 1).at(0)) as [Address, Address];
    const reader = routine('reader', function* () {
      yield* load(x);
      yield* load(y);
    });
    const first = (cx: OperationContext): void => void cx.tell(second, message);
    builder.component({ name: 'first', machine: listenerMachine, effects: { heard: first } });
    const heard = (cx: OperationContext): void => cx.write(x, 7);
    const second = builder.component({ name: 'second', machine: listenerMachine, effects: { heard } });
    device(builder, (cx) => {
      cx.tell(second, message);
      cx.write(y, cx.read(y) + 1);
    });
    builder.spontaneous({ name: 'first', kind: 'hardware', component: 'first', message });
    builder.processor({ name: 'CPU0', component: 'first', tasks: [program(reader)] });
    builder.processor({ name: 'CPU1', component: 'second', tasks: [program(reader)] });
    const system = builder.build();
    for (const name of ['first', 'device']) {
      const executor = new Executor(system);
      executor.step(system.choices.findIndex((choice) => choice.name === name));
      const ways = (): number[] => [0, 1].map((cpu) => executor.branchesOf(cpu));
      expect(ways()).toEqual([2, 1]);
      if (name === 'first') continue;
      for (const cpu of [0, 1]) executor.step(cpu);
      // Nobody has written y.
      expect(ways()).toEqual([2, 2]);
    }
  });

  it('is no load of its processor, although it reads what it writes', () => {
    // CPU0 stores to z, and loads x, after the hardware's step: nothing orders that after the store to y.
    const waysToLoadY = (heard: (cx: OperationContext, x: Address) => void): number[] => {
      const builder = new SystemBuilder({ memoryModel: 'arm' });
      const [x, y, z] = ['x', 'y', 'z'].map((name) => builder.region(name, 1).at(0)) as [Address, Address, Address];
      device(builder, (cx) => heard(cx, x));
      const own = routine('own', function* () {
        yield* store(z, 1);
        yield* smp_load_acquire(x);
        yield* load(y);
      });
      const writer = routine('writer', function* () {
        yield* store(y, 1);
        yield* smp_mb();
        yield* store(x, 5);
        yield* nop();
      });
      const reader = routine('reader', function* () {
        yield* smp_load_acquire(z);
        yield* load(y);
      });
      builder.processor({ name: 'CPU0', component: 'device', tasks: [program(own)] });
      cpus(builder, writer, reader);
      const system = builder.build();
      const executor = new Executor(system);
      for (const cpu of [1, 1, 1]) executor.step(cpu);
      executor.step(system.choices.findIndex(({ name }) => name === 'device'));
      executor.step(0);
      executor.step(2, 1);
      expect(executor.lastResult).toBe(1);
      executor.step(0);
      return [executor.branchesOf(2), executor.branchesOf(0)];
    };
    const writes = (cx: OperationContext, x: Address): void => cx.write(x, 7);
    const both = (cx: OperationContext, x: Address): void => cx.write(x, cx.read(x) + 2);
    expect(waysToLoadY(writes)).toEqual([2, 2]);
    expect(waysToLoadY(both)).toEqual([2, 2]);
  });

  it.each(['a message', 'nothing'] as const)('set off by %s hands on nothing that another has ordered', (by) => {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const x = builder.region('x', 1).at(0);
    const done = builder.region('done', 1, by === 'nothing' ? { memory: 'strong' } : {}).at(0);
    device(builder, (cx) => cx.write(done, 1));
    const channel = builder.channel({ name: 'to device', to: 'device', policy: 'fifo', capacity: 1 });
    const send = defineOperation({ name: 'send', perform: (cx) => (cx.send(channel, message), 0) });
    const writer = routine('writer', function* () {
      yield* perform(operation(send));
      yield* store(x, 1);
      yield* smp_mb();
      yield* nop();
    });
    const reader = routine('reader', function* () {
      yield* smp_load_acquire(done);
      yield* load(x);
    });
    cpus(builder, writer, reader);
    const system = builder.build();
    const executor = new Executor(system);
    for (const cpu of [0, 0, 0]) executor.step(cpu);
    const comes = system.choices.findIndex(({ kind }) => kind === (by === 'nothing' ? 'spontaneous' : 'deliver'));
    expect(executor.step(comes)).toBe(true);
    executor.step(1, executor.branchesOf(1) - 1);
    expect([executor.lastResult, executor.branchesOf(1)]).toEqual([1, 2]);
  });

  it('or a watcher that reads in the course of an operation has told its processor nothing', () => {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const [x, y] = [builder.region('x', 1), builder.region('y', 1).at(0)];
    builder.watch(x, (cx) => void cx.read(y));
    const body = routine('watched', function* () {
      yield* store(x.at(0), 1);
      yield* load(y);
    });
    const writer = routine('writer', function* () {
      yield* store(y, 1);
      yield* nop();
    });
    cpus(builder, body, writer);
    const executor = new Executor(builder.build());
    for (const cpu of [1, 0]) executor.step(cpu);
    expect(executor.branchesOf(0)).toBe(2);
  });
});

describe.each([TabulatedExecutor, DirectExecutor, LiveExecutor])('an executor that has thrown on arm', (Executor) => {
  const cannotBe = 'what cannot be';
  const refuse = (): never => {
    throw new ModelError(cannotBe);
  };
  const look = defineOperation({ name: 'look', order: 'acquire', perform: (cx, { a }) => cx.read(a) });
  const fork = defineOperation({ name: 'fork', perform: (cx, { a }) => (cx.load(a) === 5 ? refuse() : 0) });
  const watched = defineOperation({ name: 'watched', perform: (cx, { a }) => (cx.write(a, 1), 0) });
  const ask = defineOperation({ name: 'ask', branches: refuse, perform: () => 0 });

  function system(): System {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const [x, y] = [builder.region('x', 1).at(0), builder.region('y', 1)];
    device(builder, refuse);
    builder.watch(y, refuse);
    const bodies = {
      *storer() {
        yield* store(x, 5);
        yield* nop();
      },
      *looker() {
        yield* perform(operation(look, x));
        yield* nop();
      },
      forker: () => perform(operation(fork, x)),
      watched: () => perform(operation(watched, y.at(0))),
      asker: () => perform(operation(ask, x)),
      *asserter() {
        yield* nop();
        yield* assertThat(false, 'reported');
      },
    };
    for (const [name, body] of Object.entries<() => Steps<unknown>>(bodies))
      builder.processor({ name, tasks: [program(routine(name, body))] });
    return builder.build();
  }

  /** What the executor says of a run in which it throws nothing. */
  function run(executor: InstanceType<typeof Executor>): unknown {
    const choose = (name: string, branch?: number): boolean =>
      executor.step(
        executor.system.processors.findIndex((processor) => processor.name === name),
        branch,
      );
    choose('storer');
    choose('looker');
    const { fingerprint } = executor;
    choose('asserter');
    return [fingerprint, executor.violation?.property];
  }

  it.each([
    ['an effect', (executor) => executor.step(executor.system.choices.findIndex(({ name }) => name === 'device'))],
    [
      'an operation whose ways are counted',
      (executor) => {
        executor.step(0);
        executor.branchesOf(2);
      },
    ],
    ['a watcher', (executor) => executor.step(3)],
    ['one that is asked for outcomes', (executor) => executor.branchesOf(4)],
  ] satisfies [string, (executor: InstanceType<typeof Executor>) => void][])(
    'is as a new one after %s has thrown',
    (_what, throws) => {
      const executor = new Executor(system());
      expect(() => throws(executor)).toThrow(cannotBe);
      executor.reset();
      expect(run(executor)).toEqual(run(new Executor(system())));
      expect(executor.violation?.property).toBeDefined();
    },
  );
});

describe.each(['read', 'load'] as const)('asking for outcomes by cx.%s()', (how) => {
  it.each([TabulatedExecutor, DirectExecutor, LiveExecutor])('changes nothing on arm', (Executor) => {
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const x = builder.region('x', 1).at(0);
    const lock = builder.region('lock', 1, { memory: 'strong' }).at(0);
    const definition = defineOperation({
      name: 'pick',
      branches: (cx, { a }) => 1 + cx[how](a),
      perform: () => 0,
    });
    const releaser = routine('releaser', function* () {
      yield* store(x, 1);
      yield* smp_store_release(lock, 1);
      yield* nop();
    });
    builder.processor({ name: 'CPU0', tasks: [program(releaser)] });
    builder.processor({
      name: 'CPU1',
      tasks: [program(routine('picker', () => perform(operation(definition, lock))))],
    });
    const executor = new Executor(builder.build());
    for (const cpu of [0, 0]) executor.step(cpu);
    const before = executor.fingerprint;
    expect([executor.branchesOf(1), executor.fingerprint]).toEqual([2, before]);
  });
});

describe('an operation that says it is a full barrier', () => {
  /** Each stores to a word, does something to one that everybody sees alike, and looks at the other's word. */
  function stale(order: OperationOrder, does: (cx: OperationContext, strong: number) => void): boolean {
    const BOTH = 'one of them sees what the other has stored';
    const between = defineOperation({ name: 'between', order, perform: (cx, { a }) => (does(cx, a), 0) });
    const builder = new SystemBuilder({ memoryModel: 'arm' });
    const [x, y] = [builder.region('x', 1).at(0), builder.region('y', 1).at(0)];
    const seen = builder.region('seen', 2, { memory: 'ghost' });
    const strong = builder.region('strong', 2, { memory: 'strong' });
    const record = defineOperation({
      name: 'record',
      perform: (cx, { a, b }) => (cx.write(a, b), cx.read(seen.at(0)) & cx.read(seen.at(1))),
    });
    const body = (i: number, own: Address, other: Address) => () => {
      return (function* (): Steps {
        yield* store(own, 1);
        yield* perform(operation(between, strong.at(i)));
        const missed = (yield* load(other)) === 0 ? 1 : 0;
        yield* assertThat((yield* perform(operation(record, seen.at(i), missed))) === 0, BOTH);
      })();
    };
    cpus(builder, body(0, x, y), body(1, y, x));
    return everyRun(builder.build()).violations.has(BOTH);
  }

  it.each<[string, (cx: OperationContext, strong: number) => void]>([
    ['nothing', () => {}],
    ['a word that it reads', (cx, strong) => void cx.read(strong)],
    ['a word that it writes', (cx, strong) => cx.write(strong, 1)],
  ])('orders what is before it with what is after it, whatever it does itself: %s', (_, does) => {
    expect(stale('acquire-release', does)).toBe(true);
    expect(stale('full', does)).toBe(false);
  });
});
