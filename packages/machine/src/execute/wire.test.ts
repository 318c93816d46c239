import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { messageFor, type Message, type Steps } from '../routine/operation.ts';
import { nop, rest } from '../routine/operations.ts';
import { program, routine, tell } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import type { ChannelPolicy, System } from '../system/specs.ts';
import { send } from './systems.test-support.ts';
import type { SentMessage } from './reports.ts';
import { deviceMachine, listenerMachine } from './processor.test-support.machine.ts';
import { DirectExecutor } from './direct.ts';
import { LiveExecutor } from './live.ts';
import { TabulatedExecutor } from './tabulated.ts';

const SEND = 0;
const DELIVER = 1;

const note = (n: number): Message => ({ type: 'note', n });

/** One processor that sends messages to a listener, which writes what it hears into a word. */
function wire(policy: ChannelPolicy, messages: readonly Message[], capacity?: number): System {
  const builder = new SystemBuilder();
  const heard = builder.region('heard', 1);
  builder.component({
    name: 'listener',
    machine: listenerMachine,
    effects: { heard: (cx, event) => cx.write(heard.at(0), Number(event['n'])) },
  });
  const channel = builder.channel({
    name: 'line',
    to: 'listener',
    policy,
    ...(capacity === undefined ? {} : { capacity }),
  });
  const body = routine('sender', function* (): Steps {
    for (const message of messages) yield* send(channel, message, true);
    yield* rest();
  });
  builder.processor({ name: 'P0', tasks: [program(body)] });
  return builder.build();
}

function sent(system: System, count: number): TabulatedExecutor {
  const executor = new TabulatedExecutor(system);
  for (let i = 0; i < count; i++) expect(executor.step(SEND)).toBe(true);
  return executor;
}

describe('a message', () => {
  it('is one object per content', () => {
    const begin = messageFor((start: number, end: number) => ({ type: 'begin', start, end }));
    expect(begin(1, 12)).toBe(begin(1, 12));
    expect(begin(1, 12)).toEqual({ type: 'begin', start: 1, end: 12 });
    expect(begin(11, 2)).not.toBe(begin(1, 12));
  });
});

describe('a synchronous channel', () => {
  it('delivers within the step, and is neither words nor a choice', () => {
    const system = wire('synchronous', [note(3)]);
    expect(system.choices.map(({ name }) => name)).toEqual(['P0']);
    expect(system.layout.regions.map(({ name }) => name)).not.toContain('line.messages');
    const executor = new TabulatedExecutor(system);
    const messages: SentMessage[] = [];
    executor.onMessage = (message) => messages.push(message);
    expect([executor.step(SEND), executor.read(0)]).toEqual([true, 3]);
    expect(messages).toEqual([{ from: 'P0', to: 'listener', type: 'note', channel: 'line', synchronous: true }]);
  });

  it('says whether the component takes the message, and holds none', () => {
    const system = wire('synchronous', []);
    const [line] = system.synchronous;
    const executor = new TabulatedExecutor(system);
    const channel = line?.index ?? -1;
    expect([executor.send(channel, { type: 'nonsense' }), executor.send(channel, note(1))]).toEqual([false, true]);
    expect([executor.channelEmpty(channel), executor.channelFull(channel)]).toEqual([true, false]);
  });

  it('carries what a routine tells within the step before, as long as the component takes it', () => {
    const builder = new SystemBuilder();
    const heard = builder.region('heard', 1).at(0);
    builder.component({
      name: 'listener',
      machine: listenerMachine,
      effects: { heard: (cx, event) => cx.write(heard, Number(event['n'])) },
    });
    const port = builder.port('listener');
    const body = routine('sender', function* (): Steps {
      yield* nop();
      yield* tell(undefined, note(7));
      yield* tell(port, note(3));
      yield* tell(port, { type: 'nonsense' });
      yield* rest();
    });
    builder.processor({ name: 'P0', tasks: [program(body)] });
    const system = builder.build();
    for (const executor of [new TabulatedExecutor(system), new DirectExecutor(system), new LiveExecutor(system)]) {
      const messages: SentMessage[] = [];
      executor.onMessage = (message) => messages.push(message);
      expect([executor.step(0), executor.read(heard), executor.step(0)]).toEqual([true, 3, false]);
      const channel = 'listener.port';
      expect(messages).toEqual([{ from: 'P0', to: 'listener', type: 'note', channel, synchronous: true }]);
    }
  });

  it('is told nothing before there is a step to take it in', () => {
    const builder = new SystemBuilder();
    builder.component({ name: 'listener', machine: listenerMachine, effects: {} });
    const port = builder.port('listener');
    const body = routine('sender', function* (): Steps {
      yield* tell(port, note(3));
      yield* rest();
    });
    builder.processor({ name: 'P0', tasks: [program(body)] });
    const system = builder.build();
    expect(() => new TabulatedExecutor(system)).toThrow(
      'wire: tell: listener.port: note before the first operation: there is no step to take it in',
    );
  });

  it('carries what is answered from words alone, both ways', () => {
    const builder = new SystemBuilder();
    builder.component({ name: 'listener', machine: listenerMachine, effects: {} });
    builder.processor({ name: 'P0', tasks: [program(routine('idle', () => rest()))] });
    const port = builder.port('listener');
    const executor = new TabulatedExecutor(builder.build());
    const messages: SentMessage[] = [];
    executor.onMessage = (message) => messages.push(message);
    executor.note(port, 'access');
    executor.note(port, 'page_fault', true);
    expect(messages.map(({ from, to, type, channel }) => `${from} ${type} ${to} on ${channel}`)).toEqual([
      'P0 access listener on listener.port',
      'listener page_fault P0 on listener.port',
    ]);
    expect(() => executor.note(0, 'access')).toThrow('wire: note: no synchronous channel 0 (message access)');
  });

  it('has no message in flight, so nothing that is said of those', () => {
    expect(() => wire('synchronous', [], 2)).toThrow(
      'system: channel: line: a synchronous channel has no message in flight, and no capacity',
    );
  });
});

describe('a fifo channel', () => {
  it('delivers in the order of sending', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { maxLength: 8 }), (values) => {
        const executor = sent(wire('fifo', values.map(note), 8), values.length);
        const heard = values.map(() => {
          executor.step(DELIVER);
          return executor.read(0);
        });
        expect(heard).toEqual(values);
        expect([executor.step(DELIVER), executor.channelEmpty(0)]).toEqual([false, true]);
      }),
    );
  });

  it('has no second message to deliver out of order', () => {
    const executor = sent(wire('fifo', [note(1), note(2)]), 2);
    expect([executor.step(DELIVER, 1), executor.branchesOf(DELIVER), executor.step(DELIVER, 0)]).toEqual([
      false,
      1,
      true,
    ]);
    expect(executor.read(0)).toBe(1);
  });

  it('another order of sending is another state', () => {
    const [a, b] = [
      [note(1), note(2)],
      [note(2), note(1)],
    ].map((messages) => sent(wire('fifo', messages), 2));
    expect([a?.messageOn(0), b?.messageOn(0)]).toEqual([note(1), note(2)]);
  });

  it('that is full is an error that says what to do', () => {
    const executor = sent(wire('fifo', [note(1), note(1), note(1)], 2), 2);
    expect(executor.channelFull(0)).toBe(true);
    expect(() => executor.step(SEND)).toThrow('wire: send: channel line is full (2 messages): raise its capacity');
  });

  it('holds four messages unless told otherwise', () => {
    const executor = sent(
      wire(
        'fifo',
        Array.from({ length: 5 }, () => note(1)),
      ),
      4,
    );
    expect(() => executor.step(SEND)).toThrow('line is full (4 messages)');
  });
});

describe('an unordered channel', () => {
  it('is a bag: the order of sending leaves no trace', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 6 }), fc.integer({ min: 1 }), (values, turn) => {
        const others = [...values.slice(turn % values.length), ...values.slice(0, turn % values.length)];
        const bags = [values, others].map((list) => {
          const executor = sent(wire('unordered', list.map(note), 6), list.length);
          return list.map((_, i) => executor.messageOn(0, i));
        });
        expect(bags[0]).toEqual(bags[1]);
      }),
    );
  });

  it('two processors that send one message each reach one state, whoever comes first', () => {
    const builder = new SystemBuilder();
    builder.component({ name: 'listener', machine: listenerMachine });
    const channel = builder.channel({ name: 'line', to: 'listener', policy: 'unordered' });
    for (const n of [1, 2])
      builder.processor({ name: `P${n}`, tasks: [program(routine(`P${n}`, () => send(channel, note(n))))] });
    const system = builder.build();
    const fingerprints = [
      [0, 1],
      [1, 0],
    ].map((order) => {
      const executor = new TabulatedExecutor(system);
      for (const choice of order) executor.step(choice);
      return executor.fingerprint;
    });
    expect(fingerprints[0]).toBe(fingerprints[1]);
  });

  it('offers every message as a branch', () => {
    const values = [1, 2, 3];
    const system = wire('unordered', values.map(note));
    const heard = values.map((_, branch) => {
      const executor = sent(system, 3);
      expect(executor.branchesOf(DELIVER)).toBe(3);
      expect(executor.step(DELIVER, branch)).toBe(true);
      expect([executor.branchCount, executor.branchesOf(DELIVER)]).toEqual([3, 2]);
      return executor.read(0);
    });
    expect(heard.toSorted((a, b) => a - b)).toEqual(values);
    expect(sent(system, 3).step(DELIVER, 3)).toBe(false);
  });
});

describe('a level channel', () => {
  it('absorbs a message that is under way already', () => {
    const executor = new TabulatedExecutor(wire('level', [note(1), note(1), note(1)]));
    const entered: string[] = [];
    executor.onSend = (channel) => entered.push(channel.name);
    for (let i = 0; i < 3; i++) executor.step(SEND);
    expect(entered).toEqual(['line']);
    expect([executor.step(DELIVER), executor.step(DELIVER)]).toEqual([true, false]);
  });

  it('can be raised again once the message is delivered', () => {
    const executor = sent(wire('level', [note(1), note(1)]), 1);
    executor.step(DELIVER);
    expect([executor.step(SEND), executor.step(DELIVER)]).toEqual([true, true]);
  });

  it('has no room for a different message', () => {
    const executor = sent(wire('level', [note(1), note(2)]), 1);
    expect(() => executor.step(SEND)).toThrow(
      'line is full (1 messages): a level channel holds one message, so give every message its own',
    );
  });
});

describe('a message that is not accepted', () => {
  it('stays where it is, and the state too', () => {
    const builder = new SystemBuilder();
    builder.component({
      name: 'device',
      machine: deviceMachine,
      input: { channel: -1 },
      effects: { done: () => undefined },
    });
    const asks = builder.channel({ name: 'asks', to: 'device', policy: 'fifo' });
    builder.spontaneous({ name: 'ready', kind: 'hardware', component: 'device', message: { type: 'ready' } });
    builder.processor({
      name: 'P0',
      tasks: [
        program(
          routine('asker', function* () {
            yield* send(asks, { type: 'ask', from: 1 });
            yield* send(asks, { type: 'ask', from: 2 });
          }),
        ),
      ],
    });
    const executor = new TabulatedExecutor(builder.build());
    const [advance, deliver, ready] = [0, 1, 2] as const;
    executor.step(advance);
    executor.step(advance);
    expect([executor.step(ready), executor.step(deliver)]).toEqual([false, true]);
    const { fingerprint } = executor;
    expect(executor.step(deliver)).toBe(false);
    expect(executor.fingerprint).toBe(fingerprint);
    expect(executor.messageOn(0)).toEqual({ type: 'ask', from: 2 });
    expect([executor.step(ready), executor.step(deliver), executor.channelEmpty(0)]).toEqual([true, true, true]);
  });
});
