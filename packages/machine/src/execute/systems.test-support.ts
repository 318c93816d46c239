/** Systems for the tests of this package: between them they use everything a system may have. They run for ever. */
import type { Steps } from '../routine/operation.ts';
import { defineOperation, operation, type Message } from '../routine/operation.ts';
import {
  acquireWord,
  atomicAdd,
  choose,
  clearBits,
  cmpxchg,
  load,
  nop,
  setBits,
  smp_mb,
  store,
  waitFor,
  xchg,
} from '../routine/operations.ts';
import { Frames } from '../state/frames.ts';
import { FrameKind, NO_FRAME } from '../state/frame-kind.ts';
import { assertThat, count, point, program, routine } from '../routine/routine.ts';
import { SystemBuilder } from '../system/system.ts';
import type { MemoryModel, System } from '../system/specs.ts';
import { deviceMachine, listenerMachine, processorMachine } from './processor.test-support.machine.ts';
import type { Address } from '../state/words.ts';

const TELL = defineOperation({ name: 'tell', perform: (cx, op) => (cx.tell(op.a, op.data as Message) ? 1 : 0) });
const SEND = defineOperation({
  name: 'send',
  perform(cx, op) {
    // A level channel absorbs; the others wait for room.
    if (op.b === 0 && cx.channelFull(op.a)) return -1;
    cx.send(op.a, op.data as Message);
    return 0;
  },
});

/** Tells a component something; 1 if it accepted. */
export function* tell(component: number, message: Message): Steps<number> {
  return yield operation(TELL, component, 0, 0, message, { label: message.type });
}

/** Sends a message; -1 if the channel was full. */
export function* send(channel: number, message: Message, level = false): Steps<number> {
  return yield operation(SEND, channel, level ? 1 : 0, 0, message, { label: `send ${message.type}` });
}

/** Two processors that interrupt each other, mask interrupts, halt, and have ticks that switch between two tasks. */
export function interruptSystem(memoryModel: MemoryModel): System {
  const builder = new SystemBuilder({ memoryModel, storeBufferEntries: 2 });
  const shared = builder.region('shared', 3);
  const cpus = [0, 1].map((id) => builder.component({ name: `cpu${id}`, machine: processorMachine }));
  const irqs = [0, 1].map((id) => builder.channel({ name: `irq${id}`, to: `cpu${id}`, policy: 'level' }));
  const vectors = ['flush', 'nothing'] as const;
  const task = routine('task', function* (id: number, seed: number) {
    for (let round = seed; ; round = (round + 1) % 5) {
      yield* point('round', round);
      const masked = yield* tell(cpus[id] as number, { type: round === 2 ? 'nest' : 'mask' });
      const seen = yield* load(shared.at(round % 3));
      yield* store(shared.at((round + 1) % 3), (seen + id + 1) & 3);
      if (masked === 1) yield* tell(cpus[id] as number, { type: round === 2 ? 'unnest' : 'unmask' });
      if (round === 3) yield* smp_mb();
      yield* count('rounds');
      // Interrupts that are pending already are absorbed: only one message may be under way on a level channel.
      yield* send(irqs[1 - id] as number, { type: 'irq', vector: vectors[id] as string }, true);
      if (round === 4) yield* tell(cpus[id] as number, { type: 'halt' });
    }
  });
  const flush = program(
    routine('flush', function* () {
      const seen = yield* load(shared.at(0));
      yield* atomicAdd(shared.at(2), seen === 0 ? 1 : -1);
    }),
  );
  const nothing = program(
    routine('nothing', function* () {
      yield* count('nothing');
    }),
  );
  for (const id of [0, 1]) {
    builder.processor({
      name: `P${id}`,
      component: `cpu${id}`,
      tasks: [program(task, id, 0), program(task, id, 2)],
      handlers: { flush, nothing },
    });
    builder.spontaneous({
      name: `tick ${id}`,
      kind: 'hardware',
      component: `cpu${id}`,
      message: { type: 'tick' },
      periodCycles: 1000,
    });
  }
  builder.spontaneous({ name: 'kick', kind: 'host', component: 'cpu1', message: { type: 'irq', vector: 'nothing' } });
  return builder.build();
}

/** A device behind an unordered channel that answers over a FIFO, choices of routines, effects on memory. */
export function deviceSystem(memoryModel: MemoryModel): System {
  const builder = new SystemBuilder({ memoryModel });
  const answers = builder.region('answer', 3);
  const answerChannel = 1;
  builder.component({
    name: 'device',
    machine: deviceMachine,
    input: { channel: answerChannel },
    effects: { done: (cx, event) => cx.write(answers.at(Number(event['from'])), 1 + cx.read(answers.at(2))) },
  });
  builder.component({
    name: 'listener',
    machine: listenerMachine,
    effects: {
      heard: (cx, event) => {
        cx.write(answers.at(2), Number(event['n']));
        if (Number(event['n']) === 2) cx.fail('nobody hears a two', () => 'two');
      },
    },
  });
  const asks = builder.channel({ name: 'asks', to: 'device', policy: 'unordered', capacity: 3 });
  builder.channel({ name: 'answers', to: 'listener', policy: 'fifo', capacity: 64 });
  builder.spontaneous({ name: 'ready', kind: 'hardware', component: 'device', message: { type: 'ready' } });
  const asker = routine('asker', function* (id: number) {
    for (let round = 0; ; round = (round + 1) % 3) {
      yield* point('ask', round);
      const pick = yield* choose(3);
      const sent = yield* send(asks, { type: 'ask', from: (id + pick) % 2 });
      yield* assertThat(sent === 0 || round > 0, 'room in the first round');
      if (pick === 1) yield* store(answers.at(id), 0);
      yield* load(answers.at(1 - id));
    }
  });
  [0, 1].forEach((id) => builder.processor({ name: `P${id}`, tasks: [program(asker, id)] }));
  return builder.build();
}

/** Locks, atomics, frames that are freed too early, a watched word: no component at all. */
export function memorySystem(memoryModel: MemoryModel): System {
  const builder = new SystemBuilder({ memoryModel, storeBufferEntries: 3 });
  const lock = builder.region('lock', 1).at(0);
  const mask = builder.region('mask', 1);
  const shadow = builder.region('shadow', 1);
  builder.watch(mask, (cx, address) => cx.write(shadow.at(0), cx.read(address) ^ 0x55));
  const published = builder.region('published', 1).at(0);
  const frames = new Frames(builder, { tables: 2, entriesPerTable: 2, pages: 2 });
  const worker = routine('worker', function* (id: number) {
    for (let round = 0; ; round = (round + 1) % 4) {
      yield* point('round', round);
      if ((yield* cmpxchg(lock, 0, id)) !== 0) {
        yield* nop();
        continue;
      }
      yield* setBits(mask.at(0), 1 << id);
      const table = yield* frames.alloc(FrameKind.table);
      if (table !== NO_FRAME) {
        const entry = frames.entry(table, round % 2);
        yield* frames.write(entry, round);
        yield* store(published, table);
        yield* frames.cmpxchg(entry, round, 7);
        yield* frames.free(table);
        yield* frames.read(entry);
      }
      yield* clearBits(mask.at(0), 1 << id);
      yield* xchg(lock, 0);
      yield* waitFor(lock, 0, 0);
    }
  });
  const queued = builder.region('queued', 1).at(0);
  const locker = program(
    routine('locker', function* () {
      for (;;) {
        yield* point('locker');
        yield* acquireWord(queued, 1, 1);
        const table = yield* load(published);
        yield* frames.read(frames.entry(table, 0));
        yield* atomicAdd(queued, -1);
      }
    }),
  );
  for (const id of [1, 2]) builder.processor({ name: `P${id}`, tasks: [program(worker, id)] });
  for (const id of [3, 4]) builder.processor({ name: `P${id}`, tasks: [locker] });
  return builder.build();
}

/** A system of one processor that runs `body`; `declare` may add words and components first. */
export function oneProcessor(declare: (builder: SystemBuilder) => () => Steps<unknown>): System {
  const builder = new SystemBuilder();
  const body = declare(builder);
  builder.processor({ name: 'P0', tasks: [program(routine('body', body))] });
  return builder.build();
}

/** One word of its own region. */
export function oneWord(builder: SystemBuilder, name: string): Address {
  return builder.region(name, 1).at(0);
}
