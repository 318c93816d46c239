/** What components do to a weak memory by themselves depends on the state, and on nothing that was done before it. */
import { describe, expect, it } from 'vitest';
import { defineOperation, operation, perform, type Message, type OperationContext } from '../routine/operation.ts';
import { load, nop, store } from '../routine/operations.ts';
import { smp_store_release } from '../routine/ordered.ts';
import { assertThat, program, routine } from '../routine/routine.ts';
import { everyRun } from '../schedule/every-run.ts';
import { SystemBuilder } from '../system/system.ts';
import type { System } from '../system/specs.ts';
import type { Address } from '../state/words.ts';
import { DirectExecutor } from './direct.ts';
import { LiveExecutor } from './live.ts';
import { listenerMachine } from './processor.test-support.machine.ts';
import { TabulatedExecutor } from './tabulated.ts';

const Choice = { user: 0, other: 1, first: 2, second: 3 } as const;

/** Two CPUs that may store to a word, and a device that may do two things to it at any time. */
function systemOf(does: (cx: OperationContext, x: Address, n: number) => void): System {
  const builder = new SystemBuilder({ memoryModel: 'arm' });
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
      builder.component({ name: 'device', machine: listenerMachine, effects: { heard } });
      const message = { type: 'answer', n: 0 };
      builder.spontaneous({ name: 'device', kind: 'hardware', component: 'device', message });
      for (const [i, body] of (readerFirst ? [reader, writer] : [writer, reader]).entries())
        builder.processor({ name: `CPU${i}`, tasks: [program(body)] });
      return everyRun(builder.build()).violations.size > 0;
    };
    expect([broken(true), broken(false)]).toEqual([true, true]);
  });
});

it.each([TabulatedExecutor, DirectExecutor, LiveExecutor])('asking for outcomes changes nothing on arm', (Executor) => {
  const builder = new SystemBuilder({ memoryModel: 'arm' });
  const x = builder.region('x', 1).at(0);
  const lock = builder.region('lock', 1, { memory: 'strong' }).at(0);
  const definition = defineOperation({
    name: 'pick',
    branches: (cx, { a }) => 1 + cx.read(a),
    perform: () => 0,
  });
  const releaser = routine('releaser', function* () {
    yield* store(x, 1);
    yield* smp_store_release(lock, 1);
    yield* nop();
  });
  builder.processor({ name: 'CPU0', tasks: [program(releaser)] });
  builder.processor({ name: 'CPU1', tasks: [program(routine('picker', () => perform(operation(definition, lock))))] });
  const executor = new Executor(builder.build());
  for (const cpu of [0, 0]) executor.step(cpu);
  const before = executor.fingerprint;
  expect([executor.branchesOf(1), executor.fingerprint]).toEqual([2, before]);
});
